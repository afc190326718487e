"""Generalized chi-square: the law of ||N(h, diag(w))||^2, and the paper's asymptotic interval for ||h|| (its C.1).

The cdf comes from the characteristic function by Gil-Pelaez' integral and the midpoint rule (Davies 1973, 1980), with
both errors bounded: aliasing by Chernoff's bound on the tails that the step folds back, truncation by Imhof's (1961)
bound on the rest of the integral.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
from scipy import optimize

from attricert.errors import ArgumentError

__all__ = ["cdf", "norm_interval"]

Array = npt.NDArray[np.float64]

_TOLERANCE = 1e-9
_LEAST_ALPHA = 1e-7
_MOST_NODES = 4_000_000
_CHUNK = 2**20


def cdf(x: float, weights: npt.ArrayLike, noncentrality: npt.ArrayLike) -> float:
    """P(sum_j w_j X_j <= x) with independent X_j ~ chi^2_1(noncentrality_j), to an absolute error of 1e-9.

    Args:
        x: where to evaluate.
        weights: w_j >= 0, shape (d,).
        noncentrality: squared means of the unit normals, shape (d,).

    Raises:
        ArgumentError: fewer than three weights matter, so that the integral decays too slowly.
    """
    w = np.asarray(weights, dtype=np.float64)
    return _Form(w, w * np.asarray(noncentrality, dtype=np.float64)).inversion(x, 1.0, 1.0).cdf(1.0)


def norm_interval(mean: npt.ArrayLike, variance: npt.ArrayLike, n: int, alpha: float) -> tuple[float, float]:
    """Asymptotic interval for ||h||: each end fails with probability alpha, were the mean exactly N(h, diag(s^2/n)).

    Found by inverting the test in ||h|| with the direction of h taken from the mean; unlike quantiles of the law at
    the observed mean, it does not count the noise's own energy as signal. Not a finite-sample bound: the entries'
    correlations and non-normality are ignored (docs/errata.md).

    Args:
        mean: mean of n draws, shape (d,).
        variance: variance of one draw in each entry, shape (d,).
        n: number of draws.
        alpha: probability of failure at each end.
    """
    if alpha < _LEAST_ALPHA:
        raise ArgumentError("alpha", alpha, f"must be >= {_LEAST_ALPHA:g} for the asymptotic interval")
    squares = np.asarray(mean, dtype=np.float64).ravel() ** 2
    observed = float(squares.sum())
    if observed == 0.0:
        return 0.0, 0.0
    # In units of the observed norm, so that the search's tolerances fit whatever the attribution's units are.
    shape, w = squares / observed, np.asarray(variance, dtype=np.float64).ravel() / (n * observed)
    if not w.any():
        return math.sqrt(observed), math.sqrt(observed)
    # Where the answer can lie: generous multiples of the standard deviation around the unbiased estimate.
    reach = 6 + 2 * math.sqrt(math.log(1 / alpha))
    deviation = math.sqrt(2 * float((w**2).sum()) + 4 * float((w * shape).sum()))
    center = 1 - float(w.sum())
    small, large = max(center - reach * deviation, 0.0), max(center, 0.0) + reach * deviation
    inversion = _Form(w, shape).inversion(1.0, small, large)

    def excess(square: float, level: float) -> float:
        return inversion.cdf(square) - level

    def solve(level: float) -> float:
        return math.sqrt(observed * optimize.brentq(excess, small, large, args=(level,), rtol=1e-12))

    # The cdf at the observed norm falls as the true norm grows.
    lower = solve(1 - alpha) if excess(small, 1 - alpha) > 0 else 0.0
    return lower, solve(alpha) if excess(small, alpha) > 0 else math.sqrt(observed * small)


@final
@dataclass(frozen=True)
class _Form:
    """sum_j w_j (Z_j + s a_j)^2 with w_j a_j^2 = squares_j: a scale s^2 multiplies the squared means."""

    weights: Array
    squares: Array

    def inversion(self, x: float, small: float, large: float) -> _Inversion:
        """Nodes at which the characteristic function gives the cdf at x for every squared scale in [small, large]."""
        low, high = max(-self._reach(small, -1), 0.0), self._reach(large, 1)
        if x >= high:
            return _Inversion.constant(1.0)
        if x <= low:
            return _Inversion.constant(0.0)
        step = 2 * math.pi / max(high - x, x - low)
        nodes = math.ceil(self._cutoff(small, step) / step)
        u = (np.arange(nodes) + 0.5) * step
        central, shift = np.empty(nodes, complex), np.empty(nodes, complex)
        rows = max(1, _CHUNK // len(self.weights))
        for i in range(0, nodes, rows):
            z = 1 - 2j * np.multiply.outer(u[i : i + rows], self.weights)
            central[i : i + rows] = -0.5 * np.log(z).sum(axis=1)
            shift[i : i + rows] = 1j * u[i : i + rows] * (self.squares / z).sum(axis=1)
        return _Inversion(central - 1j * u * x, shift)

    def _log_mgf(self, s: float, scale: float) -> float:
        z = 1 - 2 * s * self.weights
        return float(-0.5 * np.log(z).sum() + s * scale * (self.squares / z).sum())

    def _reach(self, scale: float, sign: int) -> float:
        """The least y with P(sign * form > y) <= tolerance / 2 by Chernoff's bound."""
        log = math.log(2 / _TOLERANCE)
        # The upper tail's transform exists for s < 1 / (2 max w) only; the lower tail's for all s > 0.
        singular = -math.log(2 * float(self.weights.max()))

        def bound(log_s: float) -> float:
            s = math.exp(log_s)
            return (self._log_mgf(sign * s, scale) + log) / s

        top = singular - 1e-3 if sign > 0 else singular + 12.0
        best = optimize.minimize_scalar(bound, bounds=(singular - 25.0, top), method="bounded")
        return float(best.fun)

    def _cutoff(self, scale: float, step: float) -> float:
        """Where the integral may stop: Imhof's bound on the rest is at most half the tolerance."""
        w = np.sort(self.weights[self.weights > 0])[::-1]
        halves = np.arange(1, len(w) + 1) / 2

        def log_rest(u: float) -> float:
            a = 4 * u**2 * self.weights**2
            log_modulus = -0.25 * np.log1p(a).sum() - 2 * u**2 * scale * (self.squares * self.weights / (1 + a)).sum()
            growth = 0.25 * np.cumsum(np.log1p(1 / (4 * u**2 * w**2))) - np.log(halves)
            return float(log_modulus + growth.min() - math.log(math.pi))

        target, u = math.log(_TOLERANCE / 2), step
        while log_rest(u) > target:
            u *= 1.25
            if u > _MOST_NODES * step:
                raise ArgumentError(
                    "confidence", "asymptotic", "needs at least three features that vary; use 'betting'"
                )
        return u


@final
@dataclass(frozen=True)
class _Inversion:
    central: npt.NDArray[np.complex128]
    shift: npt.NDArray[np.complex128]
    value: float | None = None

    @classmethod
    def constant(cls, value: float) -> _Inversion:
        empty = np.empty(0, complex)
        return cls(empty, empty, value)

    def cdf(self, scale: float) -> float:
        if self.value is not None:
            return self.value
        terms = np.exp(self.central + scale * self.shift).imag / (np.arange(len(self.central)) + 0.5)
        return float(np.clip(0.5 - terms.sum() / math.pi, 0.0, 1.0))
