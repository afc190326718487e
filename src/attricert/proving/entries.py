"""Many scalars of the smoothed map at once: its entries, or linear functionals of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from attricert.certificates import Terms
from attricert.certificates.pieces import EntryBounds, FunctionalBounds, Piece
from attricert.checks import LARGEST, SMALLEST
from attricert.confidence import excess, lower_proportion, stake, upper_proportion
from attricert.errors import ArgumentError
from attricert.proving.pilot import Pilot
from attricert.proving.proof import Beginning, Proof, proves
from attricert.sampling import Centered, Columns

__all__ = ["EntriesProof", "functional_bounds"]

Array = npt.NDArray[np.float64]

_NEAR_END = 1e-9  # of a range: so near to an end a value counts as there, which covers the rounding of sums


@final
@dataclass(frozen=True)
class EntriesProof(Proof):
    """Lower, upper bound and second moment of many scalars v.g at once (theory 3d, 5).

    Args:
        vectors: the v, shape (r, d), functionals; None for every entry.
        shape: of one input's evidence.
        center: v.m, shape (r,).
        drawn: smallest and largest possible v.g, shape (r,) each.
        allowance: how far from the center a mean is looked for; what is farther is not claimed.
        bets: for the lower bound, the upper bound and the second moment.
        alpha: probability of failure of each event.
        slip: the probability that a draw is not computed as it should be.
        two_valued: whether draws are counted at the ends of their range (theory 5.6a): the pilot saw them nowhere else.
        draws: independent draws seen.
        columns: of v.g - v.m.
        ends: how many were at the largest possible value, and how many were not at the smallest; where counted.
    """

    vectors: Float[Tensor, "r d"] | None
    shape: tuple[int, ...]
    center: npt.NDArray[np.float64]
    drawn: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
    allowance: npt.NDArray[np.float64]
    bets: tuple[npt.NDArray[np.float64], ...]
    alpha: float
    slip: float
    two_valued: bool = False
    draws: int = 0
    columns: Columns | None = None
    ends: tuple[Tensor, Tensor] | None = None

    @classmethod
    def start(
        cls,
        pilot: Pilot,
        horizon: int,
        alpha: float,
        slip: float,
        drawn: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
        shape: tuple[int, ...],
        vectors: Float[Tensor, "r d"] | None = None,
        *,
        counted: bool = False,
    ) -> EntriesProof:
        """No draws yet; draws may be counted where each is one row and their number is fixed."""
        center = _along(pilot.center[None], vectors)[0].cpu().numpy()
        sample = _along(pilot.sample, vectors)
        variance, fourth = ((sample**power).mean(dim=0).cpu().numpy() for power in (2, 4))
        smallest, largest = drawn
        allowance = 6 * np.sqrt(variance / pilot.center_draws) + 0.01 * (largest - smallest)
        farthest = np.maximum(largest - center, center - smallest) ** 2
        bets = (
            stake(variance, center + allowance - smallest, horizon, alpha),
            stake(variance, largest - center + allowance, horizon, alpha),
            stake(fourth, farthest, horizon, alpha),
        )
        two_valued = counted and _at_ends(sample.cpu().numpy(), smallest - center, largest - center)
        return cls(vectors, shape, center, drawn, allowance, bets, alpha, slip, two_valued)

    def update(self, draws: Centered) -> EntriesProof:
        """After these draws too."""
        rows = _along(draws.q, self.vectors)
        new = Columns.of(rows, _along(draws.total[None], self.vectors)[0])
        columns = new if self.columns is None else self.columns.merge(new)
        ends = self._counted(rows) if self.two_valued else None
        return replace(self, columns=columns, draws=self.draws + draws.count, ends=ends)

    def _counted(self, rows: Float[Tensor, "n r"]) -> tuple[Tensor, Tensor]:
        least, most = (torch.from_numpy(end - self.center).to(rows) for end in self.drawn)
        slack = _NEAR_END * (most - least)
        found = (rows >= most - slack).sum(dim=0), (rows > least + slack).sum(dim=0)
        return found if self.ends is None else (found[0] + self.ends[0], found[1] + self.ends[1])

    def pieces(self) -> Mapping[str, Piece]:
        """Lower and upper bounds of v.h, upper bounds of E (v.(g-m))^2, and v.m."""
        if self.columns is None:
            raise AttributeError("no draws were seen")
        c, n, alpha = self.columns, self.draws, self.alpha
        mean, second, low, high = (t.cpu().numpy() for t in (c.total / c.count, c.squares / c.count, c.low, c.high))
        variance = np.maximum(second - mean**2, 0.0)
        lower = np.minimum(mean - excess(variance, mean - low, self.bets[0], n, alpha), self.allowance)
        upper = np.maximum(mean + excess(variance, high - mean, self.bets[1], n, alpha), -self.allowance)
        if self.ends is not None:
            lower, upper = self._by_counts(*(count.cpu().numpy() for count in self.ends))
        largest = np.maximum(low**2, high**2)
        spread = second + excess(largest * second, largest, self.bets[2], n, alpha)
        smallest, greatest = self.drawn
        farthest = np.maximum(greatest - self.center, self.center - smallest) ** 2
        spread, slipped = spread + self.slip * farthest, self.slip * (greatest - smallest)
        ends = (
            np.maximum(self.center + lower - slipped, smallest),
            np.minimum(self.center + upper + slipped, greatest),
        )
        low_map, high_map, squares, center = (
            value.reshape(self.shape) for value in (*ends, np.minimum(spread, farthest), self.center)
        )
        if self.vectors is None:
            return {"entries": EntryBounds(low_map, high_map, squares, center)}
        return {"functionals": FunctionalBounds(low_map, high_map, squares, center, greatest)}

    def _by_counts(self, full: npt.NDArray[np.int64], some: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """Of v.h - v.m, by how many draws were at the largest value, or not at the smallest (theory 5.6a)."""
        smallest, largest = self.drawn
        least, width = smallest - self.center, largest - smallest
        slack = 2 * _NEAR_END * width
        surely = _each(full, lambda count: lower_proportion(count, self.draws, self.alpha))
        at_most = _each(some, lambda count: upper_proportion(count, self.draws, self.alpha))
        return least + (width - slack) * surely - slack, least + width * at_most + slack


def _at_ends(values: Array, least: Array, most: Array) -> bool:
    """Whether all lie at one end of their range."""
    slack = _NEAR_END * (most - least)
    return bool(((values <= least + slack) | (values >= most - slack)).all())


def _each(counts: npt.NDArray[np.int64], bound: Callable[[int], float]) -> Array:
    """A bound of each count, of which few differ."""
    distinct, place = np.unique(counts, return_inverse=True)
    return np.array([bound(int(count)) for count in distinct])[place]


def _along(rows: Float[Tensor, "n d"], vectors: Float[Tensor, "r d"] | None) -> Tensor:
    return rows if vectors is None else rows @ vectors.T


@proves("entries")
def _begin(at: Beginning) -> list[Proof]:
    """Of all entries, where the ledger counts more than the functionals; and of these."""
    t, functionals, found = at.terms, at.functionals, list[Proof]()
    counted = not (at.stops or at.terms.antithetic)
    if t.ledger.entries > (0 if functionals is None else len(functionals)):
        every = np.full(t.map_entries, t.max_entry)
        drawn = (np.zeros_like(every) if t.nonnegative else -every, every)
        found.append(EntriesProof.start(at.pilot, at.draws, t.entry_share, t.slip, drawn, at.shape, counted=counted))
    if functionals is not None:
        sizes, shape = functional_bounds(functionals, t), (len(functionals),)
        drawn = (-sizes, sizes)
        found.append(EntriesProof.start(at.pilot, at.draws, t.entry_share, t.slip, drawn, shape, functionals))
    return found


def functional_bounds(functionals: Float[Tensor, "r d"], terms: Terms) -> npt.NDArray[np.float64]:
    """|v.g| is at most ||v||_2 M, and at most ||v||_1 times the bound of an entry; rounded up.

    Raises:
        ArgumentError: so small, or so large, that squares of moments would underflow or overflow.
    """
    two, one = (functionals.norm(p=p, dim=1).cpu().numpy() for p in (2, 1))
    with np.errstate(over="ignore"):
        sizes = np.asarray(np.minimum(two * terms.max_norm, one * terms.max_entry) * (1 + 1e-12))
    outside = ~((sizes >= SMALLEST) & (sizes <= LARGEST))
    if outside.any():
        rule = f"weights must give values of size {SMALLEST:g} to {LARGEST:g}; rescale them"
        raise ArgumentError("functionals", f"values up to {float(sizes[outside][0]):.3g}", rule)
    return sizes
