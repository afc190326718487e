"""What survives of an order of features when a map may move (docs/theory.md 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
import numpy.typing as npt

__all__ = ["Ranking"]

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_CELLS = 256  # thresholds between which costs are bounded; more are a little sharper
_BISECTIONS = 60
_SUM_ROUNDING = 4 * float(np.finfo(np.float64).eps)  # a term, relative to the sum of sizes
_ROUNDING = 1e-9  # relative; a loss that is affordable but for this counts as affordable


@final
@dataclass(frozen=True)
class Ranking:
    """One map at x and at any perturbed input: where each entry lies, and how far all may move together.

    Args:
        low: lower bounds of the entries at x, shape (d,).
        high: upper bounds at x.
        least: lower bounds at the perturbed input and at x.
        most: upper bounds at the perturbed input and at x.
        moved: l2 bound on the move.
    """

    low: Array
    high: Array
    least: Array
    most: Array
    moved: float

    def absolute(self) -> Ranking:
        """The same for absolute values, which move no further than the entries themselves."""
        here, there = _absolute(self.low, self.high), _absolute(self.least, self.most)
        return Ranking(*here, *there, self.moved)

    def surely_below(self) -> Counts:
        """For each feature a number of features that are below it, at x and at every perturbed input."""
        # Intervals that are disjoint; or a gap too wide for both to cross, as one must move by gap/sqrt2 or more.
        by_interval = np.searchsorted(np.sort(self.most), self.least, side="left")
        reach = math.sqrt(2) * self.moved * (1 + _ROUNDING)
        by_distance = np.searchsorted(np.sort(self.high), self.low - reach, side="left")
        return np.asarray(np.maximum(by_interval, by_distance))

    def stays(self, k: int) -> npt.NDArray[np.bool_]:
        """Features that are among the k largest, at x and at every perturbed input."""
        return np.asarray(self.surely_below() >= len(self.low) - k)

    def overlap(self, k: int) -> int:
        """Lower bound on how many of the k largest at x are among the k largest at any perturbed input."""
        return max(int(self.stays(k).sum()), k - self._loss(k))

    def kendall_tau(self) -> float:
        """Lower bound on Kendall's tau-a between the map at x and at any perturbed input."""
        d = len(self.low)
        return 2 * float(self.surely_below().sum()) / (d * (d - 1) / 2) - 1 if d > 1 else 1.0

    def _loss(self, k: int) -> int:
        """How many of the top k the allowed move can exchange at most; the least of three valid counts.

        To exchange j, the j that leave must come down to a common threshold t and the j that enter must come up to
        it. Candidates are all that may be inside, or outside, at x.
        """
        if len(self.low) == k:
            return 0
        inside = self.high >= np.partition(self.low, -k)[-k]
        outside = self.low <= np.partition(self.high, -k - 1)[-k - 1]
        leaving = _Side(self.low[inside], self.least[inside])
        entering = _Side(-self.high[outside], -self.most[outside])
        budget = self.moved**2 * (1 + _ROUNDING)
        free = _affordable(_exchange_costs(leaving.start[:k], -entering.start[:k]), budget)
        ends = np.partition(self.least, -k)[-k], np.partition(self.most, -k)[-k]
        # The threshold lies between the k-th largest lower and the k-th largest upper bound.
        edges = np.linspace(*ends, _CELLS + 1)
        confined = 0
        for low, high in pairwise(edges):
            confined = max(confined, _affordable(leaving.costs(high, k), budget, entering.costs(-low, k)))
            if confined >= free:
                break
        return min(free, confined, k)


@final
class _Side:
    """Features that may have to come down to a threshold, those nearest to it first."""

    def __init__(self, start: Array, least: Array) -> None:
        order = np.argsort(start)
        self.start, self.least = start[order], least[order]

    def costs(self, threshold: float, k: int) -> Array:
        """Least squared distances for 1, 2, ... k of those that can come down that far."""
        able = self.start[self.least <= threshold][:k]
        return np.cumsum(np.maximum(able - threshold, 0.0) ** 2)


def _affordable(costs: Array, budget: float, more: Array | None = None) -> int:
    """How many exchanges the budget pays for, with cumulative costs that do not fall."""
    if more is not None:
        n = min(len(costs), len(more))
        costs = costs[:n] + more[:n]
    return int(np.searchsorted(costs, budget, side="right"))


def _exchange_costs(leaving: Array, entering: Array) -> Array:
    """min over t of sum_i (a_i - t)+^2 + sum_i (t - b_i)+^2 over the first j of each side, for j = 1, 2, ...

    leaving is ascending, entering descending. Convex in t: bisection of its derivative, all j at once; rounded down.
    """
    n = min(len(leaving), len(entering))
    # Costs are small differences of sums of squares: around the threshold little is lost.
    origin = 0.5 * (leaving[0] + entering[0])
    a, b = leaving[:n] - origin, entering[:n] - origin
    j = np.arange(1, n + 1)

    def parts(t: Array) -> tuple[Counts, Counts, Array, Array]:
        above = np.maximum(j - np.searchsorted(a, t, side="right"), 0)
        below = np.maximum(j - np.searchsorted(-b, -t, side="right"), 0)
        return above, below, _tail_sums(a, j, above), _tail_sums(b, j, below)

    low, high = np.minimum(a[0], b), np.maximum(a, b[0])
    width = high - low
    for _ in range(_BISECTIONS):
        t = 0.5 * (low + high)
        above, below, sum_a, sum_b = parts(t)
        rising = below * t - sum_b > sum_a - above * t
        low, high = np.where(rising, low, t), np.where(rising, t, high)
    above, below, sum_a, sum_b = parts(t)
    squares = _tail_sums(a**2, j, above) + _tail_sums(b**2, j, below)
    cost = squares - 2 * t * (sum_a + sum_b) + (above + below) * t**2
    # The errors of sums of n terms; and, by convexity, what is lost where t is not quite the best.
    rounding = _SUM_ROUNDING * (n + 8)
    sizes, whole = (np.cumsum(np.abs(a) ** p) + np.cumsum(np.abs(b) ** p) + j * np.abs(t) ** p for p in (1, 2))
    slope = np.abs((above + below) * t - sum_a - sum_b) + rounding * sizes
    rounded_down = np.maximum(cost - rounding * whole - 2 * slope * width, 0.0)
    return np.minimum.accumulate(rounded_down[::-1])[::-1]


def _tail_sums(values: Array, j: Counts, count: Counts) -> Array:
    """Sum of the last ``count`` of the first j values, for each j."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray(sums[j] - sums[j - count])


def _absolute(low: Array, high: Array) -> tuple[Array, Array]:
    return np.maximum(np.maximum(low, -high), 0.0), np.maximum(np.abs(low), np.abs(high))
