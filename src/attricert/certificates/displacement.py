"""D(eps): how far the smoothed map can move, in any direction (docs/theory.md 3)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import final

import numpy as np
import numpy.typing as npt

from attricert.certificates.dual import Point
from attricert.certificates.evidence import Evidence
from attricert.certificates.facts import Facts
from attricert.certificates.program import largest_mean
from attricert.certificates.terms import Terms
from attricert.noise import LikelihoodRatio

__all__ = ["Displacement", "displacement", "map_facts", "programs", "region_limits", "scalar_ratio"]

Array = npt.NDArray[np.float64]

_WARM_STEPS = 8  # of Newton's method, from the solution of a near program


def scalar_ratio(terms: Terms, eps: Array) -> LikelihoodRatio:
    """The likelihood ratio of shifts of these sizes, as `program` takes it: a column."""
    return terms.noise.likelihood_ratio(eps.reshape(-1, 1), terms.dimension)


def map_facts(evidence: Evidence) -> Iterator[Facts]:
    """What is known of v.g for every unit vector v at once, around v.h: facts of n inputs, each set of them by itself.

    Of an entry or functional nothing is known here but that it belongs to a map of norm <= M.
    """
    t, e = evidence.terms, evidence
    n = len(e)
    zero, unknown, none = np.zeros(n), np.full(n, np.inf), np.empty((n, 0))
    # v.g has a range of length (||v+|| + ||v-||) M, which is sqrt2 M at most where g has no negative entry (theory 3a).
    half = np.full(n, t.max_norm / (math.sqrt(2) if t.nonnegative else 1.0))
    yield Facts(zero, unknown, unknown, unknown, half, half, none, none)
    if e.top_variance is None:
        return
    drift, limits, outside = unknown, none, none
    if e.cone is not None:
        drift, limits, outside = e.cone.drift, region_limits(e), e.cone.outside
    farthest = e.top_variance.max_deviation
    yield Facts(zero, drift, drift, e.top_variance.upper, farthest, farthest, limits, outside)
    if e.cone is not None:
        fourth = None if e.fourth is None else e.fourth.upper
        yield Facts(zero, drift, drift, e.cone.variance, farthest, farthest, limits, outside, True, fourth)


def region_limits(evidence: Evidence) -> Array:
    """||g - m|| is at most this in each region, shape (n, regions)."""
    cone = evidence.cone
    if cone is None:
        raise AttributeError("there are no regions")
    center = cone.center[:, None]
    along = np.maximum(np.abs(cone.along - center), np.abs(evidence.terms.max_norm - center))
    return np.asarray(np.hypot(along, cone.across) * (1 + 1e-14))


def programs(evidence: Evidence, eps: Array) -> list[Point]:
    """The solved program of each set of facts, in rows of n * k; sizes have shape (n, k) or (1, k)."""
    shape = (len(evidence), eps.shape[1])
    ratio = scalar_ratio(evidence.terms, np.broadcast_to(eps, shape))
    return [largest_mean(facts.flat(shape), ratio) for facts in map_facts(evidence)]


@final
class Displacement:
    """D(eps), a few sizes at a time: what was found for some is where the search for the next ones begins."""

    def __init__(self, evidence: Evidence, sizes: int) -> None:
        self._terms = evidence.terms
        self._sets = [facts.flat((len(evidence), sizes)) for facts in map_facts(evidence)]
        self._last: list[Point | None] = [None] * len(self._sets)

    def at(self, eps: Array, *, regions: bool = True) -> Array:
        """||h(x~) - h(x)|| is at most this for every ||x~ - x|| <= eps, rounded up.

        Args:
            eps: sizes, shape (n, sizes).
            regions: whether the variance inside of regions is used too, of which a cone makes more.
        """
        ratio, found = scalar_ratio(self._terms, eps), np.full((eps.size, 1), np.inf)
        for i, facts in enumerate(self._sets):
            if regions or not facts.inside:
                last = self._last[i]
                point = largest_mean(facts, ratio) if last is None else largest_mean(facts, ratio, last, _WARM_STEPS)
                self._last[i] = point
                found = np.minimum(found, point.value)
        return np.where(eps > 0, found.reshape(eps.shape), 0.0)


def displacement(evidence: Evidence, eps: Array) -> Array:
    """D for n inputs at sizes of shape (n, k) or (1, k), shape (n, k)."""
    grid = np.broadcast_to(eps, (len(evidence), eps.shape[1]))
    return Displacement(evidence, grid.shape[1]).at(grid)
