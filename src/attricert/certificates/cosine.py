"""Cosine similarity that no perturbation can undercut (docs/theory.md 4, 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import final

import numpy as np
import numpy.typing as npt

from attricert.certificates import solve
from attricert.certificates.cone import Cones, Turn
from attricert.certificates.displacement import Displacement, displacement, map_facts, programs, scalar_ratio
from attricert.certificates.dual import Point
from attricert.certificates.evidence import Evidence
from attricert.certificates.facts import Facts
from attricert.certificates.program import Warm, largest_mean
from attricert.certificates.terms import Terms
from attricert.confidence import mean_distance
from attricert.noise import LikelihoodRatio

__all__ = [
    "AVERAGES",
    "BEYOND",
    "LOST_MASS",
    "NOTHING",
    "SPREAD",
    "TAIL",
    "TOO_FEW",
    "TOTAL_VARIATION",
    "binding",
    "cosine",
    "distance_here",
    "distance_there",
    "max_eps",
    "norm_needed",
    "spread_there",
    "trivial",
]

Array = npt.NDArray[np.float64]

NOTHING = -1.0
"""The cosine that always holds."""

TAIL = "sampling tail: more draws would help"
SPREAD = "spread of the maps: a larger noise scale would help"
LOST_MASS = "lost mass: a larger noise scale would help"
BEYOND = "size of the change, which is far beyond the reach of this noise: a larger noise scale would help"
AVERAGES = "scatter of the averages: more draws in each of them (observed n_samples) would help"
TOTAL_VARIATION = "size of the maps: nothing else is known of them; prove their spread, or use a larger noise scale"
TOO_FEW = "size of the maps: too little is known of their spread; more draws would help, or a larger noise scale"

# Relative margins that make every answer err on the safe side, far above the rounding errors of the step that each
# covers, far below any digit shown.
_COSINE_MARGIN = 4e-15
_SPREAD_MARGIN = 1e-12
_SCALES = 64.0  # noise scales up to which an eps is looked for; beyond, no bound is below M
_LIKELY = 2.0  # noise scales, around which most largest eps lie
_NEAR, _LITTLE = 1.1, 1 + 1e-6  # times an eps that was found
_STEPS = 12  # of Newton's method at the most
_TOGETHER = 512  # rows of inputs and sizes, about


def trivial(terms: Terms) -> float:
    """The cosine that holds whatever happens."""
    return 0.0 if terms.nonnegative else NOTHING


def cosine(evidence: Evidence, eps: Array) -> Array:
    """The certified cosine of n inputs at sizes of shape (n, k) or (1, k), shape (n, k).

    `trivial` where nothing can be said.
    """
    grid = np.broadcast_to(eps, (len(evidence), eps.shape[1]))
    # Many inputs: a size after the other, each from the last one's solution. Few: many sizes at once.
    width = max(1, _TOGETHER // max(len(evidence), 1))
    parts = [grid[:, start : start + width] for start in range(0, grid.shape[1], width)]
    curve, found = _Curve(evidence, width), []
    for part in parts:
        curve = curve if part.shape[1] == width else _Curve(evidence, part.shape[1])
        found.append(curve.at(part))
    return np.concatenate([np.empty((len(evidence), 0)), *found], axis=1)


@final
class _Curve:
    """The cosine at so many sizes at a time: what was found for some is where the search for the next ones begins."""

    def __init__(self, evidence: Evidence, sizes: int) -> None:
        self._evidence = evidence
        self._moves, self._cones = Displacement(evidence, sizes), Cones.of(evidence, sizes)
        self._turn: Turn | None = None

    def at(self, eps: Array) -> Array:
        """As `cosine`; sizes have shape (n, sizes)."""
        evidence, turned = self._evidence, np.full(eps.shape, np.pi)
        if self._cones is not None:
            self._turn = self._cones.angles(scalar_ratio(evidence.terms, eps), self._turn)
            turned = np.where(eps > 0, self._turn.angle.reshape(eps.shape), np.pi)
        # An observed average at x~ asks how far the map moves, whatever is known of its angle.
        regions = self._cones is None or evidence.terms.observed is not None
        bound = _bound(evidence, eps, self._moves.at(eps, regions=regions), turned)
        return np.asarray(np.maximum(bound - np.abs(bound) * _COSINE_MARGIN, trivial(evidence.terms)))


def _bound(evidence: Evidence, eps: Array, moved: Array, turned: Array) -> Array:
    """From the displacement and from the angle, whichever tells more; shape (n, k)."""
    norm = evidence.norm.lower[:, None]
    if evidence.terms.observed is not None:
        here, there = distance_here(evidence)[:, None], distance_there(evidence, eps, moved)
        turned = np.minimum(turned, _turn(moved, norm)) * (1 + _COSINE_MARGIN)
        angle = turned + _turn(here, norm) + _turn(there, norm - moved)
        return np.asarray(np.cos(np.minimum(angle, np.pi)))
    inside = (moved < norm) & (norm > 0)
    safe, moved = np.where(inside, norm, 1.0), np.where(inside, moved, 0.0)
    # The tangent from h to the ball of radius D around it; (c - D)(c + D): no cancellation as D -> c.
    tangent = np.sqrt(np.maximum((safe - moved) * (safe + moved), 0.0)) / safe
    bound = np.where(inside, tangent, NOTHING)
    return np.maximum(bound, np.where(turned < np.pi / 2, np.cos(turned), NOTHING))


def max_eps(evidence: Evidence, threshold: Array) -> Array:
    """The largest eps found with a certified cosine of at least the threshold, shape (n, k); 0 if none.

    Thresholds have shape (1, k).
    """
    shape = (len(evidence), threshold.shape[1])
    higher = np.broadcast_to(np.minimum(threshold * (1 + 4 * _COSINE_MARGIN), 1 - 1e-15), shape)
    scale, best = evidence.terms.noise.scale, np.zeros((higher.size, 1))
    for reach in (np.inf, _NEAR):  # the solution of a program far away may be a bad start: once more, from near
        for margin in _margins(evidence, higher):
            upper = np.minimum(reach * np.maximum(best, 1e-300), _SCALES * scale)
            best = _farther(margin, best, upper, np.where(best > 0, _LITTLE * best, _LIKELY * scale))
    return best.reshape(shape)


Margin = Callable[[Array, npt.NDArray[np.int64]], Array]


def _farther(margin: Margin, best: Array, upper: Array, guess: Array) -> Array:
    """How far each row can be extended, which most of those that others have found cannot."""
    start = margin(best, np.arange(len(best)))
    some = np.flatnonzero(start < 0)
    if some.size:
        found = solve.largest(
            lambda v, rows: margin(v, some[rows]), upper[some], best[some], start[some], guess=guess[some]
        )
        best[some] = np.maximum(found, best[some])
    return best


def _margins(evidence: Evidence, threshold: Array) -> Iterator[Margin]:
    """Each negative at sizes at which the cosine is certain to be at the threshold, shape (n, k), or above.

    They take sizes (m, 1) for some of n k rows (m,).
    """
    shape, terms = threshold.shape, evidence.terms
    if terms.observed is not None:
        curve, sizes = _Curve(evidence, shape[1]), np.zeros(shape)

        def margin(eps: Array, rows: npt.NDArray[np.int64]) -> Array:
            sizes.flat[rows] = eps[:, 0]
            return (threshold - curve.at(sizes)).reshape(-1, 1)[rows]

        yield margin
        return
    theta = np.arccos(threshold.reshape(-1, 1))
    cones = Cones.of(evidence, shape[1])
    if cones is not None:
        inside = np.maximum(theta, cones.least)
        yield _warm(cones.facts(inside), np.where(theta < inside, -np.inf, 0.0), terms)
    allowed = evidence.norm.lower.repeat(shape[1])[:, None] * np.sin(theta) * (1 - 2 * _COSINE_MARGIN)
    for facts in reversed([facts.flat(shape) for facts in map_facts(evidence)]):
        yield _warm(facts, allowed, terms)


def _warm(facts: Facts, allowed: Array, terms: Terms) -> Margin:
    """A program's excess over what is allowed, each time from the last solution."""

    def program(eps: Array, rows: npt.NDArray[np.int64], start: Point | None) -> Point:
        return largest_mean(facts.take(rows), scalar_ratio(terms, eps), start, _STEPS)

    solver = Warm(program)
    return lambda eps, rows: solver(eps, rows).value - allowed[rows]


