"""Means of bounded draws from their first two moments: a bet whose wealth is bounded below in closed form.

For draws Y <= high with mean mu, W = prod(1 + bet (mu - Y_i)) is a nonnegative martingale wherever bet (high - mu) < 1,
so it reaches 1/alpha at any time with probability at most alpha (Ville). The logarithm obeys log(1 + x) >= x - c x^2
for x >= -r with c = (-log(1 - r) - r) / r^2, and r may be read off the draws seen. So with probability >= 1 - alpha

    bet * delta - c bet^2 (delta^2 + V) < log(1/alpha) / n,        delta = mu - mean(Y),  V = mean((Y - mean(Y))^2),

and, as the wealth grows with mu, delta is below the smaller root (docs/theory.md 5). No draw is needed again: moments,
the largest draw and a bet that was fixed beforehand suffice. The bound holds at all n at once.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["excess", "stake", "upper_mean"]

Array = npt.NDArray[np.float64]

_LARGEST_STAKE = 0.9  # of what a single worst draw could lose
_ROUNDING = 1 + 1e-11


def stake(variance: npt.ArrayLike, span: npt.ArrayLike, n: int, alpha: float) -> Array:
    """The bet that suits draws of about this variance best; valid whatever they are.

    Args:
        variance: a guess, >= 0; it affects the width only.
        span: the most by which a possible draw exceeds a mean that is tested, > 0.
        n: number of draws at which the bound should be tightest.
        alpha: probability of failure.
    """
    best = np.sqrt(2 * math.log(1 / alpha) / (n * np.maximum(variance, 1e-300)))
    return np.asarray(np.minimum(best, _LARGEST_STAKE / np.asarray(span)))


def excess(variance: npt.ArrayLike, largest: npt.ArrayLike, bet: npt.ArrayLike, n: int, alpha: float) -> Array:
    """How far the expectation may lie above the mean of n draws; inf where the draws are too few to tell.

    Args:
        variance: V, mean squared deviation of the draws from their mean, or an upper bound of it.
        largest: an upper bound on how far any draw seen exceeds the expectation.
        bet: fixed before the draws, see `stake`.
        n: number of independent draws.
        alpha: probability of failure.
    """
    bet = np.asarray(bet, dtype=np.float64)
    r = np.maximum(bet * largest, 0.0)
    c = _curvature(np.minimum(r, 0.99))
    cost = c * bet**2 * variance + math.log(1 / alpha) / n
    root = np.where(r < 0.99, 1 - 4 * c * cost, -1.0)
    # The smaller root of c bet^2 delta^2 - bet delta + cost, without cancellation.
    delta = 2 * cost / (bet * (1 + np.sqrt(np.maximum(root, 0.0))))
    return np.where(root >= 0, delta * _ROUNDING, np.inf)


def upper_mean(mean: float, square: float, largest: float, bet: float, n: int, alpha: float, limit: float) -> float:
    """Upper bound on the mean of draws in [0, limit] of which only upper bounds on two moments are known.

    Args:
        mean: at least the mean of the draws.
        square: at least the mean of their squares.
        largest: at least the largest of them.
        bet: fixed before the draws, at most 0.9 / limit.
        n: number of independent draws.
        alpha: probability of failure.
        limit: largest possible draw.
    """
    delta = float(excess(max(square - mean**2, 0.0), largest, bet, n, alpha))
    upper = (mean + delta) * _ROUNDING
    # Beyond this value a larger mean of the draws would no longer make the wealth smaller: no claim.
    valid = upper <= 1 / (2 * float(_curvature(bet * largest)) * bet)
    return min(upper, limit) if valid else limit


def _curvature(r: npt.ArrayLike) -> Array:
    """(-log(1 - r) - r) / r^2 for 0 <= r < 1; its series near 0."""
    r = np.asarray(r, dtype=np.float64)
    small = r < 1e-3
    safe = np.where(small, 0.5, r)
    return np.where(small, 0.5 + r / 3 + r**2 / 2, (-np.log1p(-safe) - safe) / safe**2)
