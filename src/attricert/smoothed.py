"""Smoothed attributions and their certificates: what users call."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from attricert import checks
from attricert.arguments import samples
from attricert.attributions import Attribution, Classifier, Targets, is_random, undisturbed
from attricert.bounding import Bound, Normalize
from attricert.certificates import Certificate, Claim, Evidence, Observed, Terms, least_scale
from attricert.confidence import CONFIDENCE_BOUNDS
from attricert.diagnosis import Diagnosis, Patient, Tuning, default_noise, examine, tuned
from attricert.errors import ArgumentError, AttributionWarning, MeaningWarning
from attricert.fixed import Fixed
from attricert.moments import no_moments
from attricert.noise import NOISES, Noise
from attricert.options import Options
from attricert.planning import FEWEST, Plan, plan_scales, scales_for_classes, scales_to_try
from attricert.progress import ProgressCallback, reporting
from attricert.proving import Forecast
from attricert.sampling import Compute
from attricert.smoothing import FEWEST_TO_FORECAST, Smoothing
from attricert.streams import Stream, seed_of
from attricert.units import InputUnits
from attricert.workload import measured_on

__all__ = ["SmoothedAttribution"]

_SEARCH_STEPS, _SEARCH_RANGE = 12, 64.0
_VOTES = 32  # noisy copies that tell whether a class is worth a pilot
_SINGLY = 8  # draws that tell how fast they are where each is a call of its own
_VARIANCE_GAIN = 3.0  # in certified eps, about


@final
@dataclass(frozen=True)
class SmoothedAttribution(Smoothing):
    """h(x) = E g(x + a): the mean of a bounded attribution over noisy copies of the input (paper, section 3).

    Args:
        attribution: g, any callable ``g(inputs, target)`` with inputs of shape (n, ...) that gives a map an input,
            shape (n, ...), row by row and deterministically; see `attricert.wrap`. It is given copies. Maps may have
            another shape than inputs: a layer's, superpixels', tokens'.
        noise: distribution of a, `UniformBall` or `Gaussian`. Noisy inputs are not clipped to the data range, but
            rounded to a lattice far finer than the noise (theory 5): that is part of what is certified.
        bound: the structural l2 bound applied to each sampled attribution.
        classifier: gives scores of shape (n, classes); its prediction on the same draws is certified too. By default
            the attribution's own ``model``, where it has one and a target is given.
        antithetic: sample in pairs (a, -a).
        batch_size: noisy copies computed at once; if None the attribution's own ``rows_at_once``, if it has one, else
            chosen from the memory budget.
        memory_budget: bytes for a batch; by default 1 GiB on the CPU, half the free memory on CUDA.
        fixed: entries of an input to which no noise is added, and of which the certificate takes no change: a mask
            (bool, True is held fixed) of one input's shape; by default the attribution's own ``fixed``, if it has one.
        compute: how draws are computed, which changes nothing but speed: memory format, compiling, threads; `tune`
            measures what to choose.
    """

    attribution: Attribution
    noise: Noise
    bound: Bound = field(default_factory=Normalize)
    classifier: Classifier | None = None
    antithetic: bool = False
    batch_size: int | None = None
    memory_budget: int | None = None
    fixed: npt.ArrayLike | Fixed | None = None
    compute: Compute = field(default_factory=Compute)

    def __post_init__(self) -> None:
        if not isinstance(self.noise, Noise):
            raise ArgumentError("noise", self.noise, "must be UniformBall(radius) or Gaussian(sigma)")
        NOISES.name_of(self.noise)  # the terms of a certificate store it by its word
        if not isinstance(self.bound, Bound):
            raise ArgumentError("bound", self.bound, "must be Normalize() or Clip(max_norm)")
        if isinstance(self.attribution, (nn.Module, type)):
            name = self.attribution.__name__ if isinstance(self.attribution, type) else "a model"
            text = "must be an attribution g(inputs, target), such as Saliency(model)"
            raise ArgumentError("attribution", name, text)
        if not callable(self.attribution):
            raise ArgumentError("attribution", self.attribution, "must be callable as g(inputs, target)")
        if self.classifier is not None and not callable(self.classifier):
            raise ArgumentError("classifier", self.classifier, "must be callable, giving scores of shape (n, classes)")
        if not isinstance(self.compute, Compute):
            raise ArgumentError("compute", self.compute, "must be a Compute(channels_last=, compile=, threads=)")
        checks.flag("antithetic", self.antithetic)
        given = getattr(self.attribution, "fixed", None) if self.fixed is None else self.fixed
        checks.keep(self, fixed=given if given is None or isinstance(given, Fixed) else Fixed.of(given))
        for name in ("batch_size", "memory_budget"):
            if getattr(self, name) is not None:
                checks.keep(self, **{name: checks.count(name, getattr(self, name), 1)})

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
            inputs: shape (batch, ...), float32 or float64, finite; an array or lists are converted.
            target: class index, or one an input; None for single-output models. A tuple is an index into each axis of
                one input's output, such as (class, row, column); a list of tuples, one an input.
            n_samples: noisy copies of each input.
            seed: of the keyed streams; None takes a fresh secret one.
            sample_ids: names that key each input's draws; by default made from its content.
            progress: True for a bar, or a function told how many copies have just been done.

        Returns:
            Smoothed attributions, shape (batch, ...) of the attribution's maps, in the inputs' dtype and in units of
            the bounded attribution.
        """
        n_samples = checks.count("n_samples", n_samples, 2 if self.antithetic else 1)
        run_seed, sampler, maps = seed_of(seed), self._sampler(), []
        with undisturbed(self.attribution, self.classifier), self.compute.in_threads():
            batch = self._batch(inputs, target, sample_ids)
            looked = self._preflight(sampler, batch[0])
            sampler = sampler.settled(*batch[0][:2])
            shape = sampler.map_shape(batch[0][0])
            with reporting(progress, n_samples * len(batch), "smoothing") as tick:
                for x, index, key in batch:
                    moments = no_moments(x.new_zeros(shape))
                    stream = Stream(run_seed, key, "attribute")
                    for draws in sampler.draws(x, index, stream, 0, n_samples // sampler.calls_per_draw):
                        moments = moments.update(draws.values)
                        tick(draws.calls)
                    maps.append(moments.mean.reshape(shape).to(x))
            looked.again()
        return torch.stack(maps)

    def certify(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        n_samples: int = 10_000,
        alpha: float = 1e-3,
        seed: int | None = None,
        prove: Sequence[str] | None = None,
        guarantee: Literal["population", "observed"] | Observed = "population",
        stop_at: Claim | None = None,
        confidence: str = "betting",
        functionals: npt.ArrayLike | Tensor | None = None,
        sample_ids: Sequence[str] | None = None,
        preflight: bool = True,
        progress: bool | ProgressCallback = False,
    ) -> Certificate:
        """Sample, and prove what the samples allow, for each input with probability at least 1 - alpha.

        Args:
            inputs: shape (batch, ...), float32 or float64, finite; an array or lists are converted.
            target: class index, or one an input; None for single-output models.
            n_samples: see `Options`, as for the next six.
            alpha: probability over the draws that an input's certificates fail.
            seed: of the keyed streams; None takes a fresh secret one.
            prove: what to prove beside the norm; None for all but the fourth moment.
            guarantee: about h, or about averages that people see.
            stop_at: a claim that ends sampling as soon as it is decided.
            confidence: bound on the norm of h.
            functionals: fixed linear functionals of the map to prove intervals for: weights of shape (r, ...), or a
                label map of the inputs' shape (integers; entries with the same label are summed, superpixels).
            sample_ids: names that key each input's draws; by default made from its content.
            preflight: look first, in a few calls, for what would make certificates false; see `Options`.
            progress: True for a bar, or a function told how many copies have just been done.

        Returns:
            A certificate with its evidence; every curve in eps or T comes from it without the model.

        Raises:
            ArgumentError: an argument breaks its rule; or the preflight found maps that are random, or that depend on
                their neighbours in a batch.
            CallError: model, attribution or classifier raised an error.

        Warns:
            MeaningWarning: the smoothed classifier's class is not the explained one, or is the same for all inputs.
            AttributionWarning: some sampled attributions held NaN or inf.
            ZeroMapsWarning: all maps that were looked at before the draws are zero.
            InPlaceWarning: attribution or classifier changes its inputs in place.
            ModelModeWarning: a model is in train mode; it is called in eval mode, and left as it is.
            OutputWarning: the model's output can be read in more than one way, or is a saturated probability.
            RangeWarning: inputs are not in the range that the model declares, or look normalized.
        """
        options = Options(n_samples, alpha, seed, prove, guarantee, stop_at, confidence, preflight)
        certificate = self.certify_with(
            options, inputs, target, functionals=functionals, sample_ids=sample_ids, progress=progress
        )
        for line in certificate.meaning.lines():
            warnings.warn(line, MeaningWarning, stacklevel=2)
        return certificate

    def certify_with(
        self,
        options: Options,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        functionals: npt.ArrayLike | Tensor | None = None,
        sample_ids: Sequence[str] | None = None,
        progress: bool | ProgressCallback = False,
        on_draws: Callable[[int, Callable[[], Certificate]], None] | None = None,
        like: Terms | None = None,
    ) -> Certificate:
        """As `certify`, with all options as one value; of classes, `Certificate.meaning` says what `certify` warns of.

        Args:
            options: what is asked of the draws.
            inputs: as in `certify`.
            target: as in `certify`.
            functionals: as in `certify`.
            sample_ids: as in `certify`.
            progress: as in `certify`.
            on_draws: told, as an input's draws come in, how many copies are done (the pilot's aside) and a function
                that gives the certificate (of the cosine alone) that they would make.
            like: terms whose ledger says what is proven, at which shares of alpha, and whose lattice (or lack of one)
                is taken; to prove again what somebody else has proven. Made from the options if None.
        """
        with undisturbed(self.attribution, self.classifier), self.compute.in_threads():
            certificate = self._certified(
                options, inputs, target, functionals, sample_ids, progress, on_draws=on_draws, like=like
            )
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
        entries: bool = False,
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
            entries: keep the draws (64 MiB an input at the most), so that entries are forecast too.
            progress: True for a bar, or a function told how many copies have just been done.

        Returns:
            One forecast an input, with ``max_eps(cosine, n_samples)``, ``samples_needed(eps, cosine, ...)`` and
            ``keeps_class(n_samples)``; with ``entries``, also ``entries(eps, k, n_samples)``.
        """
        # The options are those of the certificate to come, whose number of draws is what is asked of the forecast.
        options = Options(alpha=alpha, seed=seed, confidence=confidence)
        return self._forecasts(options, inputs, target, n_samples, checks.flag("entries", entries), progress)

    def plan(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        claim: Claim | None = None,
        cosine: float | None = None,
        scales: Sequence[float] | None = None,
        n_pilot: int = 400,
        n_samples: int = 10_000,
        alpha: float = 1e-3,
        seed: int | None = None,
        entries: bool = True,
        progress: bool | ProgressCallback = False,
    ) -> Plan:
        """Estimate what each scale of this noise gives, and which to use; nothing is proven.

        With a claim, which scale and how many samples will prove it; without one, which eps is to be had. Where there
        is a classifier, also whether the smoothed one still predicts the explained classes; and how much smoothing
        changes the maps. For the chosen scale, which bound on entries (`Plan.max_entry`) makes most signs and ranks
        certain, unless this object's bound has one: a constant of the model, so these inputs must not be among those
        that are certified with it. This object's own scale plays no part.

        Args:
            inputs: shape (batch, ...), float32 or float64, finite; a few that stand for all.
            target: class index, or one an input; None for single-output models.
            claim: what is to be proven; None for whatever can be had.
            cosine: threshold T of which eps is told, 0.9 by default; not with a claim, which has its own.
            scales: sigmas (or radii) to try; by default a range around what the claim needs, and without one up to
                where the explained classes are lost, in steps of the inputs' standard deviation.
            n_pilot: samples for each input and scale, >= 50.
            n_samples: samples that may be spent on an input, >= 500.
            alpha: as in `certify`.
            seed: of the keyed streams; None takes a fresh secret one.
            entries: plan for single entries, too.
            progress: True for a bar, or a function told how many copies have just been done.
        """
        options = Options(checks.count("n_samples", n_samples, FEWEST), alpha, seed)
        return self.plan_with(
            options,
            inputs,
            target,
            claim=claim,
            cosine=cosine,
            scales=scales,
            n_pilot=n_pilot,
            entries=entries,
            progress=progress,
        )

    def plan_with(
        self,
        options: Options,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        claim: Claim | None = None,
        cosine: float | None = None,
        scales: Sequence[float] | None = None,
        n_pilot: int = 400,
        entries: bool = True,
        progress: bool | ProgressCallback = False,
    ) -> Plan:
        """As `plan`, for certificates with these options.

        Args:
            options: those of the certificates to come; their number of samples is what may be spent.
            inputs: as in `plan`, like all that follows.
            target: as in `plan`.
            claim: as in `plan`; by default the claim that ends sampling early, if the options have one.
            cosine: as in `plan`.
            scales: as in `plan`.
            n_pilot: as in `plan`.
            entries: as in `plan`; left out where the options prove nothing of entries.
            progress: as in `plan`.
        """
        claim = options.stop_at if claim is None else Claim.checked("claim", claim)
        if claim is not None and cosine is not None:
            raise ArgumentError("cosine", cosine, "must be left out where a claim has one")
        threshold = 0.9 if cosine is None else checks.fraction("cosine", cosine)
        n_pilot = checks.count("n_pilot", n_pilot, FEWEST_TO_FORECAST)
        checks.count("n_samples", options.n_samples, FEWEST)
        wanted, classifier = checks.flag("entries", entries), self._classifier(target)
        proven = options.proven(classifier=classifier is not None)
        wanted = wanted and "entries" in proven and self.bound.max_entry is None
        options = replace(options, seed=seed_of(options.seed))
        batch = samples(inputs, target, None)
        tried = self._scales(batch, classifier, claim, scales)
        device = measured_on(batch[0][0].device)
        empty = Plan(claim, self.noise, len(batch), options.n_samples, (), threshold, device=device)
        with reporting(progress, n_pilot * len(batch) * len(tried), "planning") as tick:

            def forecasts_at(noise: Noise) -> list[Forecast]:
                return replace(self, noise=noise)._forecasts(options, inputs, target, n_pilot, wanted, tick)

            return plan_scales(forecasts_at, empty, tried, n_pilot, entries=wanted)

    def _scales(
        self,
        batch: list[tuple[Tensor, Tensor | None, str]],
        classifier: Classifier | None,
        claim: Claim | None,
        scales: Sequence[float] | None,
    ) -> list[float]:
        """Those given, or some that suit the claim, or the classes."""
        if scales is not None:
            if len(scales) == 0:
                raise ArgumentError("scales", scales, "must name at least one")
            return [checks.positive("scales", scale) for scale in scales]
        free = self._sampler().free(batch[0][0])
        if claim is not None:
            return scales_to_try(self.noise, claim, free.dimension)

        def votes_at(noise: Noise) -> float:
            sampler = replace(self, noise=noise)._sampler(classifier)
            return min(sampler.votes(x, index, Stream(0, key, "votes"), _VOTES) for x, index, key in batch)

        deviation = float(torch.stack([free.take(x) for x, *_ in batch]).double().std(correction=0))
        voting = classifier is not None and batch[0][1] is not None
        with undisturbed(self.attribution, self.classifier), self.compute.in_threads():
            return scales_for_classes(self.noise, free.dimension, deviation, votes_at if voting else None)

    def doctor(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        n_samples: int = 10_000,
        units: InputUnits | None = None,
        own_scale: bool = True,
    ) -> Diagnosis:
        """Look at what `certify` will meet, and tell it all: what would stop it, what is worth knowing, what it takes.

        That takes seconds for small models. Nothing is proven, and nothing that the looks find is raised.

        Args:
            inputs: shape (batch, ...), float32 or float64, finite; a few that stand for all.
            target: class index, or one an input; None for single-output models.
            n_samples: noisy copies of each input that are reckoned with.
            units: of the inputs; by default what they look like.
            own_scale: False where this object's noise scale is to play no part: it is then such that each value has a
                quarter of the inputs' standard deviation, and a finding says so.

        Returns:
            A finding for each look, with its status; ``problems`` are those that stand in the way.

        Raises:
            ArgumentError: inputs or target are none that can be looked at.
        """
        checks.count("n_samples", n_samples, 1)
        batch = samples(inputs, target, None)
        stacked = torch.stack([x for x, *_ in batch])
        targets = [index for _, index, _ in batch if index is not None]
        indices = torch.stack(targets) if targets else None
        assumed = not checks.flag("own_scale", own_scale)
        sampler = self._sampler(self._classifier(indices))
        sampler = replace(sampler, compute=replace(self.compute, compile=False))  # which would take too long
        if assumed:
            sampler = replace(sampler, noise=default_noise(self.noise, stacked, sampler.fixed))
        return examine(Patient(sampler, stacked, indices, self.batch_size, n_samples, units, assumed))

    def tune(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        compile: bool = False,
        seconds: float = 4.0,
    ) -> Tuning:
        """Measure in which way draws are fastest here: memory format, batch size, threads. No result depends on it.

        Args:
            inputs: shape (batch, ...), float32 or float64, finite; the first one stands for all.
            target: class index, or one an input; None for single-output models.
            compile: try a compiled model, too: seconds to minutes more.
            seconds: that this may take, about; at slow models it takes longer.

        Returns:
            The rates, and what to choose: ``compute`` and ``batch_size`` go with
            ``dataclasses.replace(smoothed, compute=..., batch_size=...)``, ``workers`` with runs.
        """
        x, index, _ = samples(inputs, target, None)[0]
        checks.flag("compile", compile)
        sampler = self._sampler(self._classifier(target))
        with undisturbed(self.attribution, self.classifier), self.compute.in_threads():
            few = _SINGLY if is_random(self.attribution) else None
            return tuned(sampler, x, index, seconds=checks.positive("seconds", seconds), compile=compile, most=few)

    def min_noise_scale(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        claim: Claim,
        n_samples: int = 10_000,
        alpha: float = 1e-3,
        seed: int | None = None,
        largest: float | None = None,
        confidence: str = "betting",
        guarantee: Literal["population", "observed"] | Observed = "population",
        progress: bool | ProgressCallback = False,
    ) -> npt.NDArray[np.float64]:
        """The smallest noise scale (sigma of `Gaussian`, radius of `UniformBall`) found that certifies a claim.

        h depends on the scale, so this is a search: each step samples anew at another scale, with alpha split over at
        most 12 steps (theory 4). This object's own scale plays no part, nor does the classifier: whether the smoothed
        one still predicts the explained class at that scale, `certify` says (`Certificate.class_kept`). The paper's
        closed form (its eq. 9) holds h fixed instead: `Certificate.fixed_norm_scale`.

        Args:
            inputs: shape (batch, ...), float32 or float64, finite; an array or lists are converted.
            target: class index, or one an input; None for single-output models.
            claim: what is to be certified.
            n_samples: noisy copies of each input at each step.
            alpha: probability over the draws that an input's answer fails.
            seed: of the keyed streams; None takes a fresh secret one.
            largest: largest scale tried; by default 64 times the smallest one at which total variation could succeed.
            confidence: as in `certify`.
            guarantee: as in `certify`.
            progress: True for a bar, or a function told how many copies have just been done.

        Returns:
            Certified scales, shape (batch,); inf where none was found up to ``largest``.
        """
        Claim.checked("claim", claim)
        batch = samples(inputs, target, None)
        anytime = confidence in CONFIDENCE_BOUNDS and CONFIDENCE_BOUNDS[confidence].anytime
        prove = () if confidence == "asymptotic" else ("top_variance",)
        stop_at = claim if anytime else None
        run_seed = seed_of(seed)
        options = Options(n_samples, alpha / _SEARCH_STEPS, run_seed, prove, guarantee, stop_at, confidence)
        # At what scale total variation alone would do for the largest possible norm, M.
        mass = 0.5 * math.sqrt((1 - claim.cosine) * (1 + claim.cosine))
        free = self._sampler().free(batch[0][0])
        typical = claim.eps / float(self.noise.with_scale(1.0).shift_of(mass, free.dimension))
        ceiling = _SEARCH_RANGE * typical if largest is None else checks.positive("largest", largest)
        # With second moments less noise may do.
        first = typical / _VARIANCE_GAIN if self.noise.dominated else typical

        def search(x: Tensor, index: Tensor | None, key: str, tick: ProgressCallback) -> float:
            def holds(scale: float) -> bool:
                certificate = replace(self, noise=self.noise.with_scale(scale)).certify_with(
                    options,
                    x[None],
                    None if index is None else index[None],
                    sample_ids=[f"{key} at {scale!r}"],
                    progress=tick,
                )
                return bool(certificate.cosine(claim.eps)[0] >= claim.cosine)

            return least_scale(holds, min(first, ceiling), ceiling, _SEARCH_STEPS)

        with reporting(progress, n_samples * _SEARCH_STEPS * len(batch), "searching") as tick:
            return np.array([search(*sample, tick) for sample in batch])


def _warn_of_nonfinite(evidence: Evidence) -> None:
    count, of = int(evidence.sampling.nonfinite.sum()), int(evidence.sampling.n_samples.sum())
    if count:
        warnings.warn(
            f"{count} of {of} sampled attributions held NaN or inf; they count as zero",
            AttributionWarning,
            stacklevel=4,
        )
