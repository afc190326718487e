"""Cosine similarity that a displacement cannot undercut (docs/theory.md 4, 6)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["NOTHING", "displacement_allowed", "from_angle", "from_displacement", "turn"]

Array = npt.NDArray[np.float64]

NOTHING = -1.0
"""The cosine that always holds."""


def from_displacement(displacement: Array, norm: Array) -> Array:
    """sqrt(1 - (D/c)^2) where D < c, else -1: the tangent from h to the ball of radius D around it."""
    d, c = np.broadcast_arrays(displacement, norm)
    safe = np.where(c > 0, c, 1.0)
    # (c - D)(c + D) instead of c^2 - D^2: no cancellation as D -> c.
    cosine = np.sqrt(np.maximum((safe - d) * (safe + d), 0.0)) / safe
    return np.where(d < c, cosine, NOTHING)


def displacement_allowed(cosine: Array, norm: Array) -> Array:
    """C sqrt(1 - T^2): the displacement at which the cosine reaches T."""
    return np.maximum(norm, 0.0) * np.sqrt((1 - cosine) * (1 + cosine))


def turn(displacement: Array, norm: Array) -> Array:
    """The angle arcsin(D/c) by which a vector of norm >= c can turn; pi where D >= c."""
    d, c = np.broadcast_arrays(displacement, norm)
    inside = d < c
    return np.where(inside, np.arcsin(np.divide(d, c, out=np.zeros(d.shape), where=inside)), np.pi)


def from_angle(angle: Array) -> Array:
    """The cosine of an angle; -1 from pi on."""
    return np.cos(np.minimum(angle, np.pi))
