"""Smoothed attributions and their certificates: what users call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attricert import checks
from attricert.arguments import functionals_of, orders, samples
from attricert.attributions import Attribution, Classifier, Targets, is_nonnegative
from attricert.bounding import Bound, Normalize
from attricert.certificates import METHODS, Certificate, Evidence, Facts, Geometry, Statement, least_scale
from attricert.errors import ArgumentError, AttributionWarning
from attricert.moments import no_moments
from attricert.noise import Gaussian, Noise
from attricert.progress import ProgressCallback, reporting
from attricert.proving import CONFIDENCES, Forecast, Goal, Prover, evidence, forecast
from attricert.sampling import BatchSize, Sampler
from attricert.streams import Stream, fresh_seed

__all__ = ["Glance", "SmoothedAttribution"]

Glance = Callable[[int, Callable[[], Certificate]], None]
"""Told how many copies are done, and what gives the certificate that they would make."""

_FEWEST = 100  # draws for a certificate; with fewer no bound says anything
_SEARCH_STEPS, _SEARCH_RANGE = 12, 64.0
_VARIANCE_GAIN = 3.0  # in certified eps, about


@final
@dataclass(frozen=True)
class SmoothedAttribution:
    """h(x) = E g(x + a): the mean of a bounded attribution over noisy copies of the input (paper, section 3).

    Args:
        attribution: g, any callable ``g(inputs, target)`` with inputs of shape (n, ...) that gives attributions of
            the inputs' shape, row by row and deterministically; see `attricert.wrap`.
        noise: distribution of a, `UniformBall` or `Gaussian`. Noisy inputs are not clipped to the data range.
        bound: the structural l2 bound applied to each sampled attribution.
        classifier: gives scores of shape (n, classes); its prediction on the same draws is certified too. By default
            the attribution's own ``model``, where it has one and a target is given.
        antithetic: sample in pairs (a, -a).
        batch_size: noisy copies computed at once; chosen from the memory budget if None.
        memory_budget: bytes for a batch; by default 512 MiB on the CPU, half the free memory on CUDA.
    """

    attribution: Attribution
    noise: Noise
    bound: Bound = field(default_factory=Normalize)
    classifier: Classifier | None = None
    antithetic: bool = False
    batch_size: int | None = None
    memory_budget: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.noise, Noise):
            raise ArgumentError("noise", self.noise, "must be UniformBall(radius) or Gaussian(sigma)")
        if not isinstance(self.bound, Bound):
            raise ArgumentError("bound", self.bound, "must be Normalize() or Clip(max_norm)")
        if not callable(self.attribution):
            raise ArgumentError("attribution", self.attribution, "must be callable as g(inputs, target)")
        if self.classifier is not None and not callable(self.classifier):
            raise ArgumentError("classifier", self.classifier, "must be callable, giving scores of shape (n, classes)")
        for name in ("batch_size", "memory_budget"):
            if getattr(self, name) is not None:
                checks.count(name, getattr(self, name), 1)

    def attribute(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        n_samples: int = 1_000,
        seed: int | None = None,
        sample_ids: Sequence[str] | None = None,
        progress: bool | ProgressCallback = False,
    ) -> Tensor:
        """Estimate h by the mean of n_samples draws.

        Args:
            inputs: shape (batch, ...), float32 or float64, finite.
            target: class index, or one an input; None for single-output models.
            n_samples: noisy copies of each input.
            seed: of the keyed streams; None takes a fresh secret one.
            sample_ids: names that key each input's draws; by default made from its content.
            progress: True for a bar, or a function told how many copies have just been done.

        Returns:
            Smoothed attributions of the inputs' shape and dtype, in units of the bounded attribution.
        """
        checks.count("n_samples", n_samples, 2 if self.antithetic else 1)
        batch = samples(inputs, target, sample_ids)
        sampler, run_seed = self._sampler(), _seed(seed)
        maps = []
        with reporting(progress, n_samples * len(inputs), "smoothing") as tick:
            for x, index, key in batch:
                moments = no_moments(x)
                stream = Stream(run_seed, key, "attribute")
                for draws in sampler.draws(x, index, stream, 0, n_samples // sampler.calls_per_draw):
                    moments = moments.update(draws.values)
                    tick(draws.calls)
                maps.append(moments.mean.reshape(x.shape).to(x))
        return torch.stack(maps)

    def certify(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        n_samples: int = 10_000,
        alpha: float = 1e-3,
        seed: int | None = None,
        confidence: str = "betting",
        guarantee: str = "population",
        observed_samples: int | None = None,
        method: str = "sound",
        stop_when: tuple[float, float] | None = None,
        variance: bool = True,
        moments: Sequence[int] = (2,),
        features: bool = True,
        functionals: npt.ArrayLike | Tensor | None = None,
        label: bool = True,
        sample_ids: Sequence[str] | None = None,
        progress: bool | ProgressCallback = False,
        watch: Glance | None = None,
    ) -> Certificate:
        """Sample, and prove what the samples allow, for each input with probability at least 1 - alpha.

        Args:
            inputs: shape (batch, ...), float32 or float64, finite.
            target: class index, or one an input; None for single-output models.
            n_samples: noisy copies of each input in all, >= 100; a tenth of them is a pilot that proves nothing but
                tells where to look.
            alpha: probability over the draws that an input's certificates fail.
            seed: of the keyed streams; None takes a fresh secret one, as deployment should (docs/threat_model.md).
            confidence: bound on the norm of h: ``"betting"`` (the tightest, valid at any time), ``"hoeffding"``,
                ``"bernstein"``, or the paper's ``"asymptotic"`` interval, which is not a finite-sample bound.
            guarantee: ``"population"`` speaks of h; ``"observed"`` of two averages of ``observed_samples`` fresh draws
                each (as `attribute` gives), one at x and one at the perturbed input.
            observed_samples: attributions in each observed average; n_samples if None.
            method: ``"sound"``, or ``"printed"`` to reproduce the paper (not a bound).
            stop_when: (eps, cosine): stop sampling an input as soon as this claim is proven, or so much as ruled out
                for this pilot; the verdict is in ``evidence.outcome``. Needs an anytime-valid bound (betting).
            variance: prove the spread of the attributions too, which makes certificates under Gaussian noise about
                three times larger (theory 3b, 3c).
            moments: even orders, 2 first; (2, 4, 6) proves higher moments too, for still larger certificates under
                Gaussian noise where n_samples is large, at a cost that pays for slow models (theory 3e).
            features: prove intervals for every entry, for `Certificate.intervals`, `signs`, `top_k` and `kendall`.
            functionals: fixed linear functionals of the map to prove intervals for: weights of shape (r, ...), or a
                label map of the inputs' shape (integers; entries with the same label are summed, superpixels).
            label: count predicted classes, for `Certificate.label_eps` and `joint`; needs a classifier. With
                ``stop_when``, label and higher moments are left out: their bounds hold at a fixed number of draws.
            sample_ids: names that key each input's draws; by default made from its content.
            progress: True for a bar, or a function told how many copies have just been done.
            watch: told, as an input's draws come in, how many copies are done (the pilot's aside) and a function that
                gives the certificate (of the cosine alone) that they would make.

        Returns:
            A certificate with its evidence; every curve in eps or T comes from it without the model.

        Warns:
            AttributionWarning: some sampled attributions held NaN or inf.
        """
        checks.count("n_samples", n_samples, _FEWEST)
        batch = samples(inputs, target, sample_ids)
        classifier = self._classifier(target) if label and stop_when is None else None
        higher = orders(moments)
        wanted = {
            "spread": variance and isinstance(self.noise, Gaussian),
            "moments": variance and isinstance(self.noise, Gaussian) and bool(higher) and stop_when is None,
            "features": features or functionals is not None,
            "label": classifier is not None,
        }
        # Without a pilot nothing but the norm is proven.
        parts = tuple(name for name, want in wanted.items() if want and confidence != "asymptotic")
        terms = (n_samples, alpha, seed, confidence, guarantee, observed_samples)
        statement = self._statement(inputs, *terms, ("norm", *parts), higher if "moments" in parts else ())
        checks.known("method", method, METHODS)
        Geometry(statement, method, Facts.of_norm(np.zeros(1)))  # refuses what does not go together, before sampling
        goal = None if stop_when is None else Goal(statement, method, *stop_when)
        vectors = None if functionals is None else functionals_of(functionals, inputs)
        show = None if watch is None else lambda draws, found: watch(draws, lambda: Certificate(found(), method))
        prover = Prover(self._sampler(classifier), statement, n_samples, goal, vectors, show)
        with reporting(progress, n_samples * len(inputs), "certifying") as tick:
            rows = [prover.prove(x, index, key, tick) for x, index, key in batch]
        certificate = Certificate(evidence(statement, rows, vectors), method)
        _warn_of_nonfinite(certificate.evidence)
        return certificate

    def forecast(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        n_samples: int = 400,
        alpha: float = 1e-3,
        seed: int | None = None,
        confidence: str = "betting",
        progress: bool | ProgressCallback = False,
    ) -> list[Forecast]:
        """Estimate what `certify` would prove with how many samples, from a few of them; nothing is proven.

        Args:
            inputs: shape (batch, ...), float32 or float64, finite; a few that stand for all.
            target: class index, or one an input; None for single-output models.
            n_samples: noisy copies of each input, >= 50; their attributions are kept in memory.
            alpha: as in `certify`.
            seed: of the keyed streams; None takes a fresh secret one.
            confidence: as in `certify`.
            progress: True for a bar, or a function told how many copies have just been done.

        Returns:
            One forecast an input, with ``max_eps(cosine, n_samples)`` and ``samples_needed(eps, cosine, ...)``.
        """
        checks.count("n_samples", n_samples, _FEWEST // 2)
        parts = ("norm", "spread") if isinstance(self.noise, Gaussian) else ("norm",)
        statement = self._statement(inputs, n_samples, alpha, seed, confidence, "population", None, parts, ())
        sampler = self._sampler()
        draws = n_samples // sampler.calls_per_draw
        with reporting(progress, n_samples * len(inputs), "forecasting") as tick:
            return [forecast(sampler, statement, draws, *sample, tick) for sample in samples(inputs, target, None)]

    def min_radius(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        eps: float,
        cosine: float,
        n_samples: int = 10_000,
        alpha: float = 1e-3,
        seed: int | None = None,
        r_max: float | None = None,
        confidence: str = "betting",
        guarantee: str = "population",
        progress: bool | ProgressCallback = False,
    ) -> npt.NDArray[np.float64]:
        """The smallest noise radius (sigma for Gaussian noise) found that certifies cosine >= T at eps.

        h depends on the radius, so this is a search: each step samples anew at another radius, with alpha split over
        at most 12 steps (theory 4). This object's own radius plays no part. The paper's closed form (its eq. 9) holds
        h fixed instead: `Certificate.fixed_norm_scale`.

        Args:
            inputs: shape (batch, ...), float32 or float64, finite.
            target: class index, or one an input; None for single-output models.
            eps: l2 size of the perturbation, > 0.
            cosine: threshold T.
            n_samples: noisy copies of each input at each step.
            alpha: probability over the draws that an input's answer fails.
            seed: of the keyed streams; None takes a fresh secret one.
            r_max: largest radius tried; by default 64 times the smallest one at which any attribution could succeed.
            confidence: as in `certify`.
            guarantee: as in `certify`.
            progress: True for a bar, or a function told how many copies have just been done.

        Returns:
            Certified radii, shape (batch,); inf where none was found up to r_max.
        """
        checks.positive("eps", eps)
        checks.fraction("cosine", cosine)
        batch = samples(inputs, target, None)
        statement = self._statement(inputs, n_samples, alpha, seed, confidence, guarantee, None, ("norm",), ())
        # What would do for the largest possible norm, M, by total variation.
        geometry = Geometry(statement, "sound", Facts.of_norm(np.array([self.bound.max_norm])))
        most = float(geometry.max_eps(np.array([cosine]))[0])
        if most == 0.0 and not isinstance(self.noise, Gaussian):
            return np.full(len(inputs), np.inf)  # averages of so few draws prove nothing, whatever the radius
        typical = eps * self.noise.scale / most if most else eps
        ceiling = _SEARCH_RANGE * typical if r_max is None else checks.positive("r_max", r_max)
        # By variance less noise may do; without it, none can.
        gaussian = isinstance(self.noise, Gaussian)
        first, failed = (typical / _VARIANCE_GAIN, 0.0) if gaussian else (1.1 * typical, typical)

        def search(x: Tensor, index: Tensor | None, key: str, tick: ProgressCallback) -> float:
            def holds(scale: float) -> bool:
                certificate = replace(self, noise=self.noise.with_scale(scale)).certify(
                    x[None],
                    None if index is None else index[None],
                    n_samples=n_samples,
                    alpha=alpha / _SEARCH_STEPS,
                    seed=statement.seed,
                    confidence=confidence,
                    guarantee=guarantee,
                    stop_when=(eps, cosine) if confidence == "betting" else None,
                    features=False,
                    label=False,
                    sample_ids=[f"{key} at {scale!r}"],
                    progress=tick,
                )
                return bool(certificate.cosine(eps)[0] >= cosine)

            return least_scale(holds, min(first, ceiling), ceiling, _SEARCH_STEPS, failed)

        with reporting(progress, n_samples * _SEARCH_STEPS * len(inputs), "searching") as tick:
            return np.array([search(*sample, tick) for sample in batch])

    def _sampler(self, classifier: Classifier | None = None) -> Sampler:
        batch = BatchSize(self.batch_size, self.memory_budget)
        return Sampler(self.attribution, self.noise, self.bound, self.antithetic, classifier, batch)

    def _classifier(self, target: Targets | npt.ArrayLike) -> Classifier | None:
        if self.classifier is not None or target is None:
            return self.classifier
        own: Classifier | None = getattr(self.attribution, "model", None)
        return own

    def _statement(
        self,
        inputs: Tensor,
        n_samples: int,
        alpha: float,
        seed: int | None,
        confidence: str,
        guarantee: str,
        observed_samples: int | None,
        parts: tuple[str, ...],
        moments: tuple[int, ...],
    ) -> Statement:
        return Statement(
            noise=self.noise,
            dimension=inputs[0].numel(),
            bound=self.bound.max_norm,
            entry_bound=self.bound.entry_bound,
            bound_name=repr(self.bound),
            nonnegative=is_nonnegative(self.attribution),
            alpha=alpha,
            guarantee=guarantee,
            observed_samples=n_samples if observed_samples is None else observed_samples,
            confidence=checks.known("confidence", confidence, CONFIDENCES),
            antithetic=self.antithetic,
            seed=_seed(seed),
            parts=parts,
            moments=moments,
        )


def _seed(seed: int | None) -> int:
    return fresh_seed() if seed is None else checks.count("seed", seed, 0)


def _warn_of_nonfinite(evidence: Evidence) -> None:
    count = int(evidence.nonfinite.sum())
    if count:
        warnings.warn(
            f"{count} of {int(evidence.n_samples.sum())} sampled attributions held NaN or inf; they count as zero",
            AttributionWarning,
            stacklevel=3,
        )
