"""Draws of the noises, and what turns draws into derivatives of smoothed maps (docs/theory.md 2 and 11)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from attricert.streams import Rng

__all__ = ["ball", "ball_derivative", "gaussian", "gaussian_derivative"]


def ball(rng: Rng, d: int, radius: float) -> Float[Tensor, "n d"]:
    """A Gaussian direction times radius * U^(1/d)."""
    z = rng.normal(d)
    # In float64: for d = 150,528 the whole law of U^(1/d) lives within 1e-4 of 1.
    length = radius * rng.uniform() ** (1.0 / d)
    return z.mul_((length / _norm(z)).to(z.dtype)[:, None])


def ball_derivative(rng: Rng, d: int, radius: float) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """Points b = radius * u of the sphere, and d/radius * u: Gauss' theorem."""
    z = rng.normal(d)
    u = z / _norm(z).to(z.dtype)[:, None]
    return radius * u, d / radius * u


def gaussian(rng: Rng, d: int, sigma: float) -> Float[Tensor, "n d"]:
    """Independent normals."""
    return rng.normal(d).mul_(sigma)


def gaussian_derivative(rng: Rng, d: int, sigma: float) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """The noise itself, and a / sigma^2: Stein's identity."""
    z = rng.normal(d)
    return sigma * z, z / sigma


def _norm(z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """In float64, by a sum in blocks (a sum in one go would lose more digits than theory 5 allows); never zero."""
    # Where all entries are zero, which happens for d <= 2, the direction is taken as zero too.
    return z.double().square().sum(dim=1).sqrt().clamp_min(torch.finfo(z.dtype).tiny)
