"""Lower confidence bound by betting (Waudby-Smith and Ramdas 2024), anytime-valid and mergeable."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from attricert.confidence.means import CONFIDENCE_BOUNDS, LowerBound, Problem

__all__ = ["Betting"]

Array = npt.NDArray[np.float64]

_COARSE, _FINE = 24, 104
_GROUP = 32
_LARGEST_STAKE = 0.9  # of what a single worst draw could lose


@CONFIDENCE_BOUNDS.register("betting")
@final
@dataclass(frozen=True)
class Betting(LowerBound):
    """For each candidate mean m on a grid, the wealth of a gambler who bets that the true mean is larger.

    If the mean is at most m, the wealth prod(1 + bet_m (X_i - m)) is a nonnegative supermartingale, and exceeds
    1/alpha at any time with probability at most alpha (Ville). Wealth falls as m grows, so the rejected candidates
    are the smallest ones, and the largest of them is the bound. Bets are fixed before the first draw (from the
    pilot), so the state has constant size and two states can be joined. Sampled means are rounded down to the grid.

    Args:
        alpha: probability of failure.
        low: smallest possible draw.
        grid: candidate means, increasing.
        bets: stake per unit of (X - m) for each candidate.
        log_wealth: current log wealth of each candidate.
        log_peak: its maximum over time.
    """

    anytime: ClassVar[bool] = True
    alpha: float
    low: float
    grid: Array
    bets: Array
    log_wealth: Array
    log_peak: Array

    @classmethod
    def start(cls, problem: Problem) -> Betting:
        """Choose the grid and the bets from what the pilot suggests."""
        p, span = problem, problem.high - problem.low
        # A pilot that saw no variance has not shown that there is none.
        variance = p.variance + span**2 / (4 * max(p.pilot, 1) ** 2)
        log = math.log(1 / p.alpha)
        bet = math.sqrt(2 * log / (variance * p.horizon))
        width = math.sqrt(2 * variance * log / p.horizon) + span * log / p.horizon
        pilot_error = 3 * math.sqrt(variance / max(p.pilot, 1))
        fine = np.linspace(p.mean - 4 * width - pilot_error, p.mean + pilot_error, _FINE)
        coarse = np.linspace(p.low, p.high, _COARSE + 2)[1:-1]
        grid = np.unique(np.concatenate([coarse, fine[(fine > p.low) & (fine < p.high)]]))
        bets = np.minimum(bet, _LARGEST_STAKE / (grid - p.low))
        zero = np.zeros_like(grid)
        return cls(p.alpha, p.low, grid, bets, zero, zero)

    def update(self, values: Array) -> Betting:
        """After these draws too."""
        wealth, peak = self.log_wealth, self.log_peak
        base = 1 - self.bets * self.grid
        # Products of a few draws before each logarithm: every factor lies in [0.1, 1 + bet * span], so none overflows.
        for start in range(0, len(values), _GROUP):
            paths = np.multiply.outer(values[start : start + _GROUP], self.bets)
            paths += base
            np.cumprod(paths, axis=0, out=paths)
            peak = np.maximum(peak, wealth + np.log(paths.max(axis=0)))
            wealth = wealth + np.log(paths[-1])
        return replace(self, log_wealth=wealth, log_peak=peak)

    def merge(self, later: Betting) -> Betting:
        """The draws of this state followed by those of the other; both must come from the same start."""
        return replace(
            self,
            log_wealth=self.log_wealth + later.log_wealth,
            log_peak=np.maximum(self.log_peak, self.log_wealth + later.log_peak),
        )

    def lower(self) -> float:
        """The largest candidate rejected so far."""
        rejected = self.log_peak >= math.log(1 / self.alpha)
        return float(self.grid[rejected][-1]) if rejected.any() else self.low
