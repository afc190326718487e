"""The angle by which a smoothed map can turn (docs/theory.md 4, cosine by cones).

cos(h(x~), h(x)) > cos(theta) where v.h(x~) < 0 for all v = cos(theta) p - sin(theta) h/||h||, p a unit vector
orthogonal to h. What is known of v.g for such a v alone is more than for any v: it points away from where the maps are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt

from attricert.certificates import solve
from attricert.certificates.dual import Point, Stretches, evaluate
from attricert.certificates.evidence import Evidence
from attricert.certificates.facts import Facts
from attricert.certificates.program import Warm, largest_mean, newton, step
from attricert.certificates.terms import Terms
from attricert.noise import LikelihoodRatio

__all__ = ["Cones", "Turn"]

Array = npt.NDArray[np.float64]

_STEPS, _WARM_STEPS, _SLOPES = 12, 8, 3
_CLOSE, _FLAT = 1e-8, 1e-4
_WIDEST = np.pi / 2 * (1 - 1e-9)
_MARGIN = 1e-13  # relative, on the side that makes a fact weaker; trigonometry errs by less


class Turn(NamedTuple):
    """What was found for rows of inputs and sizes, columns of shape (N, 1)."""

    angle: Array  # certified; pi where none was found
    theta: Array  # where the search ended
    at: Point
    settled: npt.NDArray[np.bool_]  # whether it ended where the program vanishes


@final
@dataclass(frozen=True)
class Cones:
    """What evidence says of the maps along such a v, for rows of inputs and sizes: columns of shape (N, 1), (N, J).

    Args:
        terms: the terms.
        norm: c.
        center: ||m||.
        drift: of h from m.
        stretch: along u.
        variance: of the stretched deviations, in the outermost region.
        along: of the regions.
        across: of the regions.
        outside: of the regions.
        fourth: likewise, or None.
    """

    terms: Terms
    norm: Array
    center: Array
    drift: Array
    stretch: Array
    variance: Array
    along: Array
    across: Array
    outside: Array
    fourth: Array | None

    @classmethod
    def of(cls, evidence: Evidence, sizes: int) -> Cones | None:
        """Each input's, so many times; None where no cone was proven."""
        c, e = evidence.cone, evidence
        if c is None:
            return None

        def rows(values: Array) -> Array:
            return np.repeat(values if values.ndim == 2 else values[:, None], sizes, axis=0)

        fourth = None if e.fourth is None else rows(e.fourth.upper)
        return cls(
            terms=e.terms,
            norm=rows(e.norm.lower),
            center=rows(c.center),
            drift=rows(c.drift),
            stretch=rows(c.stretch),
            variance=rows(c.variance),
            along=rows(c.along),
            across=rows(c.across),
            outside=rows(c.outside),
            fourth=fourth,
        )

    def take(self, rows: npt.NDArray[np.int64]) -> Cones:
        """Some of the rows."""
        arrays: dict[str, Any] = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        return replace(self, **arrays)

    @property
    def lean(self) -> Array:
        """psi: the angle between u and h is at most this; pi/2 where c is 0."""
        return np.asarray(np.arctan2(self.drift, self.norm) * (1 + _MARGIN))

    @property
    def least(self) -> Array:
        """The least theta of which something can be said: psi and a little more."""
        return np.asarray(self.lean * (1 + 1e-6) + 1e-9)

    def facts(self, theta: Array) -> Facts:
        """Of v.g, for every v of this theta, around v.m; theta > psi."""
        m, largest = self.center, self.terms.max_norm
        near, far = theta - self.lean, np.minimum(theta + self.lean, np.pi / 2)
        # -v.u = sin(phi) with phi from near to far.
        low, high = np.sin(near) * (1 - _MARGIN), np.minimum(np.sin(far) * (1 + _MARGIN), 1.0)
        mean = -self.norm * np.sin(theta) * (1 - _MARGIN)
        limits = _limit(m - self.along, self.across, near, far)
        length = 1 - low**2 * (1 - 1 / self.stretch**2)
        highest = largest + m * high
        if self.terms.nonnegative:  # u.g is never negative either
            highest = np.minimum(highest, _limit(m, np.full_like(m, largest), near, far))
        slack = _MARGIN * (m + self.norm)
        return Facts(
            mean=mean,
            rise=np.minimum(self.drift, m * high + mean + slack),
            fall=np.minimum(self.drift, -m * low - mean + slack),
            second=self.variance * length,
            highest=highest,
            lowest=np.maximum(largest - m * low, 0.0),
            limits=np.minimum(limits, highest),
            outside=self.outside,
            inside=True,
            fourth=None if self.fourth is None else self.fourth * length**2,
        )

    def program(self, theta: Array, ratio: LikelihoodRatio, start: Point | None = None, steps: int = 24) -> Point:
        """The largest v.h(x~): where it is negative, h turns by less than theta. Not negative where theta <= psi."""
        inside = np.maximum(theta, self.least)
        found = largest_mean(self.facts(inside), ratio, start, steps)
        return found._replace(value=np.where(theta < inside, np.inf, found.value))

    def angles(self, ratio: LikelihoodRatio, start: Turn | None = None) -> Turn:
        """The least angle found by which h cannot turn, for each row's shift; pi where none was.

        Args:
            ratio: of the shifts, a row each.
            start: the result for similar shifts.
        """
        turn = self._descend(ratio, start)
        # From the solution of a near program Newton's method hardly misses; else another search may find less.
        rows = np.flatnonzero(~turn.settled | (self.fourth is not None) | (start is None))
        if rows.size:
            turn.angle[rows] = self.take(rows)._search(ratio.take(rows), turn.angle[rows])
        return turn

    def _descend(self, ratio: LikelihoodRatio, start: Turn | None) -> Turn:
        """Newton's method for theta, nu and kappa together; each point at which the program is negative counts."""
        plain = replace(self, fourth=None)
        least = np.minimum(self.least, _WIDEST)
        theta = np.clip(self.lean + 0.3 if start is None else start.theta, least, _WIDEST)
        facts = plain.facts(theta)
        stretches = Stretches.of(facts, ratio)
        at = newton(stretches, facts, ratio, None if start is None else start.at, 4 if start is None else 2)
        settled = np.zeros(theta.shape, dtype=bool)
        angle = np.full_like(theta, np.pi)
        for count in range(_STEPS):
            held = (at.value < 0) & (theta > self.lean)
            angle = np.where(held, np.minimum(angle, theta), angle)
            if count < _SLOPES:  # then it hardly changes any more
                slope = plain._slope(theta, at, facts, ratio)
            with np.errstate(divide="ignore", invalid="ignore"):
                move = np.clip(np.nan_to_num(-at.value / np.minimum(slope, -1e-12)), -0.25, 0.25)
            last = theta
            # A little farther than where it vanishes, so that it is negative there.
            theta = np.clip(theta + move + 1e-9 + 1e-4 * np.abs(move), least, _WIDEST)
            nu, kappa = step(at, stretches, facts)
            flat = (np.abs(nu - at.nu) < _FLAT) & (np.abs(kappa - at.kappa) < _FLAT * at.kappa)
            # From the solution of a near program so many steps tell whether there is one.
            hopeless = (last >= _WIDEST) & (at.value >= 0) & (flat | (start is not None))
            settled = np.where(held, flat & (np.abs(theta - last) < _CLOSE), hopeless)
            if bool(settled.all()):
                break
            facts = plain.facts(theta)
            stretches = Stretches.of(facts, ratio, stretches)
            at = evaluate(stretches, facts, ratio, nu, kappa)
        return Turn(angle, theta, at, settled)

    def _slope(self, theta: Array, at: Point, facts: Facts, ratio: LikelihoodRatio) -> Array:
        """How the program changes with theta where nu and kappa stay: through the facts alone."""
        h = 1e-5
        more = self.facts(theta + h)
        tilt = np.maximum(at.nu - 1, 0.0) * (more.rise - facts.rise) + np.maximum(1 - at.nu, 0.0) * (
            more.fall - facts.fall
        )
        change = more.mean - facts.mean + tilt + at.kappa / 2 * (more.second - facts.second)
        limits = np.concatenate([more.limits - facts.limits, more.highest - facts.highest], axis=1)
        change = change + (at.prices * limits).sum(axis=1, keepdims=True) + ratio.lost * (more.highest - facts.highest)
        return np.asarray(change / h)

    def _search(self, ratio: LikelihoodRatio, angle: Array) -> Array:
        """What lies below an angle, by false position: where it is not the least, or the fourth moment helps."""
        high = np.minimum(angle, _WIDEST)
        at = self.program(high, ratio)
        found = np.where(at.value < 0, high, angle)
        room = high - (self.lean * (1 + 2e-6) + 2e-9)
        some = np.flatnonzero((at.value < -_CLOSE) & (room > 0))
        if not some.size:
            return found
        cones, part, high = self.take(some), ratio.take(some), high[some]

        def program(less: Array, rows: npt.NDArray[np.int64], start: Point | None) -> Point:
            return cones.take(rows).program(high[rows] - less, part.take(rows), start, _WARM_STEPS)

        solver, start = Warm(program, at.take(some)), at.value[some]
        less = solve.largest(lambda v, rows: solver(v, rows).value, room[some], None, start, _CLOSE)
        found[some] = high - less
        return found


def _limit(short: Array, across: Array, near: Array, far: Array) -> Array:
    """The largest sin(phi) short + cos(phi) across for phi from near to far, rounded up."""
    phi = np.clip(np.arctan2(short, across), near, far)
    return np.asarray(short * np.sin(phi) + across * np.cos(phi) + _MARGIN * np.hypot(short, across))
