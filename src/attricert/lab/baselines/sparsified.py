"""Sparsified SmoothGrad (A. Levine, S. Singla and S. Feizi 2019, arXiv 1905.12105): a certified overlap of the top k.

The map of a noisy copy is reduced to ones, where its absolute values are largest, and zeros. Entry i of the smoothed
map, h_i(x), is the probability of a one there under a ~ N(0, sigma^2 I); what one sees is a share of ones in n copies.

The claim, that of the authors' code, is about the top k *seen* at x and the top k of h, the *expectation*, at every x~
with ||x~ - x||_2 <= eps, x itself among them: so many features are in both, however ties are broken. It is not about
what finitely many copies of x~ would show. Why it holds, but for a chance of alpha and at all x~ at once:

1. Each of the d entries has l_i <= h_i(x) <= u_i (Clopper and Pearson; the paper has Hoeffding's limits, which are
   never narrower). Each of these 2d events fails with probability alpha/2d at most, any of them with alpha at most.
2. Let f have values in [0, 1], E f(x + a) >= p and ||x~ - x||_2 = e > 0. E f(x~ + a) is least where f is 1 just where
   the density around x~ is smallest against that around x (Neyman and Pearson): on the half-space of the z with
   (z - x).(x~ - x) <= sigma e Phi^-1(p). It has probability p at x, and Phi(Phi^-1(p) - e/sigma) at x~, which falls
   with e and rises with p. With the same for 1 - f:

       Phi(Phi^-1(l_i) - eps/sigma) <= h_i(x~) <= Phi(Phi^-1(u_i) + eps/sigma)

3. Rank the entries by what is seen at x; their limits have the same order. Were fewer than j of the k largest among the
   k largest at x~, then more than k - j left, one of them of rank j or better, and as many entered, one of them of rank
   2k - j + 1 or worse; and an entry that is in is not smaller at x~ than one that is out. So the overlap is at least j
   if the lower limit of rank j exceeds the upper limit of rank 2k - j + 1, or if there is no such rank. Nothing that
   depends on the limits alone can be sharper.

Our own certificates are about the top k of an expectation at x too. For that claim, from the same limits: theory 4
(rankings), without a bound on the move in l2.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from scipy import special
from torch import Tensor

from attricert import checks
from attricert.arguments import samples
from attricert.attributions import Attribution, Targets, among_largest
from attricert.bounding import Normalize
from attricert.certificates.ranking import Ranking
from attricert.confidence import upper_proportion
from attricert.errors import ArgumentError, AttributionWarning
from attricert.noise import Gaussian
from attricert.progress import ProgressCallback, reporting
from attricert.sampling import BatchSize, Sampler
from attricert.streams import Stream, seed_of

__all__ = ["Ones", "SparsifiedCertificate", "SparsifiedSmoothGrad", "warn_of_nonfinite"]

Array = npt.NDArray[np.float64]

_ROUNDING = 1e-12  # of limits, absolute


@final
@dataclass(frozen=True)
class SparsifiedCertificate:
    """How much of the top k is certain to stay.

    Each input's overlaps hold, but for the chance alpha, all at once, and for every x~ within eps of it.

    Args:
        maps: shares of copies in which an entry is among the largest, float64, of the inputs' shape.
        k: how many features.
        eps: l2 sizes of the perturbation.
        overlap: lower bounds on the share of k features that are among the k largest of the map *seen* here and of the
            expected map at x~: the authors' claim.
        population: the same for the *expected* maps at x and at x~: the claim of `Certificate.top_k`.
        calls: attributions computed for each input.
    """

    maps: Float[Tensor, "batch *features"]
    k: int
    eps: Float[np.ndarray, " e"]
    overlap: Float[np.ndarray, "batch e"]
    population: Float[np.ndarray, "batch e"]
    calls: Int[np.ndarray, " batch"]


@final
@dataclass(frozen=True)
class SparsifiedSmoothGrad:
    """How often each entry is among the largest of a noisy copy's map.

    The paper also has a relaxed form, with values between 0 and 1; its certificates, as ours, are of zeros and ones.

    Args:
        attribution: g, any callable ``g(inputs, target)``, as for `SmoothedAttribution`. Only the order of its absolute
            values counts. A map that is not finite counts as zero, and zeros never become ones.
        sigma: standard deviation of the noise in input units, > 0.
        tau: share of entries that become ones, > 0 and < 1; at least one entry does.
        n_samples: n, draws an input.
        alpha: chance that an input's certificate fails.
        batch_size: noisy copies computed at once; chosen from the memory budget if None.
    """

    attribution: Attribution
    sigma: float
    tau: float = 0.1
    n_samples: int = 8192
    alpha: float = 0.05
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if not callable(self.attribution):
            raise ArgumentError("attribution", self.attribution, "must be callable as g(inputs, target)")
        checks.positive("sigma", self.sigma)
        checks.fraction("tau", self.tau)
        checks.count("n_samples", self.n_samples, 1)
        checks.fraction("alpha", self.alpha)
        if self.batch_size is not None:
            checks.count("batch_size", self.batch_size, 1)

    def certify(
        self,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        k: int,
        eps: npt.ArrayLike,
        seed: int | None = None,
        sample_ids: Sequence[str] | None = None,
        progress: bool | ProgressCallback = False,
    ) -> SparsifiedCertificate:
        """Count ones, and bound how many of the top k may leave it.

        Args:
            inputs: shape (batch, ...), float32 or float64, finite.
            target: class index, or one an input; None for single-output models.
            k: how many features, from 1 to their number.
            eps: l2 sizes of the perturbation, >= 0; one or several, all served by the same draws.
            seed: of the keyed streams; None takes a fresh secret one, as deployment should (docs/threat_model.md).
            sample_ids: names that key each input's draws; by default made from its content.
            progress: True for a bar, or a function told how many copies have just been done.

        Returns:
            Overlaps of shape (batch, e), one for each eps.

        Warns:
            AttributionWarning: some sampled attributions held NaN or inf.
        """
        sizes = np.atleast_1d(checks.nonnegative_values("eps", eps))
        batch = samples(inputs, target, sample_ids)
        _check_k(k, inputs[0].numel())
        run_seed = seed_of(seed)
        sampler = Sampler(self.attribution, Gaussian(self.sigma), Normalize(), batch=BatchSize(self.batch_size))
        with reporting(progress, self.n_samples * len(batch), "sparsified smoothgrad") as on_progress:
            found = [
                self._one(sampler, x, index, Stream(run_seed, key, "main"), on_progress) for x, index, key in batch
            ]
        warn_of_nonfinite(sum(ones.nonfinite for ones in found), self.n_samples * len(batch))
        shifts = [float(e) for e in sizes / self.sigma]
        return SparsifiedCertificate(
            maps=torch.from_numpy(np.stack([ones.share for ones in found])).reshape(inputs.shape),
            k=k,
            eps=sizes,
            overlap=np.array([[ones.overlap(k, shift, self.alpha) for shift in shifts] for ones in found]),
            population=np.array([[ones.population(k, shift, self.alpha) for shift in shifts] for ones in found]),
            calls=np.full(len(batch), self.n_samples, dtype=np.int64),
        )

    def _one(
        self, sampler: Sampler, x: Tensor, target: Tensor | None, stream: Stream, on_progress: ProgressCallback
    ) -> Ones:
        counts, nonfinite = np.zeros(x.numel(), dtype=np.int64), 0
        for draws in sampler.draws(x, target, stream, 0, self.n_samples):
            counts += among_largest(draws.rows, self.tau).sum(dim=0).cpu().numpy()
            nonfinite += draws.nonfinite
            on_progress(draws.calls)
        return Ones(counts, self.n_samples, nonfinite)


@final
@dataclass(frozen=True)
class Ones:
    """Of one input.

    Args:
        counts: draws in which each entry was a one.
        n: draws.
        nonfinite: draws that held NaN or inf.
    """

    counts: Int[np.ndarray, " d"]
    n: int
    nonfinite: int = 0

    @property
    def share(self) -> Float[np.ndarray, " d"]:
        """The map that one sees."""
        return self.counts / self.n

    def limits(self, shift: float, alpha: float) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
        """Lower and upper limits of all probabilities of a one at every x~ within shift * sigma, but for alpha."""
        # From what is missing to 1: near 0 the digits of a probability are all there.
        missing = _highest(self.n - self.counts, self.n, shift, alpha / (2 * len(self.counts)))
        return 1 - missing, _highest(self.counts, self.n, shift, alpha / (2 * len(self.counts)))

    def overlap(self, k: int, shift: float, alpha: float) -> float:
        """Certified overlap of the top k seen at x and the one expected at x~, as a share of k."""
        low, high = self.limits(shift, alpha)
        order = np.argsort(-self.counts)
        rivals = high[order[k : 2 * k]][::-1]
        # Where fewer than k others are left, the first have no rival.
        pairs = low[order[k - len(rivals) : k]] > rivals
        return float((k - len(rivals) + pairs.sum()) / k)

    def population(self, k: int, shift: float, alpha: float) -> float:
        """Certified overlap of the top k expected at x and the one expected at x~, as a share of k."""
        here, anywhere = self.limits(0.0, alpha), self.limits(shift, alpha)
        return Ranking(*here, *anywhere, moved=math.inf).overlap(k) / k


def warn_of_nonfinite(lost: int, calls: int) -> None:
    """Of so many calls, in the name of who certifies, if there are any.

    Warns:
        AttributionWarning: some sampled attributions held NaN or inf.
    """
    if lost:
        text = f"{lost} of {calls} sampled attributions held NaN or inf; they count as zero"
        warnings.warn(text, AttributionWarning, stacklevel=3)


def _highest(counts: Int[np.ndarray, " d"], n: int, shift: float, alpha: float) -> Float[np.ndarray, " d"]:
    """Phi(Phi^-1(u) + shift), u the upper limit for each count at level alpha."""
    # Few counts differ, and the quantile takes most of the time.
    distinct, place = np.unique(counts, return_inverse=True)
    upper = np.array([upper_proportion(int(count), n, alpha) for count in distinct])
    moved = special.ndtr(special.ndtri(upper) + shift) + _ROUNDING
    return np.asarray(np.minimum(moved, 1.0)[place])


def _check_k(k: int, features: int) -> None:
    if checks.count("k", k, 1) > features:
        raise ArgumentError("k", k, f"must be at most the number of features, {features}")
