"""Searches over monotone and near-monotone claims; an answer is always a point where the claim was seen to hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["largest", "least_scale"]

Array = npt.NDArray[np.float64]


def largest(holds: Callable[[Array], npt.NDArray[np.bool_]], upper: Array, steps: int = 100) -> Array:
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


def least_scale(holds: Callable[[float], bool], floor: float, ceiling: float, steps: int) -> float:
    """The smallest scale found in [floor, ceiling] at which a claim holds; inf if none was.

    Grows from the floor by doubling, then halves the (logarithmic) gap; each of at most ``steps`` evaluations is a
    claim of its own, so the caller splits its error probability over ``steps``.
    """
    failed, scale = floor, min(1.1 * floor, ceiling)
    for left in range(steps - 1, -1, -1):
        if holds(scale):
            return _refine(holds, failed, scale, left)
        if scale >= ceiling:
            break
        failed, scale = scale, min(2 * scale, ceiling)
    return float("inf")


def _refine(holds: Callable[[float], bool], failed: float, held: float, steps: int) -> float:
    for _ in range(steps):
        middle = float(np.sqrt(failed * held))
        failed, held = (failed, middle) if holds(middle) else (middle, held)
    return held
