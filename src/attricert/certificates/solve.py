"""Searches over monotone and near-monotone claims; an answer is always a point where the claim was seen to hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["largest", "least_scale"]

Array = npt.NDArray[np.float64]


def largest(holds: Callable[[Array], npt.NDArray[np.bool_]], upper: Array, steps: int = 56) -> Array:
    """For each entry, the largest value in [0, upper] found where a claim holds that fails from some value on.

    Bisection keeps a point where the claim held, so the result is certified even were the claim not monotone; 0
    where it never held.
    """
    low, high = np.zeros_like(upper), upper.copy()
    everywhere = holds(high)
    for _ in range(steps):
        middle = 0.5 * (low + high)
        good = holds(middle)
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    return np.where(everywhere, upper, low)


def least_scale(holds: Callable[[float], bool], first: float, ceiling: float, steps: int, failed: float = 0.0) -> float:
    """The smallest scale found up to the ceiling at which a claim holds; inf if none was.

    Doubles from ``first`` until the claim holds, or halves until it does not, then halves the (logarithmic) gap; each
    of at most ``steps`` evaluations is a claim of its own, so the caller splits its error probability over ``steps``.
    ``failed`` is a scale below ``first`` at which the claim cannot hold, 0 if none is known.
    """
    scale, held = first, float("inf")
    for _ in range(steps):
        if holds(scale):
            held = scale
        elif scale >= ceiling:
            break
        else:
            failed = scale
        if held == float("inf"):
            scale = min(2 * failed, ceiling)
        elif failed == 0.0:
            scale = held / 2
        else:
            scale = float(np.sqrt(failed * held))
    return held
