"""Searches over monotone and near-monotone claims; an answer is always a point where the claim was seen to hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["largest", "least_scale"]

Array = npt.NDArray[np.float64]

_STEPS = 80
_GROWTH = 4.0  # from a guess that held to the next one
_TOLERANCE = 1e-11


def largest(
    margin: Callable[[Array, npt.NDArray[np.int64]], Array],
    upper: Array,
    lower: Array | None = None,
    at_lower: Array | None = None,
    resolution: float = 0.0,
    guess: Array | None = None,
) -> Array:
    """For each entry of a column, the largest value found from lower to upper at which a margin is negative.

    Inverse quadratic interpolation where three points say that it will do, else bisection (Chandrupatla 1997). The
    point that is kept had a negative margin when it was evaluated, so the result is certified even were the claim not
    monotone.

    Args:
        margin: of values for some of the entries and which these are: columns (m, 1) and indices (m,) in, (m, 1) out.
        upper: shape (n, 1).
        lower: what the result is where nothing larger was found; 0 by default.
        at_lower: the margin there, if known.
        resolution: how closely a result is told at least; by default only the relative tolerance counts.
        guess: between lower and upper, where the search begins; what lies above is looked at only if it holds there.
    """
    rows = np.arange(len(upper))
    low = np.zeros_like(upper) if lower is None else lower.copy()
    at_low = np.full(upper.shape, -np.inf) if at_lower is None else at_lower.copy()
    high = upper.copy() if guess is None else np.minimum(guess, upper)
    at_high = margin(high, rows)
    while (some := np.flatnonzero((at_high < 0) & (high < upper))).size:
        low[some], at_low[some] = high[some], at_high[some]
        high[some] = np.minimum(_GROWTH * high[some], upper[some])
        at_high[some] = margin(high[some], some)
    found = np.where(at_high < 0, upper, low)
    # The last point, that on the other side, and the one before, with their margins.
    last, other, before = high, low, low
    at_last, at_other, at_before = at_high, at_low, at_low
    is_open = at_high >= 0
    for _ in range(_STEPS):
        width, near = np.abs(other - last), np.maximum(_TOLERANCE * np.maximum(last, other), resolution)
        some = np.flatnonzero(is_open & (width > near))
        if not some.size:
            break
        rows, width, near = rows[some], width[some], near[some]
        last, other, before = last[some], other[some], before[some]
        at_last, at_other, at_before = at_last[some], at_other[some], at_before[some]
        part = _part(last, other, before, at_last, at_other, at_before)
        # No nearer to an end than the tolerance: a point beyond the solution soon closes the bracket.
        edge = np.minimum(0.5 * near / width, 0.5)
        point = last + (other - last) * np.clip(part, edge, 1 - edge)
        value = margin(point, rows)
        same = (value < 0) == (at_last < 0)
        before, at_before = np.where(same, last, other), np.where(same, at_last, at_other)
        other, at_other = np.where(same, other, last), np.where(same, at_other, at_last)
        last, at_last, is_open = point, value, np.ones(point.shape, dtype=bool)
        found[rows] = np.minimum(last, other)
    return found


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def _part(x1: Array, x2: Array, x3: Array, f1: Array, f2: Array, f3: Array) -> Array:
    """Where between x1 and x2 to look: 0 to 1. With two points so far, x3 = x2, by the secant."""
    xi, phi = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
    smooth = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
    quadratic = f1 / (f2 - f1) * f3 / (f2 - f3) + (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
    secant = f1 / (f1 - f2)
    part = np.where(smooth, quadratic, np.where(x3 == x2, secant, 0.5))
    return np.where(np.isfinite(part) & np.isfinite(f1) & np.isfinite(f2), part, 0.5)


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
