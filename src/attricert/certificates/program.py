"""The question behind every certificate: how large the mean of a scalar can be at the shifted input (docs/theory.md 3).

`dual.evaluate` answers it for any two multipliers. The best come from Newton's method; as any will do, they need not be
exact: only the value is rounded up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import final

import numpy as np
import numpy.typing as npt
from scipy import special

from attricert.certificates.dual import Point, Stretches, evaluate
from attricert.certificates.facts import Facts
from attricert.noise.likelihood import LikelihoodRatio

__all__ = ["Warm", "largest_mean", "newton", "step"]

Array = npt.NDArray[np.float64]

_STEPS = 40
_CLOSE = 1e-6  # relative step below which the next one is left out
_STRETCH = 3.0  # a step of Newton's method changes kappa by no more than this factor, nu by no more than a half
_MANY = 64  # rows, of which those that are done are worth being left out
_SHARES = np.array([0.02, 0.06, 0.2, 0.5, 1.0, 2.0])  # of the quartic term, in units of the quadratic one
_NEAR_SHARES = np.array([0.6, 1.0, 1.7])  # times that of a similar program's solution
_ROUNDS, _NEAR_ROUNDS, _ROUND_STEPS = 6, 3, 3  # of new tangents; from a similar program's solution; steps for each


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what cannot be computed is no bound
def largest_mean(facts: Facts, ratio: LikelihoodRatio, start: Point | None = None, steps: int = _STEPS) -> Point:
    """The least value found of the program, and where.

    Args:
        facts: of n scalars.
        ratio: of n shifts, shape (n, 1).
        start: where to begin, e.g. the solution of a similar program.
        steps: of Newton's method.
    """
    stretches = Stretches.of(facts, ratio)
    if np.isinf(facts.second).all():
        return _by_range(stretches, facts, ratio)
    plain = newton(stretches, facts, ratio, start, steps)
    if facts.fourth is None:
        return plain
    if start is None:
        shares = np.broadcast_to(_SHARES, (len(plain.nu), len(_SHARES)))
        return _better(plain, _with_quartic(facts, ratio, plain, shares, _ROUNDS))
    shares = np.where(start.share > 0, start.share, _SHARES[0]) * _NEAR_SHARES
    return _better(plain, _with_quartic(facts, ratio, start, shares, _NEAR_ROUNDS))


def _with_quartic(facts: Facts, ratio: LikelihoodRatio, start: Point, shares: Array, rounds: int) -> Point:
    """The best of some shares of the quartic term, of shape (n, k); all are solved at once."""
    n, k = shares.shape
    rows = np.repeat(np.arange(n), k)
    facts, ratio, at = facts.take(rows), ratio.take(rows), start.take(rows)
    plain, share, found = Stretches.of(facts, ratio), shares.reshape(-1, 1), []
    for _ in range(rounds):  # the tangents are put where the last solution was
        at = newton(plain.with_quartic(facts, ratio, at, share), facts, ratio, at, _ROUND_STEPS)
        found.append(at.take(np.arange(n) * k + np.argmin(at.value.reshape(n, k), axis=1)))
    return reduce(_better, found)


def _by_range(p: Stretches, facts: Facts, ratio: LikelihoodRatio) -> Point:
    """Without second moments q jumps from -lowest to the limit at w = nu: as Neyman and Pearson have it."""
    span = np.maximum(facts.highest + facts.lowest, 1e-300)

    def flat(slope: Array) -> Array:
        """Where the function is flat, were this its slope in nu; 1 where that is not known."""
        part = np.minimum(np.maximum((facts.highest + slope) / span, 1e-300), 1 - 1e-16)
        nu = ratio.at(special.ndtri(part))
        return np.where(np.isfinite(nu) & np.isfinite(slope), nu, 1.0)

    # It is convex, with a kink at 1: on one side of it lies the best, or it is the best.
    up, down = flat(-facts.rise), flat(facts.fall)
    nu = np.where(up > 1, up, np.where(down < 1, down, 1.0))
    return evaluate(p, facts, ratio, nu, np.zeros_like(span))


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what cannot be computed is no bound
def newton(stretches: Stretches, facts: Facts, ratio: LikelihoodRatio, start: Point | None, steps: int) -> Point:
    """The best of some steps of Newton's method on the convex function of (nu, kappa).

    Each row stops where its own next step would change little: what is found of it is the same in any company.
    """
    at = evaluate(stretches, facts, ratio, *_first(stretches, facts))
    if start is not None:  # the solution of a program that is not so near after all may be a bad start
        at = _better(at, evaluate(stretches, facts, ratio, start.nu, start.kappa))
    return _descend(stretches, facts, ratio, at, at, steps)


def _descend(stretches: Stretches, facts: Facts, ratio: LikelihoodRatio, at: Point, best: Point, steps: int) -> Point:
    count = len(at.nu)
    for left in range(steps, 1, -1):
        nu, kappa = step(at, stretches, facts)
        # A step that went too far is halved: the function is convex, so between lies something better.
        far = at.value > best.value
        nu, kappa = np.where(far, 0.5 * (best.nu + at.nu), nu), np.where(far, np.sqrt(best.kappa * at.kappa), kappa)
        # Where it is flat, what is left to gain is of the order of the square.
        moving = (np.abs(nu - at.nu) >= _CLOSE) | (np.abs(kappa - at.kappa) > _CLOSE * at.kappa)
        some = np.flatnonzero(moving)
        if not some.size:
            break
        if count > _MANY and some.size < count / 2:
            parts = stretches.take(some), facts.take(some), ratio.take(some), at.take(some), best.take(some)
            return best.put(some, _descend(*parts, left))
        at = evaluate(stretches, facts, ratio, np.where(moving, nu, at.nu), np.where(moving, kappa, at.kappa))
        best = _better(best, at)
    return best


def step(at: Point, stretches: Stretches, facts: Facts) -> tuple[Array, Array]:
    """The next (nu, kappa). The function has a kink at nu = 1, on which the solution lies where no side is downhill."""
    up = (at.nu > 1) | ((at.nu == 1) & (at.mean > facts.rise))
    down = (at.nu < 1) | ((at.nu == 1) & (-at.mean > facts.fall))
    known = np.isfinite(stretches.second)
    by_nu = np.where(up, facts.rise - at.mean, -facts.fall - at.mean)
    by_kappa = np.where(known, stretches.second - at.square, 0.0) / 2
    nn, nk, kk = at.curvature
    free = (up | down) & (nn > 0) & np.isfinite(by_nu)
    determinant = nn * kk - nk**2
    both = free & known & (determinant > 1e-10 * nn * kk)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        move_nu = np.where(both, (nk * by_kappa - kk * by_nu) / determinant, np.where(free, -by_nu / nn, 0.0))
        move_kappa = np.where(both, (nk * by_nu - nn * by_kappa) / determinant, -by_kappa / kk)
    nu = at.nu + np.minimum(np.maximum(np.where(np.isnan(move_nu), 0.0, move_nu), -0.5), 0.5)
    # One side of the kink at a time.
    nu = np.where(up, np.maximum(nu, 1.0), np.where(down, np.minimum(np.maximum(nu, 0.0), 1.0), 1.0))
    kappa = at.kappa + np.where(np.isnan(move_kappa), 0.0, move_kappa)
    return nu, np.minimum(np.maximum(kappa, at.kappa / _STRETCH), at.kappa * _STRETCH)


def _first(p: Stretches, facts: Facts) -> tuple[Array, Array]:
    """What would be best without limits, of a ratio that is not too wild; nu = 1 if the function has a kink there.

    Without one it is (nu - 1) rise + sqrt(second (chi^2 + (nu - 1)^2)) at the best kappa.
    """
    m0, m1, m2 = (v[:, -1:] for v in p.sums)
    chi = np.clip(m2 - 2 * m1 + m0, 1e-12, 10.0)  # with less, rounding would be most of the value
    known = np.isfinite(p.second)
    second = np.maximum(np.where(known, p.second, 1.0), 1e-300)
    slope = np.where(facts.rise + facts.fall == 0, facts.rise, 0.0)
    away = np.minimum(np.abs(slope) * np.sqrt(chi / np.maximum(second - slope**2, 1e-300)), 1.0)
    kappa = np.sqrt((chi + away**2) / second)
    return np.where(known, 1 - np.sign(slope) * away, 1.0), np.where(known, kappa, 0.0)


def _better(one: Point, other: Point) -> Point:
    """Row by row. Prices of other stretches than the first one's are left out."""
    choose = other.value < one.value
    if not choose.any():
        return one

    def pick(a: Array, b: Array) -> Array:
        return np.where(choose, b, a)

    if one.prices.shape != other.prices.shape:
        other = other._replace(prices=one.prices)
    return one.each(pick, other)


@final
class Warm:
    """Solves programs of some of n rows again and again, each from the row's last solution; all of them the first time.

    Args:
        program: of values (m, 1), which rows these are (m,), and where to begin.
        start: the first solutions.
    """

    def __init__(
        self,
        program: Callable[[Array, npt.NDArray[np.int64], Point | None], Point],
        start: Point | None = None,
    ) -> None:
        self._program, self._last = program, start

    def __call__(self, values: Array, rows: npt.NDArray[np.int64]) -> Point:
        """The solutions of these rows."""
        found = self._program(values, rows, None if self._last is None else self._last.take(rows))
        self._last = found if self._last is None else self._last.put(rows, found)
        return found
