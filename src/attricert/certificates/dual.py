"""How large the mean of a scalar can be at the shifted input, by any choice of two multipliers (docs/theory.md 3).

For a scalar Y of a random map, a center y1, Q = Y - y1 and w the likelihood ratio of the shifted noise, any nu >= 0 and
kappa >= 0 give

    E~Y <= mean + (nu - 1)+ rise + (1 - nu)+ fall + E U(w, R) + kappa s2 / 2 + lost R_last,
    U(w, R) = max over -lowest <= q <= R of q (w - nu) - kappa q^2 / 2,

the largest limits R going with the largest w.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt
from scipy import special

from attricert.certificates.facts import Facts
from attricert.noise.likelihood import LikelihoodRatio

__all__ = ["Point", "Stretches", "evaluate"]

Array = npt.NDArray[np.float64]

_ROUNDING = 2e-13  # relative to the largest terms: some hundred roundings, exponents up to a thousand
_FAR = 40.0  # no normal z lies beyond
_TANGENTS = 16  # parabolas below the quartic


class Point(NamedTuple):
    """The program at one (nu, kappa): its value, rounded up, and its derivatives."""

    nu: Array
    kappa: Array
    value: Array
    mean: Array  # of the worst q: minus the derivative in nu of all but the mean's terms
    square: Array  # ... and of its square, as far as the second moment counts it: likewise in kappa
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


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what cannot be computed is no bound
def evaluate(p: Stretches, facts: Facts, ratio: LikelihoodRatio, nu: Array, kappa: Array) -> Point:
    """The program at (nu, kappa), any nu >= 0 and kappa > 0 (0 where no second moment is known)."""
    bent = kappa * p.bend
    crossings = ratio.crossing(np.concatenate([nu - kappa * facts.lowest, nu, nu + bent * p.limits], axis=1))
    low, middle, knee = np.minimum(crossings[:, :1], crossings[:, 1:2]), crossings[:, 1:2], crossings[:, 2:]
    right = np.maximum(p.ends, middle)
    left = np.concatenate([middle, right], axis=1)
    end = np.concatenate([right, np.full_like(middle, np.inf)], axis=1)
    # Means of 1, w, w^2 up to each of these points; their differences are those of the stretches between them.
    if p.ends.shape[1] or kappa.any():
        points = np.concatenate([low, middle, np.minimum(np.maximum(knee, left), end)], axis=1)
        parts = [(v[:, :1], v[:, 1:2], v[:, 2:]) for v in ratio.below(points)]
    else:  # they are all one
        parts = [(v, v, v) for v in ratio.below(middle)]
    (l0, m0, k0), (l1, m1, k1), (l2, m2, k2) = parts
    later = end > middle
    r0, r1, r2 = (np.where(later, v, m) for v, m in zip(p.sums, (m0, m1, m2), strict=True))
    a0, a1, a2 = (np.concatenate([m, r[:, :-1]], axis=1) for m, r in ((m0, r0), (m1, r1), (m2, r2)))
    # On parabolas q = (w - nu) / bent, on limits q = R; below w = nu likewise, with bend 1 and -lowest.
    inverse = np.where(bent > 0, 1 / bent, 0.0)
    inverse_low = np.where(kappa > 0, 1 / kappa, 0.0)
    z0, z1, z2 = k0 - a0, k1 - a1, k2 - a2
    f0, nu_square = r0 - k0, nu**2
    q1, q2 = (z1 - nu * z0) * inverse, np.maximum(z2 - 2 * nu * z1 + nu_square * z0, 0.0) * inverse
    y0, y1, y2 = m0 - l0, m1 - l1, m2 - l2
    p1, p2 = (y1 - nu * y0) * inverse_low, np.maximum(y2 - 2 * nu * y1 + nu_square * y0, 0.0) * inverse_low
    push, pressed = r1 - k1 - nu * f0, p.limits * f0
    tangent = p.offset * (r0 - a0)
    gain = _sum(0.5 * q2 + p.limits * (push - 0.5 * bent * pressed) + kappa * tangent) + 0.5 * p2
    gain = gain + facts.lowest * (nu * l0 - l1 - 0.5 * kappa * facts.lowest * l0)
    moments = np.where(np.isfinite(p.second), 0.5 * kappa * p.second, 0.0)
    slack = _ROUNDING * (
        (k2.max(axis=1, keepdims=True) + m2 + 2 * nu + nu_square) * inverse_low
        + facts.highest * (1 + nu)
        + facts.lowest * (l1 + nu * l0)
        + np.abs(facts.mean)
        + moments
    )
    tilt = np.where(nu > 1, (nu - 1) * facts.rise, np.where(nu < 1, (1 - nu) * facts.fall, 0.0))
    value = facts.mean + tilt + gain + moments + ratio.lost * facts.highest + slack
    mean = _sum(q1 + pressed) + p1 - facts.lowest * l0
    square = _sum(p.bend * (q2 * inverse + p.limits * pressed) - 2 * tangent) + p2 * inverse_low
    square = square + facts.lowest**2 * l0
    if facts.inside:
        more, by_nu, by_kappa = _elsewhere(p, facts, ratio, nu, kappa)
        value, mean, square = value + more, mean - by_nu, square - 2 * by_kappa
    curvature = (
        _sum(z0 * inverse) + y0 * inverse_low,
        (_sum(q1) + p1) * inverse_low,
        (_sum(q2) + p2) * inverse_low**2,
    )
    prices = push - bent * pressed
    return Point(nu, kappa, np.where(np.isnan(value), np.inf, value), mean, square, curvature, prices, p.share)


def _elsewhere(
    p: Stretches, facts: Facts, ratio: LikelihoodRatio, nu: Array, kappa: Array
) -> tuple[Array, Array, Array]:
    """What is to be added as draws outside of all regions may go with a small w instead of a large one; derivatives.

    There U is R_last (w - nu) above nu, and at most lowest * nu below. What they gain over draws inside grows with w
    above nu; only where it begins below lowest * nu can it pay to be at the other end (theory 3).
    """
    edge = p.ends[:, -1:]
    pull = np.maximum(ratio.at(edge) - nu, 0.0)
    last = int(p.ends.shape[1]) - 1
    limit, bent, offset = p.limits[:, last : last + 1], kappa * p.bend[:, last : last + 1], p.offset[:, last : last + 1]
    worst = np.minimum(pull / np.where(bent > 0, bent, 1e-300), limit)
    gained = facts.highest * pull - (worst * pull - 0.5 * bent * worst**2 + kappa * offset)
    more = facts.lowest * nu - gained
    mass = np.where(more > 0, facts.outside[:, -1:], 0.0)
    by_nu = facts.lowest + np.where(pull > 0, facts.highest - worst, 0.0)
    by_kappa = offset - 0.5 * p.bend[:, last : last + 1] * worst**2
    return mass * np.maximum(more, 0.0), mass * by_nu, mass * by_kappa


def _sums(ends: Array, ratio: LikelihoodRatio) -> tuple[Array, Array, Array]:
    return ratio.below(np.concatenate([ends, np.full_like(ends, np.inf, shape=(len(ends), 1))], axis=1))


def _root(pull: Array, weight: Array) -> Array:
    """The q with q + weight q^3 = pull (only tightness depends on it)."""
    scale = np.sqrt(3 * weight) / 2
    return np.asarray(np.sinh(np.arcsinh(3 * scale * pull) / 3) / scale)


def _sum(values: Array) -> Array:
    return np.asarray(values.sum(axis=1, keepdims=True))
