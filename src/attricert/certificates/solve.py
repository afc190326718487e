"""Searches over monotone and near-monotone claims; an answer is always a point where the claim was seen to hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["largest", "least_scale"]

Array = npt.NDArray[np.float64]

_EDGE = 0.02  # a secant's point is kept so far from the ends, as a part of the bracket: both of them close in
_STEPS = 80
_TOLERANCE = 1e-11


def largest(
    margin: Callable[[Array, npt.NDArray[np.int64]], Array],
    upper: Array,
    lower: Array | None = None,
    at_lower: Array | None = None,
    resolution: float = 0.0,
) -> Array:
    """For each entry of a column, the largest value found from lower to upper at which a margin is negative.

    False position after Illinois, with a bisection every third step. The point that is kept had a negative margin when
    it was evaluated, so the result is certified even were the claim not monotone.

    Args:
        margin: of values for some of the entries and which these are: columns (m, 1) and indices (m,) in, (m, 1) out.
        upper: shape (n, 1).
        lower: what the result is where nothing larger was found; 0 by default.
        at_lower: the margin there, if known.
        resolution: how closely a result is told at least; by default only the relative tolerance counts.
    """
    rows = np.arange(len(upper))
    found = np.zeros_like(upper) if lower is None else lower.copy()
    low, high = found, upper
    at_low, at_high = np.full(upper.shape, -np.inf) if at_lower is None else at_lower, margin(upper, rows)
    found = np.where(at_high < 0, upper, found)
    kept = np.zeros_like(upper)  # which end was kept the last time: 1 high, -1 low
    for count in range(_STEPS):
        width = high - low
        is_open = (at_high >= 0) & (width > np.maximum(_TOLERANCE * high, resolution))
        some = np.flatnonzero(is_open)
        if not some.size:
            break
        rows, low, high, width, kept = rows[some], low[some], high[some], width[some], kept[some]
        at_low, at_high = at_low[some], at_high[some]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            part = at_low / (at_low - at_high)
        secant = (count % 3 != 0) & np.isfinite(part) & np.isfinite(at_low) & np.isfinite(at_high)
        point = low + width * np.where(secant, np.clip(np.where(secant, part, 0.5), _EDGE, 1 - _EDGE), 0.5)
        value = margin(point, rows)
        good = value < 0
        # An end that is kept twice counts half (Illinois), so that it closes in too.
        at_low = np.where(good, value, np.where(kept < 0, 0.5 * at_low, at_low))
        at_high = np.where(good, np.where(kept > 0, 0.5 * at_high, at_high), value)
        low, high, kept = np.where(good, point, low), np.where(good, high, point), np.where(good, 1.0, -1.0)
        found[rows] = low
    return found


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
