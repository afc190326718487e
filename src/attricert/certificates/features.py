"""Intervals for single features, and for any fixed linear functional, of a smoothed map (docs/theory.md 3d, 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from attricert.certificates import displacement
from attricert.certificates.geometry import Geometry

__all__ = ["Entries"]

Array = npt.NDArray[np.float64]

_MARGIN = 1e-12


@final
@dataclass(frozen=True)
class Entries:
    """Scalars v.h for fixed vectors v: shape (batch, r).

    Args:
        geometry: the terms.
        low: lower bounds at x.
        high: upper bounds at x.
        spread: upper bounds on E (v.(g-m))^2.
        bound: structural bounds on |v.g|, shape (r,).
        alpha: error probability of each of an entry's events.
        nonnegative: whether v.g is never negative.
    """

    geometry: Geometry
    low: Array
    high: Array
    spread: Array
    bound: Array
    alpha: float
    nonnegative: bool

    def at_x(self) -> tuple[Array, Array]:
        """Lower and upper bounds at x: of v.h, or of the average that people see."""
        away = self._away(self.spread) if self.geometry.statement.observed else 0.0
        return self._clipped(self.low - away, self.high + away)

    def within(self, eps: float) -> tuple[Array, Array]:
        """Lower and upper bounds at every perturbed input, x among them."""
        size = np.array([eps])
        moved = self._displacement(size)
        if self.geometry.statement.observed:
            moved = moved + self._away(self.geometry.spread_there(size, self.spread, self._reach))
        return self._clipped(self.low - moved, self.high + moved)

    @property
    def _reach(self) -> Array:
        """|v.(g - m)| is at most this, as m is a mean of g's."""
        return 2 * self.bound

    def _displacement(self, eps: Array) -> Array:
        """The smaller of theory 3 (a) and (b) for scalars: theory 3 (d)."""
        s = self.geometry.statement
        mass = s.noise.lost_mass(eps, s.dimension)
        # A nonnegative scalar moves by at most its bound times the mass, as gain and loss have opposite signs.
        by_mass = (1.0 if self.nonnegative else 2.0) * self.bound * mass
        by_variance = displacement.variance(s.noise.chi(eps), self.spread)
        return (1 + _MARGIN) * np.minimum(by_mass, by_variance)

    def _away(self, spread: Array) -> Array:
        """Bernstein's inequality for an average of draws v.g that deviate by at most 2 bound from their mean."""
        n, log = self.geometry.statement.observed_draws, math.log(1 / (self.alpha / 2))
        known = np.minimum(spread, self.bound**2)
        return np.sqrt(2 * known * log / n) + 2 * self.bound * log / (3 * n)

    def _clipped(self, low: Array, high: Array) -> tuple[Array, Array]:
        lowest = 0.0 if self.nonnegative else -self.bound
        return np.maximum(low, lowest), np.minimum(high, self.bound)
