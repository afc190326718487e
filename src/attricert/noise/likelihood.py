"""The likelihood ratio of shifted noise, in law: all that a certificate asks of a noise (docs/theory.md 2 and 3).

w is the density of the noise at x~ against that at x, and is seen under the noise at x. What is said of it holds for
every direction of the shift. It is written as a nondecreasing function of a standard normal z.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["BallRatio", "GaussianRatio", "LikelihoodRatio"]

Array = npt.NDArray[np.float64]

_LARGEST_E = 6.0  # up to which a normal tail that underflows is nothing beside the rest


class LikelihoodRatio(ABC):
    """The law of w, for shifts of some sizes: arrays that broadcast against each other and against z and t."""

    @property
    @abstractmethod
    def lost(self) -> Array:
        """Mass that the noise at x~ has where that at x has none: 1 - E w."""

    @abstractmethod
    def take(self, rows: npt.NDArray[np.int64]) -> LikelihoodRatio:
        """That of some of the shifts, which are the rows of a column."""

    @abstractmethod
    def at(self, z: Array) -> Array:
        """w(z)."""

    @abstractmethod
    def crossing(self, t: Array) -> Array:
        """The least z with w(z) >= t: -inf where w is nowhere below t, inf where it never reaches t."""

    @abstractmethod
    def below(self, z: Array) -> tuple[Array, Array, Array]:
        """E w^k 1{Z <= z} for k = 0, 1, 2, of one shape."""


@final
@dataclass(frozen=True)
class GaussianRatio(LikelihoodRatio):
    """w = exp(e z - e^2/2).

    Args:
        e: the shift in units of sigma, >= 0.
    """

    e: Array

    @property
    def lost(self) -> Array:
        """None."""
        return np.zeros_like(self.e)

    def take(self, rows: npt.NDArray[np.int64]) -> GaussianRatio:
        """Of some rows."""
        return GaussianRatio(self.e[rows])

    def at(self, z: Array) -> Array:
        """As said."""
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(self.e * z - 0.5 * self.e**2))

    def crossing(self, t: Array) -> Array:
        """Log(t)/e + e/2."""
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.log(np.maximum(t, 0.0)) / self.e + self.e / 2
        return np.where(self.e > 0, z, np.where(t <= 1, -np.inf, np.inf))

    def below(self, z: Array) -> tuple[Array, Array, Array]:
        """Phi(z), Phi(z - e), exp(e^2) Phi(z - 2e): to some units in the last place, inf where that is above 1e308."""
        z, e = np.broadcast_arrays(z, self.e)
        if self.e.max(initial=0.0) <= _LARGEST_E:
            second = np.exp(self.e**2) * special.ndtr(z - 2 * e)
        else:  # one exponential: neither inf * 0, nor 0 in the tail; but slow
            with np.errstate(over="ignore", invalid="ignore"):  # NaN where nothing can be said
                second = np.exp(e**2 + special.log_ndtr(z - 2 * e))
        return np.asarray(special.ndtr(z)), np.asarray(special.ndtr(z - e)), np.asarray(second)


@final
@dataclass(frozen=True)
class BallRatio(LikelihoodRatio):
    """Two uniform laws on bodies of one volume: w = 0 on the part that only the first covers, and 1 on the rest.

    Args:
        mass: the measure of that part, in [0, 1].
    """

    mass: Array

    @property
    def lost(self) -> Array:
        """The part of the second body that the first does not cover is as large."""
        return self.mass

    def take(self, rows: npt.NDArray[np.int64]) -> BallRatio:
        """Of some rows."""
        return BallRatio(self.mass[rows])

    def at(self, z: Array) -> Array:
        """0 or 1."""
        return np.where(z < special.ndtri(self.mass), 0.0, 1.0)

    def crossing(self, t: Array) -> Array:
        """Phi^-1(lost) for 0 < t <= 1."""
        return np.where(t <= 0, -np.inf, np.where(t <= 1, special.ndtri(self.mass), np.inf))

    def below(self, z: Array) -> tuple[Array, Array, Array]:
        """Phi(z), and twice what of it exceeds the part lost."""
        z, mass = np.broadcast_arrays(z, self.mass)
        phi = np.asarray(special.ndtr(z))
        kept = np.maximum(phi - mass, 0.0)
        return phi, kept, kept
