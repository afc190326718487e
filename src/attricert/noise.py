"""Smoothing noise: exact samplers, and the mass that a shift of size eps loses (docs/theory.md 2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from scipy import special
from torch import Tensor

from attricert import checks
from attricert.errors import ArgumentError
from attricert.streams import Rng

__all__ = ["Gaussian", "Noise", "UniformBall"]

Array = npt.NDArray[np.float64]


class Noise(ABC):
    """A rotation-invariant noise distribution on R^d, fixed up to one scale."""

    @property
    @abstractmethod
    def scale(self) -> float:
        """The one length that fixes the distribution: radius or sigma, in input units."""

    @abstractmethod
    def with_scale(self, scale: float) -> Noise:
        """The same family at another scale."""

    @abstractmethod
    def sample(self, rng: Rng, d: int) -> Float[Tensor, "n d"]:
        """Independent noise vectors, one for each of the rng's rows."""

    @abstractmethod
    def derivative(self, rng: Rng, d: int) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
        """Shifts b and weights w, a row each: d/dx E g(x + a) = E g(x + b) w^T for any bounded g (theory 11)."""

    @abstractmethod
    def lost_mass(self, eps: npt.ArrayLike, d: int) -> Array:
        """p(eps): total variation between the noise and the noise shifted by any delta with ||delta||_2 = eps."""

    @abstractmethod
    def shift_of(self, lost_mass: npt.ArrayLike, d: int) -> Array:
        """Inverse of `lost_mass`: the shift eps at which the given mass, in [0, 1], is lost."""

    @abstractmethod
    def chi(self, eps: npt.ArrayLike) -> Array:
        """(E (w - 1)^2)^(1/2), w the likelihood ratio of a shift of eps; inf where there is none (theory 3b)."""


@final
@dataclass(frozen=True)
class UniformBall(Noise):
    """Uniform on the l2 ball of the given radius (paper, section 3).

    Args:
        radius: l2 radius in input units, > 0.
    """

    radius: float

    def __post_init__(self) -> None:
        checks.positive("radius", self.radius)

    @property
    def scale(self) -> float:
        """The radius."""
        return self.radius

    def with_scale(self, scale: float) -> UniformBall:
        """A ball of another radius."""
        return UniformBall(scale)

    def sample(self, rng: Rng, d: int) -> Float[Tensor, "n d"]:
        """A Gaussian direction times radius * U^(1/d)."""
        z = rng.normal(d)
        # In float64: for d = 150,528 the whole law of U^(1/d) lives within 1e-4 of 1.
        length = self.radius * rng.uniform() ** (1.0 / d)
        factor: Tensor = length / torch.linalg.vector_norm(z, dim=1, dtype=torch.float64)
        return z.mul_(factor.to(z.dtype)[:, None])

    def derivative(self, rng: Rng, d: int) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
        """Points b = radius * u of the sphere, and d/radius * u: Gauss' theorem."""
        z = rng.normal(d)
        u = z / torch.linalg.vector_norm(z, dim=1, keepdim=True)
        return self.radius * u, d / self.radius * u

    def lost_mass(self, eps: npt.ArrayLike, d: int) -> Array:
        """I_t(1/2, (d+1)/2) with t = (eps/2r)^2: one minus the overlap of two balls, without the subtraction."""
        t = np.minimum(np.asarray(eps, dtype=np.float64) / (2 * self.radius), 1.0) ** 2
        return np.asarray(special.betainc(0.5, (d + 1) / 2, t))

    def shift_of(self, lost_mass: npt.ArrayLike, d: int) -> Array:
        """2r sqrt(I^-1_p(1/2, (d+1)/2))."""
        return np.asarray(2 * self.radius * _half_chord(lost_mass, d))

    def chi(self, eps: npt.ArrayLike) -> Array:
        """Infinite: a shifted ball reaches where the ball has no mass."""
        return np.where(np.asarray(eps) > 0, np.inf, 0.0)


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
        checks.positive("sigma", self.sigma)

    @property
    def scale(self) -> float:
        """The standard deviation."""
        return self.sigma

    def with_scale(self, scale: float) -> Gaussian:
        """Another standard deviation."""
        return Gaussian(scale)

    def sample(self, rng: Rng, d: int) -> Float[Tensor, "n d"]:
        """Independent normals."""
        return rng.normal(d).mul_(self.sigma)

    def derivative(self, rng: Rng, d: int) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
        """The noise itself, and a / sigma^2: Stein's identity."""
        z = rng.normal(d)
        return self.sigma * z, z / self.sigma

    def lost_mass(self, eps: npt.ArrayLike, d: int) -> Array:
        """erf(eps / (2 sqrt2 sigma))."""
        return np.asarray(special.erf(np.asarray(eps, dtype=np.float64) / (2 * np.sqrt(2) * self.sigma)))

    def shift_of(self, lost_mass: npt.ArrayLike, d: int) -> Array:
        """2 sqrt2 sigma erfinv(p)."""
        return np.asarray(2 * np.sqrt(2) * self.sigma * special.erfinv(_mass(lost_mass)))

    def chi(self, eps: npt.ArrayLike) -> Array:
        """sqrt(exp(eps^2 / sigma^2) - 1)."""
        with np.errstate(over="ignore"):
            return np.asarray(np.sqrt(np.expm1((np.asarray(eps, dtype=np.float64) / self.sigma) ** 2)))


def _half_chord(lost_mass: npt.ArrayLike, d: int) -> Array:
    return np.asarray(np.sqrt(special.betaincinv(0.5, (d + 1) / 2, _mass(lost_mass))))


def _mass(lost_mass: npt.ArrayLike) -> Array:
    p = np.asarray(lost_mass, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ArgumentError("lost_mass", lost_mass, "must be in [0, 1]")
    return p
