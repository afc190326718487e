"""Exact bounds on a probability from a count (Clopper and Pearson 1934)."""

from __future__ import annotations

from scipy import special  # scipy.stats takes a second to import

__all__ = ["least_for_majority", "lower_proportion", "upper_proportion"]


def lower_proportion(successes: int, n: int, alpha: float) -> float:
    """The probability is at least this, but for a chance of alpha."""
    return 0.0 if successes == 0 else float(special.betaincinv(successes, n - successes + 1, alpha))


def upper_proportion(successes: int, n: int, alpha: float) -> float:
    """The probability is at most this, but for a chance of alpha."""
    return 1.0 if successes == n else float(special.betainccinv(successes + 1, n - successes, alpha))


def least_for_majority(n: int, alpha: float) -> float:
    """The probability from which on more than half of n trials succeed, but for a chance of alpha."""
    return upper_proportion(n // 2, n, alpha)
