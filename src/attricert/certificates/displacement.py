"""D(eps): how far h can move when its input moves by at most eps (docs/theory.md 3); e is eps / sigma throughout."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["higher_moment", "hybrid", "lost_mass_allowed", "moment_weight", "total_variation", "variance"]

Array = npt.NDArray[np.float64]

_FAR = 40.0  # standard deviations beyond which a normal has no mass in float64
_BISECTIONS = 26  # the bound is flat at its least: this is far more than its digits need
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
    return np.sqrt(spread) * np.where(spread > 0, chi, 0.0)  # a map that never varies does not move, however far


def hybrid(e: Array, spread: Array, reach: Array, *, clip: bool = True) -> Array:
    """Variance where the likelihood ratio w is small, reach times probability where it is large (theory 3c).

    With t = w(z) - 1, w - 1 is clipped at t, or cut off beyond t (``clip=False``, never smaller):

        sqrt(lambda (G(z) + t^2 Phi(-z))) + B [Phi(e-z) - (1 + t) Phi(-z)],  least at sqrt(lambda) t = B sqrt(G + ...)
        sqrt(lambda G(z))                 + B [Phi(e-z) - Phi(-z)],          least at sqrt(lambda) t = 2 B sqrt(G)

    Any z >= e/2 gives a valid bound, so the search for the best one cannot err on the wrong side.
    """
    e, spread, reach = np.broadcast_arrays(e, spread, reach)
    root, slope = np.sqrt(spread), reach if clip else 2 * reach
    low, high = 0.5 * e, 0.5 * e + _FAR
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_BISECTIONS):
            z = 0.5 * (low + high)
            energy, top, _ = _split(z, e, clip=clip)
            rising = root * top > slope * np.sqrt(energy)
            low, high = np.where(rising, low, z), np.where(rising, z, high)
        energy, _, beyond = _split(high, e, clip=clip)
        return _finite(np.sqrt(spread * energy) + reach * beyond)


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
    nodes, weights = _gauss_legendre()
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


@cache
def _gauss_legendre() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


def _reach(bound: float, nonnegative: bool) -> float:
    return (math.sqrt(2) if nonnegative else 2.0) * bound


def _finite(bound: Array) -> Array:
    """What cannot be computed is no bound."""
    return np.where(np.isfinite(bound), bound, np.inf)


def _split(z: Array, e: Array, *, clip: bool) -> tuple[Array, Array, Array]:
    """Second moment of w - 1 up to w(z), w(z) - 1, and the mean of what is beyond; the moments rounded up."""
    above, shifted = special.ndtr(-z), special.ndtr(e - z)
    top = np.expm1(e * z - 0.5 * e**2)
    terms = np.exp(e**2) * special.ndtr(z - 2 * e), 2 * special.ndtr(z - e), special.ndtr(z)
    energy = np.maximum(terms[0] - terms[1] + terms[2], 0.0) + _SUM_ROUNDING * (terms[0] + terms[1] + terms[2])
    if not clip:
        return energy, top, shifted - above + _SUM_ROUNDING * shifted
    beyond = np.maximum(shifted - (1 + top) * above, 0.0) + _SUM_ROUNDING * shifted
    return energy + top**2 * above, top, beyond
