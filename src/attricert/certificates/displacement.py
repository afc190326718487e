"""D(eps): how far h can move when its input moves by at most eps (docs/theory.md 3)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["lost_mass_allowed", "total_variation"]

Array = npt.NDArray[np.float64]


def total_variation(lost_mass: Array, bound: float, *, nonnegative: bool) -> Array:
    """D = 2 M p, or sqrt2 M p where no entry of g is negative (theory 3a).

    Nonnegative maps: the part of h that a shift removes and the part that it adds lie in the positive orthant, so
    the angle between them is at most a right one.
    """
    return _reach(bound, nonnegative) * lost_mass


def lost_mass_allowed(displacement: Array, bound: float, *, nonnegative: bool) -> Array:
    """The lost mass at which the displacement bound reaches the given value; at most 1."""
    return np.minimum(displacement / _reach(bound, nonnegative), 1.0)


def _reach(bound: float, nonnegative: bool) -> float:
    return (math.sqrt(2) if nonnegative else 2.0) * bound