def norm_needed(evidence: Evidence, eps: float, threshold: float) -> float:
    """The norm at which the population claim (eps, T) is just proven for the first input, by displacement."""
    moved = displacement(evidence, np.array([[eps]]))[0, 0]
    return float(moved / np.sqrt((1 - threshold) * (1 + threshold)))


def binding(evidence: Evidence, eps: Array) -> npt.NDArray[np.object_]:
    """What limits each input at each size, in words that say what would help: shapes as for `cosine`."""
    shape = (len(evidence), eps.shape[1])
    grid = np.broadcast_to(eps, shape)
    ratio = scalar_ratio(evidence.terms, grid)
    sets, found = [facts.flat(shape) for facts in map_facts(evidence)], programs(evidence, eps)
    cones = Cones.of(evidence, shape[1])
    if cones is not None:
        angle = np.minimum(cones.angles(ratio).angle, np.pi / 2 * (1 - 1e-9))
        sets.append(cones.facts(np.maximum(angle, cones.least)))
        found.append(largest_mean(sets[-1], ratio))
    margins = [p.value if i < len(found) - (cones is not None) else _against(p, sets[i]) for i, p in enumerate(found)]
    best = np.argmin(np.concatenate(margins, axis=1), axis=1)
    words = np.full(shape[0] * shape[1], TOTAL_VARIATION if len(found) == 1 else TOO_FEW, dtype=object)
    for i, (facts, point) in enumerate(zip(sets, found, strict=True)):
        if i > 0:
            words = np.where(best == i, _word(facts, ratio, point), words)
    return np.asarray(words.reshape(shape))


