"""The question behind every certificate, how large the mean of a scalar can be at the shifted input (theory 3).

For a scalar Y of a random map, a center y1, Q = Y - y1 and w the likelihood ratio of the shifted noise, any nu >= 0 and
kappa >= 0 give

    E~Y <= mean + (nu - 1)+ rise + (1 - nu)+ fall + E U(w, R) + kappa s2 / 2 + lost R_last,
    U(w, R) = max over -lowest <= q <= R of q (w - nu) - kappa q^2 / 2,

the largest limits R going with the largest w. The best (nu, kappa) come from Newton's method; as any will do, they need
not be exact: only the value is rounded up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt
from scipy import special

from attricert.noise.likelihood import LikelihoodRatio

__all__ = ["Facts", "Point", "Stretches", "Warm", "evaluate", "largest_mean", "newton", "step"]

Array = npt.NDArray[np.float64]

_ROUNDING = 2e-13  # relative to the largest terms: some hundred roundings, exponents up to a thousand
_STEPS = 40
_CLOSE = 1e-6  # relative step below which the next one is left out
_STRETCH = 3.0  # a step of Newton's method changes kappa by no more than this factor, nu by no more than a half
_FAR = 40.0  # no normal z lies beyond
_MANY = 64  # rows, of which those that are done are worth being left out
_TANGENTS = 16  # parabolas below the quartic
_SHARES = np.array([0.02, 0.06, 0.2, 0.5, 1.0, 2.0])  # of the quartic term, in units of the quadratic one
_NEAR_SHARES = np.array([0.6, 1.0, 1.7])  # times that of a similar program's solution
_ROUNDS, _NEAR_ROUNDS, _ROUND_STEPS = 6, 3, 3  # of new tangents; from a similar program's solution; steps for each


@final
@dataclass(frozen=True)
class Facts:
    """What is known of n scalars under the noise at x: arrays of shape (n,), those of J limits of shape (n, J).

    `evaluate` and what calls it take them as `flat` makes them: one column, (n, 1), and (n, J).

    Args:
        mean: E Y is at most this.
        rise: E Y + (nu - 1) E Q is at most mean + (nu - 1) rise for nu >= 1; inf where not known.
        fall: ... and at most mean + (1 - nu) fall for 0 <= nu <= 1; rise + fall >= 0.
        second: E Q^2 is at most this; inf where not known. With ``inside`` only its part in the outermost region is.
        highest: Q is never above this, >= 0.
        lowest: Q is never below minus this, >= 0.
        limits: Q is at most limits[:, j] but for an event of mass outside[:, j]; increasing in j.
        outside: those masses, decreasing in j.
        inside: whether ``second`` (and ``fourth``) speak of the outermost region alone; needs a region.
        fourth: E Q^4 in the outermost region is at most this.
    """

    mean: Array
    rise: Array
    fall: Array
    second: Array
    highest: Array
    lowest: Array
    limits: Array
    outside: Array
    inside: bool = False
    fourth: Array | None = None

    @classmethod
    def of_range(cls, mean: Array, low: Array, high: Array) -> Facts:
        """Of a scalar in [low, high] with mean at most ``mean``: its center is the mean's bound."""
        highest, lowest = np.maximum(high - mean, 0.0), np.maximum(mean - low, 0.0)
        none, zero = np.empty((*highest.shape, 0)), np.zeros_like(highest)
        return cls(mean, zero, zero, np.full_like(highest, np.inf), highest, lowest, none, none)

    def flat(self, shape: tuple[int, int]) -> Facts:
        """Broadcast over a grid of inputs and sizes, a row each."""

        def spread(name: str, value: Array) -> Array:
            if name in ("limits", "outside"):
                regions = value.shape[-1]
                return np.broadcast_to(value[:, None, :], (*shape, regions)).reshape(shape[0] * shape[1], regions)
            return np.broadcast_to(value[:, None], shape).reshape(-1, 1)

        values = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays: dict[str, Any] = {n: spread(n, v) for n, v in values.items() if isinstance(v, np.ndarray)}
        return replace(self, **arrays)

    def take(self, rows: npt.NDArray[np.int64]) -> Facts:
        """Some of the rows."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays: dict[str, Any] = {n: v[rows] for n, v in values.items() if isinstance(v, np.ndarray)}
        return replace(self, **arrays)


class Point(NamedTuple):
    """The program at one (nu, kappa): its value, rounded up, and its derivatives."""

    nu: Array
    kappa: Array
    value: Array
    mean: Array  # of the worst q
    square: Array  # ... and of its square, as far as the second moment counts it
    curvature: tuple[Array, Array, Array]  # d2/dnu2, d2/dnu dkappa, d2/dkappa2
    prices: Array  # of the limits, shape (n, S)
    share: Array  # of the quartic term

    def take(self, rows: npt.NDArray[np.int64]) -> Point:
        """Some of the rows."""
        return self.each(lambda array, _: array[rows], self)

    def put(self, rows: npt.NDArray[np.int64], part: Point) -> Point:
        """With some of the rows replaced."""

        def merged(whole: Array, some: Array) -> Array:
            found = whole.copy()
            found[rows] = some
            return found

        return self.each(merged, part)

    def each(self, change: Callable[[Array, Array], Array], other: Point) -> Point:
        """Of each array and the other's."""
        one, two = self.curvature, other.curvature
        curvature = (change(one[0], two[0]), change(one[1], two[1]), change(one[2], two[2]))
        names = ("nu", "kappa", "value", "mean", "square", "prices", "share")
        return Point(curvature=curvature, **{n: change(getattr(self, n), getattr(other, n)) for n in names})


