"""Noise distributions, and what a shift of size eps does to them (docs/theory.md 2); importing them needs no torch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt
from scipy import special

from attricert import checks
from attricert.errors import ArgumentError
from attricert.noise.likelihood import BallRatio, GaussianRatio, LikelihoodRatio
from attricert.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from attricert.streams import Rng
else:  # readable annotations without torch
    Tensor = Rng = Any

__all__ = ["NOISES", "Gaussian", "Noise", "UniformBall"]

Array = npt.NDArray[np.float64]

_FINENESS = 256  # lattice steps in a standard deviation, at least; at most twice as many
_SLIP = 2.0**-32


class Noise(ABC):
    """A rotation-invariant noise distribution on R^d, fixed up to one scale."""

    def lattice_step(self, d: int) -> float:
        """The spacing of the lattice to which x + a is rounded: a power of two, 1/512 to 1/256 of `deviation`."""
        return 2.0 ** math.floor(math.log2(self.deviation(d) / _FINENESS))

    def slip(self, d: int) -> float:
        """At least the probability that x + a, computed in float64, is rounded otherwise than the real sum (theory 5).

        Of `sample` this asks that each entry is computed to 2^-45 of the deviation on average, and that the law of an
        entry (of a pair of entries, where errors depend on both) is about as smooth as a Gaussian's.
        """
        return _SLIP * d

    @property
    @abstractmethod
    def scale(self) -> float:
        """The one length that fixes the distribution: radius or sigma, in input units."""

    @abstractmethod
    def with_scale(self, scale: float) -> Noise:
        """The same family at another scale."""

    @abstractmethod
    def deviation(self, d: int) -> float:
        """Standard deviation of each entry: (E ||a||^2 / d)^(1/2)."""

    @abstractmethod
    def sample(self, rng: Rng, d: int) -> Tensor:
        """Independent noise vectors, one for each of the rng's rows: shape (n, d)."""

    @abstractmethod
    def derivative(self, rng: Rng, d: int) -> tuple[Tensor, Tensor]:
        """Shifts b and weights w, shape (n, d): d/dx E g(x + a) = E g(x + b) w^T for any bounded g (theory 11)."""

    @abstractmethod
    def lost_mass(self, eps: npt.ArrayLike, d: int) -> Array:
        """p(eps): total variation between the noise and the noise shifted by any delta with ||delta||_2 = eps."""

    @abstractmethod
    def shift_of(self, lost_mass: npt.ArrayLike, d: int) -> Array:
        """Inverse of `lost_mass`: the shift eps at which the given mass, in [0, 1], is lost."""

    @abstractmethod
    def likelihood_ratio(self, eps: npt.ArrayLike, d: int) -> LikelihoodRatio:
        """Law of the density of the noise at x~ against that at x, ||x~ - x||_2 = eps."""

    @property
    def dominated(self) -> bool:
        """Whether shifted noise has no mass where the noise has none.

        Then second moments of the map bound its move by themselves, and less noise than total variation asks for may
        do.
        """
        return bool(np.all(self.likelihood_ratio(self.scale, 1).lost == 0))

    def matching(self, other: Noise, d: int) -> Noise:
        """The same family at the scale at which its energy E ||a||^2 is that of the other noise."""
        return self.with_scale(self.scale * other.deviation(d) / self.deviation(d))


NOISES: Registry[Noise] = Registry("noise")
"""Words for noises; the first is the default."""


@NOISES.register("gaussian")
@final
@dataclass(frozen=True)
class Gaussian(Noise):
    """N(0, sigma^2 I).

    Args:
        sigma: standard deviation per coordinate in input units, > 0. A ball of radius r has the same energy at
            sigma = r / sqrt(d + 2).
    """

    sigma: float

    def __post_init__(self) -> None:
        checks.keep(self, sigma=checks.positive("sigma", self.sigma))

    @property
    def scale(self) -> float:
        """The standard deviation."""
        return self.sigma

    def with_scale(self, scale: float) -> Gaussian:
        """Another standard deviation."""
        return Gaussian(scale)

    def deviation(self, d: int) -> float:
        """The standard deviation."""
        return self.sigma

    def sample(self, rng: Rng, d: int) -> Tensor:
        """Independent normals."""
        from attricert.noise import samplers

        return samplers.gaussian(rng, d, self.sigma)

    def derivative(self, rng: Rng, d: int) -> tuple[Tensor, Tensor]:
        """Stein's identity."""
        from attricert.noise import samplers

        return samplers.gaussian_derivative(rng, d, self.sigma)

    def lost_mass(self, eps: npt.ArrayLike, d: int) -> Array:
        """erf(eps / (2 sqrt2 sigma))."""
        return np.asarray(special.erf(np.asarray(eps, dtype=np.float64) / (2 * np.sqrt(2) * self.sigma)))

    def shift_of(self, lost_mass: npt.ArrayLike, d: int) -> Array:
        """2 sqrt2 sigma erfinv(p)."""
        return np.asarray(2 * np.sqrt(2) * self.sigma * special.erfinv(_mass(lost_mass)))

    def likelihood_ratio(self, eps: npt.ArrayLike, d: int) -> GaussianRatio:
        """Log-normal, with e = eps / sigma."""
        return GaussianRatio(np.asarray(np.asarray(eps, dtype=np.float64) / self.sigma))


@NOISES.register("uniform")
@final
@dataclass(frozen=True)
class UniformBall(Noise):
    """Uniform on the l2 ball of the given radius (paper, section 3).

    Args:
        radius: l2 radius in input units, > 0.
    """

    radius: float

    def __post_init__(self) -> None:
        checks.keep(self, radius=checks.positive("radius", self.radius))

    @property
    def scale(self) -> float:
        """The radius."""
        return self.radius

    def with_scale(self, scale: float) -> UniformBall:
        """A ball of another radius."""
        return UniformBall(scale)

    def deviation(self, d: int) -> float:
        """r / sqrt(d + 2)."""
        return self.radius / math.sqrt(d + 2)

    def sample(self, rng: Rng, d: int) -> Tensor:
        """A Gaussian direction times a length of the right law."""
        from attricert.noise import samplers

        return samplers.ball(rng, d, self.radius)

    def derivative(self, rng: Rng, d: int) -> tuple[Tensor, Tensor]:
        """Points of the sphere: Gauss' theorem."""
        from attricert.noise import samplers

        return samplers.ball_derivative(rng, d, self.radius)

    def lost_mass(self, eps: npt.ArrayLike, d: int) -> Array:
        """I_t(1/2, (d+1)/2) with t = (eps/2r)^2: one minus the overlap of two balls, without the subtraction."""
        t = np.minimum(np.asarray(eps, dtype=np.float64) / (2 * self.radius), 1.0) ** 2
        return np.asarray(special.betainc(0.5, (d + 1) / 2, t))

    def shift_of(self, lost_mass: npt.ArrayLike, d: int) -> Array:
        """2r sqrt(I^-1_p(1/2, (d+1)/2))."""
        return np.asarray(2 * self.radius * _half_chord(lost_mass, d))

    def likelihood_ratio(self, eps: npt.ArrayLike, d: int) -> BallRatio:
        """0 or 1 where the ball has mass."""
        return BallRatio(self.lost_mass(eps, d))


def _half_chord(lost_mass: npt.ArrayLike, d: int) -> Array:
    return np.asarray(np.sqrt(special.betaincinv(0.5, (d + 1) / 2, _mass(lost_mass))))


def _mass(lost_mass: npt.ArrayLike) -> Array:
    p = np.asarray(lost_mass, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ArgumentError("lost_mass", lost_mass, "must be in [0, 1]")
    return p
