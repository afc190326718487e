"""One-sided lower confidence bounds for the mean of independent draws in a known interval."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from attricert.moments import Moments
from attricert.registry import Registry

__all__ = ["CONFIDENCE_BOUNDS", "EmpiricalBernstein", "Hoeffding", "LowerBound", "Problem"]

Array = npt.NDArray[np.float64]


@final
@dataclass(frozen=True)
class Problem:
    """What is to be bounded, and what a pilot independent of the draws suggests (it affects width, not validity).

    Args:
        low: smallest possible draw.
        high: largest possible draw.
        alpha: probability with which the bound may fail.
        horizon: number of draws at which the bound should be tightest.
        mean: the pilot's mean.
        variance: the pilot's variance.
        pilot: the pilot's number of draws.
    """

    low: float
    high: float
    alpha: float
    horizon: int
    mean: float
    variance: float
    pilot: int

    def at_horizon(self, horizon: int) -> Problem:
        """The same, to be tightest at another number of draws."""
        return replace(self, horizon=horizon)

    def mirrored(self) -> Problem:
        """The problem of bounding the mean of the negated draws."""
        return replace(self, low=-self.high, high=-self.low, mean=-self.mean)


class LowerBound(ABC):
    """Immutable state of a bound that holds with probability >= 1 - alpha; `update` gives the next state.

    Draws are independent, and lie in [low, high] of the `Problem`: validity may rest on these and alpha alone, all else
    there is a guess. But for rounding, the bound does not depend on how the draws are cut into pieces. A subclass that
    is registered in `CONFIDENCE_BOUNDS` can be asked for by its word.
    """

    anytime: ClassVar[bool]
    """Whether the bound holds at all draw counts at once, so that sampling may stop when it is good enough."""

    @classmethod
    @abstractmethod
    def start(cls, problem: Problem) -> LowerBound:
        """The state before the first draw."""

    @abstractmethod
    def update(self, values: Array) -> LowerBound:
        """After these draws too, shape (n,)."""

    @abstractmethod
    def lower(self) -> float:
        """The lower bound on the mean; at least the smallest possible draw."""


CONFIDENCE_BOUNDS: Registry[LowerBound] = Registry("confidence")
"""Words for confidence bounds on means."""


@CONFIDENCE_BOUNDS.register("hoeffding")
@final
@dataclass(frozen=True)
class Hoeffding(LowerBound):
    """mean - (high - low) sqrt(log(1/alpha) / 2n) (Hoeffding 1963)."""

    anytime: ClassVar[bool] = False
    problem: Problem
    moments: Moments[Array] | None = None

    @classmethod
    def start(cls, problem: Problem) -> Hoeffding:
        """No draws yet."""
        return cls(problem)

    def update(self, values: Array) -> Hoeffding:
        """After these draws too."""
        return Hoeffding(self.problem, _tally(self.moments, values, variances=False))

    def lower(self) -> float:
        """The bound at the current number of draws."""
        p, m = self.problem, self.moments
        if m is None:
            return p.low
        return max(p.low, float(m.mean[0]) - (p.high - p.low) * math.sqrt(math.log(1 / p.alpha) / (2 * m.count)))


@CONFIDENCE_BOUNDS.register("bernstein")
@final
@dataclass(frozen=True)
class EmpiricalBernstein(LowerBound):
    """mean - sqrt(2 V log(2/alpha) / n) - 7 (high - low) log(2/alpha) / 3(n-1) (Maurer and Pontil 2009, theorem 4)."""

    anytime: ClassVar[bool] = False
    problem: Problem
    moments: Moments[Array] | None = None

    @classmethod
    def start(cls, problem: Problem) -> EmpiricalBernstein:
        """No draws yet."""
        return cls(problem)

    def update(self, values: Array) -> EmpiricalBernstein:
        """After these draws too."""
        return EmpiricalBernstein(self.problem, _tally(self.moments, values, variances=True))

    def lower(self) -> float:
        """The bound at the current number of draws."""
        p, m = self.problem, self.moments
        if m is None or m.count < 2:
            return p.low
        log = math.log(2 / p.alpha)
        spread = math.sqrt(2 * float(m.variance[0]) * log / m.count)
        return max(p.low, float(m.mean[0]) - spread - 7 * (p.high - p.low) * log / (3 * (m.count - 1)))


def _tally(moments: Moments[Array] | None, values: Array, *, variances: bool) -> Moments[Array]:
    new = Moments.of(values[:, None], variances=variances)
    return new if moments is None else moments.merge(new)