@final
@dataclass(frozen=True)
class Stretches:
    """Above w = nu: stretches of z, each with one limit and one parabola.

    Args:
        ends: where all but the last end, shape (n, S - 1).
        limits: R, shape (n, S).
        bend: of the parabola, in units of kappa: 1; 0 where no second moment is known; more for a tangent of a quartic.
        offset: what the tangent adds to U, in units of kappa.
        second: what kappa / 2 is multiplied by: s2, and more with a quartic; shape (n, 1).
        share: of the quartic term, shape (n, 1).
        sums: E w^k up to the end of each of them, k = 0, 1, 2; shape (n, S) each.
    """

    ends: Array
    limits: Array
    bend: Array
    offset: Array
    second: Array
    share: Array
    sums: tuple[Array, Array, Array]

    @classmethod
    def of(cls, facts: Facts, ratio: LikelihoodRatio, like: Stretches | None = None) -> Stretches:
        """One for each region, and one beyond.

        Args:
            facts: of n scalars.
            ratio: of n shifts.
            like: those of other facts about the same regions and shifts, whose ends and sums are the same.
        """
        limits = np.clip(np.concatenate([facts.limits, facts.highest], axis=1), 0.0, facts.highest)
        bend = np.ones_like(limits)
        if facts.inside:
            bend[:, -1] = 0.0
        ends = -special.ndtri(facts.outside) if like is None else like.ends
        sums = _sums(ends, ratio) if like is None else like.sums
        return cls(ends, limits, bend, np.zeros_like(limits), facts.second, np.zeros_like(facts.second), sums)

    def take(self, rows: npt.NDArray[np.int64]) -> Stretches:
        """Some of the rows."""
        arrays = {n: v[rows] for n, v in vars(self).items() if isinstance(v, np.ndarray)}
        return replace(self, sums=(self.sums[0][rows], self.sums[1][rows], self.sums[2][rows]), **arrays)

    def with_quartic(self, facts: Facts, ratio: LikelihoodRatio, at: Point, share: Array) -> Stretches:
        """With a term kappa share (q+)^4 / (4 s2), bounded below by its tangent parabolas.

        q^4 >= 2 t^2 q^2 - t^4 for every t; t is the worst q in the middle of the stretch. The term is left out below
        w = nu, where otherwise the largest limits need not go with the largest w (theory 3).
        """
        first = np.clip(ratio.crossing(at.nu), -_FAR, _FAR)  # infinite where w is nowhere, or everywhere, below nu
        top = np.maximum(self.ends[:, -1:], first + 0.1)
        grid = first + (top - first) * np.linspace(0, 1, _TANGENTS + 1)[1:-1]
        ends = np.sort(np.concatenate([self.ends, grid], axis=1), axis=1)
        region = (self.ends[:, None, :] < ends[:, :, None]).sum(axis=2)
        region = np.concatenate([region, np.full_like(region[:, :1], self.ends.shape[1])], axis=1)
        limits, inside = np.take_along_axis(self.limits, region, axis=1), region < self.ends.shape[1]
        middle = 0.5 * (ends + np.concatenate([first, ends[:, :-1]], axis=1))
        pull = np.maximum(ratio.at(middle) - at.nu, 0.0) / at.kappa
        worst = np.minimum(_root(pull, share / facts.second), limits[:, :-1])
        square = np.where(inside, np.concatenate([worst, worst[:, -1:]], axis=1) ** 2, 0.0)
        bend = np.where(inside, 1 + share * square / facts.second, np.take_along_axis(self.bend, region, axis=1))
        fourth = facts.second if facts.fourth is None else facts.fourth
        second = facts.second + share * fourth / (2 * facts.second)
        return Stretches(ends, limits, bend, share * square**2 / (4 * facts.second), second, share, _sums(ends, ratio))


