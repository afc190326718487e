"""Where single entries, and fixed linear functionals, of a smoothed map lie (docs/theory.md 3d, 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from attricert.certificates.cosine import spread_there
from attricert.certificates.displacement import scalar_ratio
from attricert.certificates.facts import Facts
from attricert.certificates.program import largest_mean
from attricert.certificates.terms import Terms
from attricert.confidence import bernstein

__all__ = ["Intervals"]

Array = npt.NDArray[np.float64]

_MARGIN = 1e-12
_STEPS = 4  # of Newton's method, from what would be best without limits; more gain nothing that is seen
_TOGETHER = 4096  # scalars, whose programs fit into a processor's cache


@final
@dataclass(frozen=True)
class Intervals:
    """Scalars v.h for fixed vectors v: shape (batch, r).

    Args:
        terms: the terms.
        low: lower bounds at x.
        high: upper bounds at x.
        second: upper bounds on E (v.(g-m))^2.
        center: v.m; NaN where it is not known.
        bound: structural bounds on |v.g|, shape (r,) or (1,).
        nonnegative: whether v.g is never negative.
    """

    terms: Terms
    low: Array
    high: Array
    second: Array
    center: Array
    bound: Array
    nonnegative: bool

    def at_x(self) -> tuple[Array, Array]:
        """Lower and upper bounds at x: of v.h, or of the average that people see."""
        away = 0.0 if self.terms.observed is None else self._away(self.second)
        return self._clipped(self.low - away, self.high + away)

    def within(self, eps: float) -> tuple[Array, Array]:
        """Lower and upper bounds at every perturbed input, x among them."""
        low, high = self._moved(eps) if eps > 0 else (self.low, self.high)
        if self.terms.observed is not None:
            away = self._away(self._second_there(eps))
            low, high = low - away, high + away
        here = self.at_x()
        # x is one of them: what holds of all is no more than what holds of it.
        return self._clipped(np.minimum(low, here[0]), np.maximum(high, here[1]))

    def _moved(self, eps: float) -> tuple[Array, Array]:
        """The program for v.g and for -v.g, with what is known of either: the range alone, or moments too."""
        lowest = np.broadcast_to(0.0 if self.nonnegative else -self.bound, self.low.shape)
        most = np.broadcast_to(self.bound, self.low.shape)
        upper = self._largest(eps, self.high, self.center, lowest, most)
        lower = -self._largest(eps, -self.low, -self.center, -most, -lowest)
        return lower - _MARGIN * np.abs(lower), upper + _MARGIN * np.abs(upper)

    def _largest(self, eps: float, mean: Array, center: Array, low: Array, high: Array) -> Array:
        rows = (a.reshape(-1) for a in (mean, center, low, high, self.second))
        parts = zip(*(np.split(row, range(_TOGETHER, row.size, _TOGETHER)) for row in rows), strict=True)
        return np.concatenate([self._largest_of(eps, *part) for part in parts]).reshape(self.low.shape)

    def _largest_of(self, eps: float, mean: Array, center: Array, low: Array, high: Array, second: Array) -> Array:
        """The largest means of so many scalars."""
        shape = (mean.size, 1)
        ratio = scalar_ratio(self.terms, np.full(shape, eps))
        found = largest_mean(Facts.of_range(np.minimum(mean, high), low, high).flat(shape), ratio).value
        known = np.isfinite(center)
        # A center that is not known is a mean of draws at least, and so within the range.
        middle, width = np.where(known, center, 0.0), high - low
        facts = Facts(
            mean=mean,
            rise=np.where(known, mean - middle, np.inf),
            fall=np.where(known, middle - mean, np.inf),
            second=second,
            highest=np.where(known, np.maximum(high - middle, 0.0), width),
            lowest=np.where(known, np.maximum(middle - low, 0.0), width),
            limits=np.empty((mean.size, 0)),
            outside=np.empty((mean.size, 0)),
        )
        return np.minimum(found, largest_mean(facts.flat(shape), ratio, steps=_STEPS).value)[:, 0]

    def _second_there(self, eps: float) -> Array:
        """E (v.(g - m))^2 at any perturbed input."""
        farthest = np.broadcast_to(2 * self.bound, self.second.shape).reshape(-1)
        there = spread_there(self.terms, np.array([[eps]]), self.second.reshape(-1), farthest)
        return there.reshape(self.second.shape)

    def _away(self, second: Array) -> Array:
        """Bernstein's inequality for an average of draws v.g that deviate by at most 2 bound from their mean."""
        # Draws as they are computed have other moments by so much at the most (theory 5).
        slipped = 2 * self.bound * self.terms.slip
        known = np.minimum(second + 2 * self.bound * slipped, self.bound**2)
        return bernstein(self.terms.observed_draws, self.terms.entry_share / 2, known, 2 * self.bound) + slipped

    def _clipped(self, low: Array, high: Array) -> tuple[Array, Array]:
        lowest = 0.0 if self.nonnegative else -self.bound
        return np.maximum(low, lowest), np.minimum(high, self.bound)
