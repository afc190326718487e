"""Pixels certified to be important, or not (A. Anani, T. Lorenz, M. Fritz, B. Schiele, ICML 2025, arXiv 2506.15499).

The map of a noisy copy is reduced to ones, where its absolute values are largest, and zeros, as if each pixel had a
class (B. Fischer, M. Baader, M. Vechev 2021 certify segmentations so). For a pixel i with the class c that n0 first
draws show most often, and p = P(map_i(x + a) = c) under a ~ N(0, sigma^2 I), the certificate is Cohen's, with a limit
tau that is chosen beforehand:

1. If p > tau, then at x~ with ||x~ - x||_2 <= sigma Phi^-1(tau) the class c still has more than half of the mass
   (Neyman and Pearson: it has more than Phi(Phi^-1(tau) - ||x~ - x||/sigma)).
2. That p > tau is said where so many of n draws show c that, were p <= tau, as many would be seen with probability
   alpha/N at most (binomial test), N pixels in all: any of them is wrong with probability alpha at most. Elsewhere the
   answer is to abstain.

So each answer is about one radius, one share of ones and one tau; the radius does not depend on what is seen. The claim
is about the likelier class of each pixel over draws, not about the mean map, and not about what one draw shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import numpy.typing as npt
from jaxtyping import Int
from scipy import special, stats
from torch import Tensor

from attricert import checks
from attricert.arguments import samples
from attricert.attributions import Attribution, Targets, among_largest, undisturbed
from attricert.bounding import Normalize
from attricert.errors import ArgumentError
from attricert.lab.baselines.sparsified import warn_of_nonfinite
from attricert.noise import Gaussian
from attricert.progress import ProgressCallback, reporting
from attricert.sampling import BatchSize, Sampler
from attricert.streams import Stream, seed_of

__all__ = ["ABSTAIN", "PixelCertificate", "PixelCertification", "classes_of_pixels", "localization"]

ABSTAIN = -1
"""The answer of a pixel about which nothing is said."""

Classes = npt.NDArray[np.int64]


@final
@dataclass(frozen=True)
class PixelCertificate:
    """Which pixels are certain to be among the most important, or not to be.

    Each input's answers hold, but for the chance alpha, all at once, and for every x~ within the radius.

    Args:
        classes: 1 for a pixel that is certain to be among the largest more often than not, 0 for one that is certain
            not to be, `ABSTAIN` for others; shape (batch, *map).
        radius: l2 size, in input units.
        calls: attributions computed for each input.
    """

    classes: Int[np.ndarray, "batch *map"]
    radius: float
    calls: Int[np.ndarray, " batch"]

    @property
    def certified(self) -> npt.NDArray[np.float64]:
        """The share of each input's pixels with an answer (the paper's measure of robustness)."""
        return np.asarray((self.classes != ABSTAIN).reshape(len(self.classes), -1).mean(axis=1))

    def localization(self, inside: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Of each input's pixels that are certain to be among the largest, the share inside (certified localization).

        As the authors have it, that is 0 also where no pixel is certain; see ``(classes == 1).any(...)``.

        Args:
            inside: where the explained class is, a mask (bool) of a map's shape.
        """
        mask, shape = np.asarray(inside), self.classes.shape[1:]
        if mask.dtype != bool or mask.shape != shape:
            given = f"{mask.dtype} of shape {mask.shape}"
            raise ArgumentError("inside", given, f"must be a mask (bool) of shape {shape}")
        return localization(self.classes.reshape(len(self.classes), -1), mask.reshape(-1))