def _sums(ends: Array, ratio: LikelihoodRatio) -> tuple[Array, Array, Array]:
    return ratio.below(np.concatenate([ends, np.full_like(ends, np.inf, shape=(len(ends), 1))], axis=1))


def _root(pull: Array, weight: Array) -> Array:
    """The q with q + weight q^3 = pull (only tightness depends on it)."""
    scale = np.sqrt(3 * weight) / 2
    return np.asarray(np.sinh(np.arcsinh(3 * scale * pull) / 3) / scale)


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
    zero, one = np.zeros_like(span), np.ones_like(span)
    best = evaluate(p, facts, ratio, one, zero)
    for slope, side in ((-facts.rise, np.maximum), (facts.fall, np.minimum)):
        with np.errstate(over="ignore"):  # spans may be tiny
            below = (facts.highest + np.nan_to_num(slope, posinf=1e300, neginf=-1e300)) / span
        below = np.clip(below, 1e-300, 1 - 1e-16)
        nu = ratio.at(special.ndtri(below))
        nu = np.where(np.isfinite(nu) & np.isfinite(slope), side(nu, 1.0), 1.0)
        best = _better(best, evaluate(p, facts, ratio, nu, zero))
    return best


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what cannot be computed is no bound
def newton(stretches: Stretches, facts: Facts, ratio: LikelihoodRatio, start: Point | None, steps: int) -> Point:
    """The best of some steps of Newton's method on the convex function of (nu, kappa).

    Each row stops where its own next step would change little: what is found of it is the same in any company.
    """
    at = evaluate(stretches, facts, ratio, *_first(stretches))
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
    nu = at.nu + np.clip(np.nan_to_num(move_nu), -0.5, 0.5)
    # One side of the kink at a time.
    nu = np.where(up, np.maximum(nu, 1.0), np.where(down, np.clip(nu, 0.0, 1.0), 1.0))
    kappa = at.kappa + np.nan_to_num(move_kappa, nan=0.0, posinf=1e300, neginf=-1e300)
    return nu, np.clip(kappa, at.kappa / _STRETCH, at.kappa * _STRETCH)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what cannot be computed is no bound