def _against(point: Point, facts: Facts) -> Array:
    """A program about a cone has the norm in its mean: without it, it compares with displacements."""
    return np.asarray(point.value - facts.mean)


def _word(facts: Facts, ratio: LikelihoodRatio, at: Point) -> npt.NDArray[np.object_]:
    """The largest of three parts: what nothing was drawn of, what lies beyond all regions, and the rest."""
    lost = (ratio.lost * facts.highest)[:, 0]
    tail = np.zeros_like(lost)
    if facts.outside.shape[1]:
        tail = np.maximum(at.prices[:, -1] * facts.highest[:, 0], 0.0)
    rest = (at.value - facts.mean)[:, 0] - lost - tail
    parts = np.stack([rest, tail, lost], axis=1)
    return np.asarray(np.array([SPREAD, TAIL, LOST_MASS], dtype=object)[np.argmax(parts, axis=1)])


def distance_here(evidence: Evidence) -> Array:
    """How far an observed average at x may lie from h(x), shape (n,)."""
    return _distance(evidence, "here", evidence.norm.lower, _top_variance(evidence))


def distance_there(evidence: Evidence, eps: Array, moved: Array) -> Array:
    """How far an observed average at a perturbed input may lie from its own expectation (theory 6), shape (n, k)."""
    norm = np.maximum(evidence.norm.lower[:, None] - moved, 0.0)
    upper = _top_variance(evidence)
    if evidence.top_variance is None:
        return _distance(evidence, "there", norm, upper[:, None])
    farthest = evidence.top_variance.max_deviation
    there = spread_there(evidence.terms, eps, upper, farthest)
    return _distance(evidence, "there", norm, there)


def spread_there(terms: Terms, eps: Array, second: Array, farthest: Array) -> Array:
    """E (v.q)^2 at any perturbed input is at most this, shape (n, k).

    The program for the scalar (v.q)^2 in [0, B^2].
    """
    mean, top = second, farthest**2
    facts = Facts.of_range(np.minimum(mean, top), np.zeros_like(top), top)
    shape = (len(second), eps.shape[1])
    ratio = scalar_ratio(terms, np.broadcast_to(eps, shape))
    known = largest_mean(facts.flat(shape), ratio).value.reshape(shape)
    return np.asarray(np.minimum(known, top[:, None]) * (1 + _SPREAD_MARGIN))


def _top_variance(evidence: Evidence) -> Array:
    e = evidence
    return np.full(len(e), np.inf) if e.top_variance is None else e.top_variance.upper


def _distance(evidence: Evidence, place: str, norm: Array, spread: Array) -> Array:
    t = evidence.terms
    # Draws as they are computed, which people see, have other moments by so much at the most (theory 5).
    slipped = 2 * t.max_norm * t.slip
    norm, spread = np.maximum(norm - slipped, 0.0), spread + 2 * t.max_norm * slipped
    return mean_distance(t.observed_draws, t.share(place), t.max_norm, norm, spread) + slipped


def _turn(displacement: Array, norm: Array) -> Array:
    """The angle arcsin(D/c) by which a vector of norm >= c can turn; pi where D >= c."""
    d, c = np.broadcast_arrays(displacement, norm)
    inside = d < c
    return np.where(inside, np.arcsin(np.divide(d, c, out=np.zeros(d.shape), where=inside)), np.pi)
