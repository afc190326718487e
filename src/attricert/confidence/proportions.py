"""Exact bounds on a probability from a count (Clopper and Pearson 1934)."""

from __future__ import annotations

from scipy import stats

__all__ = ["least_for_majority", "lower_proportion", "upper_proportion"]


def lower_proportion(successes: int, n: int, alpha: float) -> float:
    """The probability is at least this, but for a chance of alpha."""
    return 0.0 if successes == 0 else float(stats.beta.ppf(alpha, successes, n - successes + 1))


def upper_proportion(successes: int, n: int, alpha: float) -> float:
    """The probability is at most this, but for a chance of alpha."""
    return 1.0 if successes == n else float(stats.beta.isf(alpha, successes + 1, n - successes))


def least_for_majority(n: int, alpha: float) -> float:
    """The probability from which on more than half of n trials succeed, but for a chance of alpha."""
    return upper_proportion(n // 2, n, alpha)