def evaluate(p: Stretches, facts: Facts, ratio: LikelihoodRatio, nu: Array, kappa: Array) -> Point:
    """The program at (nu, kappa), any nu >= 0 and kappa > 0 (0 where no second moment is known)."""
    middle = ratio.crossing(nu)
    low = np.minimum(ratio.crossing(nu - kappa * facts.lowest), middle)
    right = np.maximum(p.ends, middle)
    left = np.concatenate([middle, right], axis=1)
    end = np.concatenate([right, np.full_like(middle, np.inf)], axis=1)
    bent = kappa * p.bend
    # Means of 1, w, w^2 up to each of these points; their differences are those of the stretches between them.
    (l0, m0), (l1, m1), (l2, m2) = (np.hsplit(v, 2) for v in ratio.below(np.concatenate([low, middle], axis=1)))
    later = end > middle
    r0, r1, r2 = (np.where(later, v, m) for v, m in zip(p.sums, (m0, m1, m2), strict=True))
    a0, a1, a2 = (np.concatenate([m, r[:, :-1]], axis=1) for m, r in ((m0, r0), (m1, r1), (m2, r2)))
    knee = ratio.crossing(nu + bent * p.limits)
    flat_from = knee <= left
    k0, k1, k2 = (np.where(flat_from, a, r) for a, r in ((a0, r0), (a1, r1), (a2, r2)))
    rows, columns = np.nonzero(~flat_from & (knee < end))
    for k, inner in zip((k0, k1, k2), ratio.take(rows).below(knee[rows, columns][:, None]), strict=True):
        k[rows, columns] = inner[:, 0]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # On parabolas q = (w - nu) / bent, on limits q = R; below w = nu likewise, with bend 1 and -lowest.
        inverse = np.where(bent > 0, 1 / np.where(bent > 0, bent, 1.0), 0.0)
        inverse_low = np.where(kappa > 0, 1 / np.where(kappa > 0, kappa, 1.0), 0.0)
        z0, z1, z2 = k0 - a0, k1 - a1, k2 - a2
        f0, mass = r0 - k0, r0 - a0
        q1, q2 = (z1 - nu * z0) * inverse, np.maximum(z2 - 2 * nu * z1 + nu**2 * z0, 0.0) * inverse
        y0, y1, y2 = m0 - l0, m1 - l1, m2 - l2
        p1, p2 = (y1 - nu * y0) * inverse_low, np.maximum(y2 - 2 * nu * y1 + nu**2 * y0, 0.0) * inverse_low
        push = r1 - k1 - nu * f0
        flat = p.limits * push - 0.5 * bent * p.limits**2 * f0
        flat_low = facts.lowest * (nu * l0 - l1) - 0.5 * kappa * facts.lowest**2 * l0
        gain = _sum(0.5 * q2 + flat + kappa * p.offset * mass) + 0.5 * p2 + flat_low
        known = np.isfinite(p.second)
        moments = np.where(known, 0.5 * kappa * np.where(known, p.second, 0.0), 0.0)
        slack = _ROUNDING * (
            (k2.max(axis=1, keepdims=True) + m2 + 2 * nu + nu**2) * inverse_low
            + facts.highest * (1 + nu)
            + facts.lowest * (l1 + nu * l0)
            + np.abs(facts.mean)
            + moments
        )
        tilt = np.where(nu > 1, (nu - 1) * np.where(nu > 1, facts.rise, 0.0), 0.0)
        tilt = tilt + np.where(nu < 1, (1 - nu) * np.where(nu < 1, facts.fall, 0.0), 0.0)
        value = facts.mean + tilt + gain + moments + ratio.lost * facts.highest + slack
        if facts.inside:
            value = value + _elsewhere(p, facts, ratio, nu, kappa)
    mean = _sum(q1 + p.limits * f0) + p1 - facts.lowest * l0
    square = _sum(p.bend * (q2 * inverse + p.limits**2 * f0) - 2 * p.offset * mass) + p2 * inverse_low
    square = square + facts.lowest**2 * l0
    curvature = (
        _sum(z0 * inverse) + y0 * inverse_low,
        (_sum(q1) + p1) * inverse_low,
        (_sum(q2) + p2) * inverse_low**2,
    )
    prices = push - bent * p.limits * f0
    return Point(nu, kappa, np.where(np.isnan(value), np.inf, value), mean, square, curvature, prices, p.share)


def _elsewhere(p: Stretches, facts: Facts, ratio: LikelihoodRatio, nu: Array, kappa: Array) -> Array:
    """What is to be added as draws outside of all regions may go with a small w instead of a large one.

    There U is R_last (w - nu) above nu, and at most lowest * nu below. What they gain over draws inside grows with w
    above nu; only where it begins below lowest * nu can it pay to be at the other end (theory 3).
    """
    edge = p.ends[:, -1:]
    pull = np.maximum(ratio.at(edge) - nu, 0.0)
    last = int(p.ends.shape[1]) - 1
    limit, bent, offset = p.limits[:, last : last + 1], kappa * p.bend[:, last : last + 1], p.offset[:, last : last + 1]
    worst = np.minimum(pull / np.where(bent > 0, bent, 1e-300), limit)
    gained = facts.highest * pull - (worst * pull - 0.5 * bent * worst**2 + kappa * offset)
    return np.asarray(facts.outside[:, -1:] * np.maximum(facts.lowest * nu - gained, 0.0))


def _first(p: Stretches) -> tuple[Array, Array]:
    """nu = 1, and the kappa that would be best without limits, of a ratio that is not too wild."""
    m0, m1, m2 = (v[:, -1:] for v in p.sums)
    chi = np.clip(m2 - 2 * m1 + m0, 1e-20, 10.0)
    known = np.isfinite(p.second)
    kappa = np.sqrt(chi / np.maximum(np.where(known, p.second, 1.0), 1e-300))
    return np.ones_like(kappa), np.where(known, kappa, 0.0)


def _better(one: Point, other: Point) -> Point:
    """Row by row. Prices of other stretches than the first one's are left out."""
    choose = other.value < one.value

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


def _sum(values: Array) -> Array:
    return np.asarray(values.sum(axis=1, keepdims=True))