@final
@dataclass(frozen=True)
class PixelCertification:
    """A class of each pixel: among the largest, or not. The defaults are the authors'.

    Args:
        attribution: g, any callable ``g(inputs, target)``, as for `SmoothedAttribution`. Its entries are the pixels;
            for color images the authors' maps have their channels summed up. Only the order of its absolute values
            counts. A map that is not finite counts as zero; zeros never become ones, nor do values that are tied at the
            border of the largest.
        sigma: standard deviation of the noise in input units, > 0.
        top: share of the pixels that are ones (the paper's K %), > 0 and < 1.
        tau: the probability that a pixel's class must exceed, > 0.5 and < 1.
        n_samples: n, draws an input, those for the classes included.
        n_pilot: n0, draws that choose the classes.
        alpha: chance that any of an input's answers fails.
        batch_size: noisy copies computed at once; chosen from the memory budget if None.
    """

    attribution: Attribution
    sigma: float = 0.15
    top: float = 0.25
    tau: float = 0.75
    n_samples: int = 100
    n_pilot: int = 10
    alpha: float = 1e-3
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if not callable(self.attribution):
            raise ArgumentError("attribution", self.attribution, "must be callable as g(inputs, target)")
        checks.positive("sigma", self.sigma)
        checks.fraction("top", self.top)
        if not checks.fraction("tau", self.tau) > 0.5:
            raise ArgumentError("tau", self.tau, "must be more than 0.5, and less than 1")
        checks.count("n_pilot", self.n_pilot, 1)
        if checks.count("n_samples", self.n_samples, 1) <= self.n_pilot:
            raise ArgumentError("n_samples", self.n_samples, f"must be more than n_pilot = {self.n_pilot}")
        checks.fraction("alpha", self.alpha)
        if self.batch_size is not None:
            checks.count("batch_size", self.batch_size, 1)

    @property
    def radius(self) -> float:
        """sigma Phi^-1(tau), rounded down: within it answers hold."""
        return float(self.sigma * special.ndtri(self.tau)) * (1 - 1e-12)

    def within(self, radius: float) -> PixelCertification:
        """For another radius, > 0, with the tau that it takes, and draws of its own."""
        tau = float(special.ndtr(checks.positive("radius", radius) / self.sigma * (1 + 1e-9)))
        if tau >= 1:
            raise ArgumentError("radius", radius, f"is out of reach of sigma = {self.sigma}")
        return replace(self, tau=tau)

    def certify(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        seed: int | None = None,
        sample_ids: Sequence[str] | None = None,
        progress: bool | ProgressCallback = False,
    ) -> PixelCertificate:
        """Count ones, and test each pixel's class.

        Args:
            inputs: shape (batch, ...), float32 or float64, finite.
            target: class index, or one an input; None for single-output models.
            seed: of the keyed streams; None takes a fresh secret one, as deployment should (docs/threat_model.md).
            sample_ids: names that key each input's draws; by default made from its content.
            progress: True for a bar, or a function told how many copies have just been done.

        Warns:
            AttributionWarning: some sampled attributions held NaN or inf.
        """
        batch = samples(inputs, target, sample_ids)
        run_seed = seed_of(seed)
        sampler = Sampler(self.attribution, Gaussian(self.sigma), Normalize(), batch=BatchSize(self.batch_size))
        found, lost = [], 0
        work = reporting(progress, self.n_samples * len(batch), "pixel certification")
        with undisturbed(self.attribution, None), work as tick:
            for x, index, key in batch:
                own = sampler.settled(x, index)
                first, bad = self._ones(own, x, index, Stream(run_seed, key, "pilot"), self.n_pilot, tick)
                n = self.n_samples - self.n_pilot
                ones, worse = self._ones(own, x, index, Stream(run_seed, key, "main"), n, tick)
                classes = classes_of_pixels(first, self.n_pilot, ones, n, self.tau, self.alpha)
                found.append(classes.reshape(own.map_shape(x)))
                lost += bad + worse
        warn_of_nonfinite(lost, self.n_samples * len(batch))
        calls = np.full(len(batch), self.n_samples, dtype=np.int64)
        return PixelCertificate(np.stack(found), self.radius, calls)

    def _ones(
        self, sampler: Sampler, x: Tensor, target: Tensor | None, stream: Stream, n: int, tick: ProgressCallback
    ) -> tuple[Classes, int]:
        """In how many draws each pixel is a one; and how many draws held NaN or inf."""
        counts, nonfinite = np.zeros(1, dtype=np.int64), 0
        for draws in sampler.draws(x, target, stream, 0, n):
            counts = counts + among_largest(draws.rows, self.top).sum(dim=0).cpu().numpy()
            nonfinite += draws.nonfinite
            tick(draws.calls)
        return counts, nonfinite


def classes_of_pixels(first: Classes, n0: int, ones: Classes, n: int, tau: float, alpha: float) -> Classes:
    """Each pixel's class, or `ABSTAIN`.

    Args:
        first: how many of n0 draws had a one, which choose the class (zero if half of them).
        n0: see there.
        ones: how many of n other draws.
        n: see there.
        tau: the probability that the class must exceed.
        alpha: chance that any is wrong.
    """
    chosen = (2 * first > n0).astype(np.int64)
    counts = np.where(chosen == 1, ones, n - ones)
    # Of a binomial variable with p = tau: smaller p would make so many less likely still.
    unlikely = stats.binom.sf(counts - 1, n, tau) <= alpha / len(counts)
    return np.where(unlikely, chosen, ABSTAIN)


def localization(classes: Classes, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Of the pixels of class 1, the share inside; 0 where there is none.

    Args:
        classes: shape (..., pixels).
        inside: shape (pixels,), or one that broadcasts with it.
    """
    ones = classes == 1
    return np.asarray((ones & inside).sum(axis=-1) / np.maximum(ones.sum(axis=-1), 1))
