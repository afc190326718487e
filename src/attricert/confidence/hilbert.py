"""How far the mean of n bounded random vectors lies from its expectation, free of dimension (docs/theory.md 5)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["bernstein", "mean_distance"]


def mean_distance(
    n: int, alpha: float, bound: float, norm: npt.ArrayLike = 0.0, spread: npt.ArrayLike = np.inf
) -> npt.NDArray[np.float64]:
    """E with ``||mean - h|| <= E`` with probability >= 1 - alpha: the smaller of two bounds that hold at alpha each.

    Which of the two is smaller does not depend on the draws, so alpha need not be split. With e = sqrt((M^2 - c^2)/n),
    which bounds the expected distance since E||g - h||^2 = E||g||^2 - ||h||^2, and L = log(1/alpha):

    - McDiarmid: e + M sqrt(2L/n), as one draw moves the mean by at most 2M/n;
    - Bousquet 2002 (Talagrand's inequality): e + sqrt(2L (lambda + 4Me) / n) + 2ML/3n, as ||g - h|| <= 2M.

    Args:
        n: independent draws, each of norm at most ``bound``.
        alpha: probability of failure.
        bound: M.
        norm: a lower bound c on ``||h||``, 0 where nothing is known; any shape.
        spread: an upper bound lambda on the largest eigenvalue of their covariance, inf where nothing is known.
    """
    log = math.log(1 / alpha)
    expected = np.sqrt(np.maximum(bound**2 - np.asarray(norm, dtype=np.float64) ** 2, 0.0) / n)
    mcdiarmid = bound * math.sqrt(2 * log / n)
    bousquet = np.sqrt(2 * log * (np.asarray(spread) + 4 * bound * expected) / n) + 2 * bound * log / (3 * n)
    return np.asarray(expected + np.minimum(mcdiarmid, bousquet))


def bernstein(n: int, alpha: float, variance: npt.ArrayLike, deviation: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """How far the mean of n draws may lie on one side of its expectation, but for a chance of alpha (Bernstein 1946).

    Args:
        n: independent draws.
        alpha: probability of failure.
        variance: theirs, or an upper bound of it.
        deviation: an upper bound on how far one of them lies from its expectation.
    """
    log = math.log(1 / alpha)
    return np.asarray(np.sqrt(2 * np.asarray(variance) * log / n) + np.asarray(deviation) * log / (3 * n))
