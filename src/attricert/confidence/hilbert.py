"""How far the mean of n bounded random vectors lies from its expectation (docs/theory.md 5)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["mean_distance"]


def mean_distance(n: int, alpha: float, bound: float, norm: npt.ArrayLike = 0.0) -> npt.NDArray[np.float64]:
    """E with ``||mean - h|| <= E`` with probability >= 1 - alpha, free of dimension.

    sqrt((M^2 - c^2) / n) + M sqrt(2 log(1/alpha) / n): the first term bounds the expected distance, since
    E||g - h||^2 = E||g||^2 - ||h||^2; the second is McDiarmid's inequality, as one draw moves the mean by at most 2M/n.

    Args:
        n: independent draws, each of norm at most ``bound``.
        alpha: probability of failure.
        bound: M.
        norm: a lower bound c on ``||h||``, 0 where nothing is known; any shape.
    """
    deviation = np.sqrt(np.maximum(bound**2 - np.asarray(norm, dtype=np.float64) ** 2, 0.0) / n)
    return np.asarray(deviation + bound * math.sqrt(2 * math.log(1 / alpha) / n))
