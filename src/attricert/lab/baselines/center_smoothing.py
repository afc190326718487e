"""Center Smoothing (A. Kumar and T. Goldstein, NeurIPS 2021, arXiv 2102.09701), of the directions of attributions.

The smoothed output at x is the center of a small ball that holds about half of the outputs at x + a, where
a ~ N(0, sigma^2 I). Why a certificate holds for any x~ with ||x~ - x||_2 <= eps_in, in the paper's terms, with
Delta_1 = sqrt(ln(2/alpha_1) / 2n):

1. Let B be the smallest ball, centered anywhere, with a mass of at least 1/2 + Delta_1 of the outputs at x~ + a, and r*
   its radius. But for 2^-candidates, some candidate lies in B; but for alpha_1/2 (Hoeffding), so does half the sample.
   That candidate is within 2 gamma r* of this half (relaxed triangle inequality, through the center of B): its median
   distance, and so the least one, is at most beta r*, beta = 2 gamma.
2. A fresh sample shows, but for alpha_1/2 (Hoeffding), that the ball of that least median distance around the chosen
   candidate, the smoothed output at x~, has a mass above (share of the sample) - Delta_1 = 1/2 - Delta_2. Where Delta_1
   or Delta_2 exceeds Delta, it abstains.
3. Let the ball of radius R around the smoothed output at x hold a mass of at least Phi(Phi^-1(1/2 + Delta) +
   eps_in/sigma) of the outputs at x + a; then it holds at least 1/2 + Delta of those at x~ + a (Neyman and Pearson).
   So r* <= R, and both balls share a point: the two outputs are within gamma (R + beta r*) <= gamma (1 + 2 gamma) R.
4. R is an empirical quantile of distances, at that mass + sqrt(ln(1/alpha_2) / 2m): large enough but for alpha_2, at
   all eps_in at once (Massart 1990, for alpha_2 <= 1/2).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from scipy import special
from torch import Tensor

from attricert import checks
from attricert.arguments import samples
from attricert.attributions import Attribution, Targets
from attricert.bounding import Normalize
from attricert.errors import ArgumentError, AttributionWarning
from attricert.lab.baselines.distances import DISTANCES, WORST_CHORD, Distance, chords
from attricert.noise import Gaussian
from attricert.progress import ProgressCallback, reporting
from attricert.sampling import BatchSize, Sampler
from attricert.streams import Stream, seed_of

__all__ = ["CenterCertificate", "CenterSmoothing", "Centers"]

Array = npt.NDArray[np.float64]

_ROUNDING = 1e-12  # of chords and cosines, absolute; of quantile levels, relative


@final
@dataclass(frozen=True)
class Centers:
    """Smoothed outputs.

    Args:
        centers: unit vectors (or zero) of the inputs' shape, float64; NaN where it abstains.
        abstained: where no ball around the center was shown to hold enough.
        calls: attributions computed for each input.
    """

    centers: Float[Tensor, "batch *features"]
    abstained: Bool[np.ndarray, " batch"]
    calls: Int[np.ndarray, " batch"]


@final
@dataclass(frozen=True)
class CenterCertificate:
    """How far smoothed outputs can move.

    Each input's bounds hold, but for the chance `CenterSmoothing.alpha`, between its center and the smoothed output at
    any one x~ within eps of it that was chosen without knowing the draws, unless smoothing abstains at x~.

    Args:
        centers: unit vectors (or zero) of the inputs' shape, float64; NaN where it abstains.
        abstained: where no ball around the center was shown to hold enough.
        eps: l2 sizes of the perturbation.
        eps_out: upper bounds on the distance, in units of the distance; inf where nothing is proven. From the distance
            of opposite maps on (1 for angular, 2 else) they say nothing either.
        cosine: the lower bounds on the cosine that they imply; -1 where they imply none.
        calls: attributions computed for each input.
    """

    centers: Float[Tensor, "batch *features"]
    abstained: Bool[np.ndarray, " batch"]
    eps: Float[np.ndarray, " k"]
    eps_out: Float[np.ndarray, "batch k"]
    cosine: Float[np.ndarray, "batch k"]
    calls: Int[np.ndarray, " batch"]


@final
@dataclass(frozen=True)
class CenterSmoothing:
    """The center of a small ball around half of the attributions' directions under Gaussian noise.

    Args:
        attribution: g, any callable ``g(inputs, target)``, as for `SmoothedAttribution`. Only its direction counts; a
            zero, or one that is not finite, is as far as can be from everything.
        sigma: standard deviation of the noise in input units, > 0.
        distance: ``"angular"`` (arccos(cos)/pi, a metric), ``"cosine"`` (1 - cos, for which bounds are 10 instead of 3
            radii, as gamma = 2) or ``"l2"`` (of the normalized attributions, a metric).
        n_pred: n, draws for the radius of the ball, and as many again to check it.
        n_cert: m, draws for the certificate.
        n_candidates: draws among which the center is chosen.
        alpha_1: chance that the smoothed output at the perturbed input is not what it is taken for.
        alpha_2: chance that the certificate's quantile is too small, at most 1/2.
        delta: Delta, by how much the mass of the ball may miss a half, < 1/2.
        batch_size: noisy copies computed at once; chosen from the memory budget if None.
    """

    attribution: Attribution
    sigma: float
    distance: str = "angular"
    n_pred: int = 10_000
    n_cert: int = 1_000_000
    n_candidates: int = 30
    alpha_1: float = 0.005
    alpha_2: float = 0.005
    delta: float = 0.05
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if not callable(self.attribution):
            raise ArgumentError("attribution", self.attribution, "must be callable as g(inputs, target)")
        checks.positive("sigma", self.sigma)
        checks.known("distance", self.distance, DISTANCES)
        for name in ("n_pred", "n_cert", "n_candidates"):
            checks.count(name, getattr(self, name), 1)
        for name in ("alpha_1", "alpha_2", "delta"):
            checks.fraction(name, getattr(self, name))
        if self.alpha_2 > 0.5:
            raise ArgumentError("alpha_2", self.alpha_2, "must be at most 1/2")
        if self.delta >= 0.5:
            raise ArgumentError("delta", self.delta, "must be < 1/2")
        if self._delta_1 > self.delta:
            fewest = math.ceil(math.log(2 / self.alpha_1) / (2 * self.delta**2))
            rule = f"must be >= {fewest} for alpha_1={self.alpha_1} and delta={self.delta}; else all inputs abstain"
            raise ArgumentError("n_pred", self.n_pred, rule)
        if self.batch_size is not None:
            checks.count("batch_size", self.batch_size, 1)

    @property
    def alpha(self) -> float:
        """Chance that a certificate fails: alpha_1 + alpha_2, and that no candidate lies in the smallest ball."""
        return self.alpha_1 + self.alpha_2 + 0.5**self.n_candidates

    def smooth(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        seed: int | None = None,
        sample_ids: Sequence[str] | None = None,
        progress: bool | ProgressCallback = False,
    ) -> Centers:
        """The smoothed outputs alone, those that `certify` finds with the same seed (the paper's algorithm 1).

        Args:
            inputs: shape (batch, ...), float32 or float64, finite.
            target: class index, or one an input; None for single-output models.
            seed: of the keyed streams; None takes a fresh secret one.
            sample_ids: names that key each input's draws; by default made from its content.
            progress: True for a bar, or a function told how many copies have just been done.

        Returns:
            Centers of the inputs' shape, and where it abstains.

        Warns:
            AttributionWarning: some sampled attributions held NaN or inf.
        """
        found = self._run(inputs, target, np.zeros(0, dtype=np.int64), seed, sample_ids, progress)
        return Centers(_stacked(found, inputs), _abstained(found), _calls(found))

    def certify(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        eps: npt.ArrayLike,
        seed: int | None = None,
        sample_ids: Sequence[str] | None = None,
        progress: bool | ProgressCallback = False,
    ) -> CenterCertificate:
        """Smooth, and bound how far the smoothed outputs move under perturbations (the paper's algorithm 2).

        Args:
            inputs: shape (batch, ...), float32 or float64, finite.
            target: class index, or one an input; None for single-output models.
            eps: l2 sizes of the perturbation, >= 0; one or several, all served by the same draws.
            seed: of the keyed streams; None takes a fresh secret one, as deployment should (docs/threat_model.md).
            sample_ids: names that key each input's draws; by default made from its content.
            progress: True for a bar, or a function told how many copies have just been done.

        Returns:
            Bounds of shape (batch, k), one for each eps. Inputs that abstain are not sampled further.

        Warns:
            AttributionWarning: some sampled attributions held NaN or inf.
        """
        sizes = np.atleast_1d(checks.nonnegative_values("eps", eps))
        ranks = self._ranks(sizes)
        found = self._run(inputs, target, ranks, seed, sample_ids, progress)
        distance = DISTANCES[self.distance]
        eps_out = _bounds(distance, np.array([one.radii for one in found]))
        cosine = np.maximum(distance.cosine(eps_out) - _ROUNDING, -1.0)
        return CenterCertificate(_stacked(found, inputs), _abstained(found), sizes, eps_out, cosine, _calls(found))

    @property
    def _delta_1(self) -> float:
        return math.sqrt(math.log(2 / self.alpha_1) / (2 * self.n_pred))

    def _ranks(self, eps: Array) -> Int[np.ndarray, " k"]:
        """Which of the sorted distances is the radius for each eps; 0 for none."""
        mass = special.ndtr(special.ndtri(0.5 + self.delta) + eps / self.sigma)
        level = mass + math.sqrt(math.log(1 / self.alpha_2) / (2 * self.n_cert))
        level *= 1 + _ROUNDING
        return np.where(level < 1, np.ceil(level * self.n_cert), 0).astype(np.int64)

    def _run(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike,
        ranks: Int[np.ndarray, " k"],
        seed: int | None,
        sample_ids: Sequence[str] | None,
        progress: bool | ProgressCallback,
    ) -> list[_Found]:
        batch = samples(inputs, target, sample_ids)
        run_seed = seed_of(seed)
        sampler = Sampler(self.attribution, Gaussian(self.sigma), Normalize(), batch=BatchSize(self.batch_size))
        draws = self.n_candidates + 2 * self.n_pred + (self.n_cert if ranks.any() else 0)
        with reporting(progress, draws * len(batch), "center smoothing") as on_progress:
            found = [
                self._one(_Source(sampler, x, index, run_seed, key, on_progress), ranks) for x, index, key in batch
            ]
        _warn_of_nonfinite(sum(one.nonfinite for one in found), int(_calls(found).sum()))
        return found

    def _one(self, source: _Source, ranks: Int[np.ndarray, " k"]) -> _Found:
        found = self._center(source, len(ranks))
        if found.abstained or not ranks.any():
            return found
        drawn = source.chords("certify", self.n_cert, found.center[None])
        drawn.values.sort(axis=0)  # in place: the largest array there is
        radii = np.where(ranks > 0, drawn.values[ranks - 1, 0], np.inf)
        nonfinite = found.nonfinite + drawn.nonfinite
        return replace(found, radii=radii, calls=found.calls + self.n_cert, nonfinite=nonfinite)

    def _center(self, source: _Source, sizes: int) -> _Found:
        rows, lost = source.rows("centers", self.n_candidates)
        sample = source.chords("radius", self.n_pred, rows)
        # The least distance within which half the sample lies; a mean of two middle values could exceed beta r*.
        half = math.ceil(self.n_pred / 2) - 1
        medians = np.partition(sample.values, half, axis=0)[half]
        best = int(medians.argmin())
        check = source.chords("check", self.n_pred, rows[best, None])
        delta_2 = 0.5 - (float((check.values <= medians[best]).mean()) - self._delta_1)
        abstained = delta_2 > self.delta
        center = torch.full_like(rows[best], torch.nan) if abstained else rows[best]
        calls, nonfinite = self.n_candidates + 2 * self.n_pred, lost + sample.nonfinite + check.nonfinite
        return _Found(center, abstained, np.full(sizes, np.inf), calls, nonfinite)


@final
@dataclass(frozen=True)
class _Found:
    """What was found for one input: its center, and a radius in chords for each eps."""

    center: Float[Tensor, " d"]
    abstained: bool
    radii: Float[np.ndarray, " k"]
    calls: int
    nonfinite: int


@final
@dataclass(frozen=True)
class _Chords:
    """Chords from each draw to each center."""

    values: Float[np.ndarray, "n k"]
    nonfinite: int


@final
@dataclass(frozen=True)
class _Source:
    """The draws of one input."""

    sampler: Sampler
    x: Tensor
    target: Tensor | None
    seed: int
    key: str
    on_progress: ProgressCallback

    def rows(self, stage: str, n: int) -> tuple[Float[Tensor, "n d"], int]:
        """The first n directions of a stage, and how many of them were not finite."""
        parts = list(self._chunks(stage, n))
        return torch.cat([rows for rows, _ in parts]), sum(lost for _, lost in parts)

    def chords(self, stage: str, n: int, centers: Float[Tensor, "k d"]) -> _Chords:
        """Chords of n draws; nothing else of them is kept."""
        values, done, nonfinite = np.empty((n, len(centers))), 0, 0
        for rows, lost in self._chunks(stage, n):
            values[done : done + len(rows)] = chords(rows, centers).cpu().numpy()
            done, nonfinite = done + len(rows), nonfinite + lost
        return _Chords(values, nonfinite)

    def _chunks(self, stage: str, n: int) -> Iterator[tuple[Tensor, int]]:
        for draws in self.sampler.draws(self.x, self.target, Stream(self.seed, self.key, stage), 0, n):
            yield draws.rows, draws.nonfinite
            self.on_progress(draws.calls)


def _bounds(distance: Distance, radii: Float[np.ndarray, "batch k"]) -> Float[np.ndarray, "batch k"]:
    """gamma (1 + beta) R, beta = 2 gamma; inf where there is no radius."""
    chord = np.minimum(radii + _ROUNDING, WORST_CHORD)
    bound = distance.gamma * (1 + 2 * distance.gamma) * distance.of_chord(chord)
    return np.where(np.isinf(radii), np.inf, bound)


def _stacked(found: Sequence[_Found], inputs: Tensor) -> Tensor:
    return torch.stack([one.center for one in found]).reshape(inputs.shape)


def _abstained(found: Sequence[_Found]) -> Bool[np.ndarray, " batch"]:
    return np.array([one.abstained for one in found])


def _calls(found: Sequence[_Found]) -> Int[np.ndarray, " batch"]:
    return np.array([one.calls for one in found], dtype=np.int64)


def _warn_of_nonfinite(count: int, calls: int) -> None:
    if count:
        warnings.warn(
            f"{count} of {calls} sampled attributions held NaN or inf; they count as the worst distance",
            AttributionWarning,
            stacklevel=4,
        )
