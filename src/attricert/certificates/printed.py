"""The paper's formulas as printed (its eq. 6 and 8-10), to reproduce its figures. NOT lower bounds.

Theorem 1 solves c cos(theta) + a = 0 as if it read cos(theta) = 0; crescents violate it (docs/errata.md, 1).
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import numpy.typing as npt

from attricert.errors import NotABoundWarning

__all__ = ["cosine", "displacement_allowed", "warn_once"]

Array = npt.NDArray[np.float64]


def cosine(displacement: Array, norm: Array) -> Array:
    """Eq. 6: c / sqrt(c^2 + D^2)."""
    c = np.maximum(norm, 0.0)
    size = np.hypot(c, displacement)
    return np.divide(c, size, out=np.zeros(size.shape), where=size > 0)


def displacement_allowed(cosine: Array, norm: Array) -> Array:
    """Eq. 8 and 10 (with the square root that the latter lacks): c sqrt(1/T^2 - 1)."""
    return np.maximum(norm, 0.0) * np.sqrt((1 - cosine) * (1 + cosine)) / cosine


@cache
def warn_once() -> None:
    """Say, once a process, that this is no certificate."""
    warnings.warn(
        "method='printed' is the paper's Theorem 1 as printed; it is not a lower bound (docs/errata.md). "
        "Use method='sound' for a certificate.",
        NotABoundWarning,
        stacklevel=4,
    )
