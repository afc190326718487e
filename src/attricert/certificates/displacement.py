"""D(eps): how far h can move when its input moves by at most eps (docs/theory.md 3); e is eps / sigma throughout."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["clipped", "higher_moment", "hybrid", "lost_mass_allowed", "moment_weight", "total_variation", "variance"]

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_FAR = 40.0  # standard deviations beyond which a normal has no mass in float64
_BISECTIONS = 40
_SUM_ROUNDING = 2e-15  # relative to the largest term, of a sum of three with cancellation
_LARGEST_E, _NODES = 8.0, 400  # beyond it moment weights are not computed: other bounds are smaller there


def total_variation(lost_mass: Array, bound: float, *, nonnegative: bool) -> Array:
    """D = 2 M p, or sqrt2 M p where no entry of g is negative (theory 3a).

    Nonnegative maps: the part of h that a shift removes and the part that it adds lie in the positive orthant, so
    the angle between them is at most a right one.
    """
    return _reach(bound, nonnegative) * lost_mass


def lost_mass_allowed(displacement: Array, bound: float, *, nonnegative: bool) -> Array:
    """The lost mass at which the displacement bound reaches the given value; at most 1."""
    return np.minimum(displacement / _reach(bound, nonnegative), 1.0)


def variance(chi: Array, spread: Array) -> Array:
    """D = sqrt(lambda) chi (theory 3b)."""
    return np.sqrt(spread) * chi


def hybrid(e: Array, spread: Array, reach: Array) -> Array:
    """The likelihood ratio w is split at w(z): variance below, reach * probability above; the best z (theory 3c).

    Any z >= e/2 gives a valid bound, so the search for the best one cannot err on the wrong side. It solves
    sqrt(lambda) (w(z) - 1) = 2 B sqrt(G(z)), where the derivative vanishes.
    """
    e, spread, reach = np.broadcast_arrays(e, spread, reach)
    root = np.sqrt(spread)

    def rising(z: Array) -> Flags:
        return np.asarray(root * np.expm1(e * z - 0.5 * e**2) > 2 * reach * np.sqrt(_energy_below(z, e)))

    with np.errstate(over="ignore", invalid="ignore"):
        z = _threshold(e, rising)
        beyond = special.ndtr(e - z) - special.ndtr(-z)
        return _finite(np.sqrt(spread * _energy_below(z, e)) + reach * beyond)


def clipped(e: Array, spread: Array, reach: Array) -> Array:
    """As `hybrid`, with w - 1 clipped at w(z) - 1 = t instead of cut: the best split there is (theory 3c).

    D = sqrt(lambda (G(z) + t^2 Phi(-z))) + B [Phi(e-z) - (1 + t) Phi(-z)], least where sqrt(lambda) t equals B times the
    root of G(z) + t^2 Phi(-z).
    """
    e, spread, reach = np.broadcast_arrays(e, spread, reach)
    root = np.sqrt(spread)

    def energy(z: Array) -> tuple[Array, Array]:
        top = np.expm1(e * z - 0.5 * e**2)
        return top, _energy_below(z, e) + top**2 * special.ndtr(-z)

    def rising(z: Array) -> Flags:
        top, total = energy(z)
        return np.asarray(root * top > reach * np.sqrt(total))

    with np.errstate(over="ignore", invalid="ignore"):
        z = _threshold(e, rising)
        top, total = energy(z)
        terms = special.ndtr(e - z), (1 + top) * special.ndtr(-z)
        beyond = np.maximum(terms[0] - terms[1], 0.0) + _SUM_ROUNDING * terms[0]
        return _finite(np.sqrt(spread * total) + reach * beyond)


def higher_moment(e: Array, order: int, size: Array, reach: Array, tail: Array) -> Array:
    """D = size W_k(e) + B [Phi(Phi^-1(tail) + e) + tail], with 2k = order (theory 3e).

    Args:
        e: eps / sigma.
        order: 2k.
        size: upper bound of sup_v (E (v.q)^2k)^(1/2k) over the q's within the radius.
        reach: B, upper bound of every ||q||.
        tail: upper bound of the probability of a q beyond the radius.
    """
    moved = special.ndtr(special.ndtri(tail) + e) + tail
    with np.errstate(invalid="ignore"):
        return _finite(size * moment_weight(e, order // 2) + reach * moved)


def moment_weight(e: Array, k: int) -> Array:
    """W_k = (E |w - 1|^q)^(1/q), q = 2k/(2k-1), for the likelihood ratio w; inf for e > 8 (theory 3e).

    Gauss-Legendre on both sides of the kink at z = e/2, in t with z = e/2 -+ t^3, which makes it smooth.
    """
    q = 2 * k / (2 * k - 1)
    flat = np.minimum(e.ravel(), _LARGEST_E)[:, None]
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    total = np.zeros(len(flat))
    for side in (-1.0, 1.0):
        # Above, the integrand peaks near z = q e.
        end = np.cbrt(_FAR + (2 * flat if side > 0 else 0 * flat))
        t = 0.5 * end * (nodes + 1)
        x = side * flat * t**3  # log w
        z = 0.5 * flat + side * t**3
        with np.errstate(divide="ignore"):
            log = q * (np.maximum(x, 0.0) + np.log(-np.expm1(-np.abs(x)))) - 0.5 * z**2
        total += (np.exp(log) * 3 * t**2 * weights).sum(axis=1) * 0.5 * end[:, 0]
    value = (total / math.sqrt(2 * math.pi)) ** (1 / q)
    return np.where(e > _LARGEST_E, np.inf, value.reshape(e.shape))


def _reach(bound: float, nonnegative: bool) -> float:
    return (math.sqrt(2) if nonnegative else 2.0) * bound


def _threshold(e: Array, rising: Callable[[Array], Flags]) -> Array:
    """The z >= e/2 from which on a bound that falls before rises, by bisection."""
    low, high = 0.5 * e, 0.5 * e + _FAR
    for _ in range(_BISECTIONS):
        z = 0.5 * (low + high)
        beyond = rising(z)
        low, high = np.where(beyond, low, z), np.where(beyond, z, high)
    return high


def _finite(bound: Array) -> Array:
    """What cannot be computed is no bound."""
    return np.where(np.isfinite(bound), bound, np.inf)


def _energy_below(z: Array, e: Array) -> Array:
    """G(z) = E (w-1)^2 1{w <= w(z)}, rounded up."""
    terms = np.exp(e**2) * special.ndtr(z - 2 * e), 2 * special.ndtr(z - e), special.ndtr(z)
    sizes = terms[0] + terms[1] + terms[2]
    value = terms[0] - terms[1] + terms[2]
    return np.asarray(np.maximum(value, 0.0) + _SUM_ROUNDING * sizes)
