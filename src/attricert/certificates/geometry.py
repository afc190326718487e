"""What facts about the map imply, under the terms of a statement."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, final

import numpy as np
import numpy.typing as npt

from attricert import checks
from attricert.certificates import cosine, displacement, printed, solve
from attricert.certificates.movement import Facts, displacements
from attricert.certificates.statement import Statement
from attricert.confidence import mean_distance
from attricert.errors import ArgumentError
from attricert.noise import UniformBall

__all__ = ["METHODS", "Geometry"]

Array = npt.NDArray[np.float64]

METHODS = ("sound", "printed")

# Relative margins that make every answer err on the safe side: far above the rounding errors of the step that each
# covers, far below any digit shown. The displacement's is the larger, as its errors grow when the cosine nears 0.
_DISPLACEMENT_MARGIN = 1e-13
_COSINE_MARGIN = 4e-15
_SCALES = 64.0  # noise scales up to which an eps is looked for; beyond, no bound is below M


@final
@dataclass(frozen=True)
class Geometry:
    """Lower bounds as functions of eps (or T), an array of rank >= 1 that broadcasts against the facts.

    Args:
        statement: the terms.
        method: ``"sound"`` or ``"printed"``.
        facts: what is known of the map.
    """

    statement: Statement
    method: str
    facts: Facts

    def __post_init__(self) -> None:
        checks.known("method", self.method, METHODS)
        if self.method == "printed":
            if not isinstance(self.statement.noise, UniformBall):
                raise ArgumentError("method", "printed", "the paper's theorem is for UniformBall noise")
            if self.statement.observed:
                raise ArgumentError("method", "printed", "goes with guarantee='population' only")

    @property
    def trivial(self) -> float:
        """The cosine that holds whatever happens."""
        return 0.0 if self._sharper else cosine.NOTHING

    def displacement(self, eps: Array) -> Array:
        """D(eps): the smallest of all bounds, rounded up."""
        return reduce(np.minimum, self._displacements(eps).values())

    def binding(self, eps: Array) -> npt.NDArray[Any]:
        """Which displacement bound is the smallest."""
        bounds = self._displacements(eps)
        smallest = np.argmin(np.broadcast_arrays(*bounds.values()), axis=0)
        return np.asarray(np.array(list(bounds))[smallest])

    def cosine(self, eps: Array) -> Array:
        """The certified cosine."""
        moved, norm = self.displacement(eps), self.facts.norm
        if self.method == "printed":
            return printed.cosine(moved, norm)
        if self.statement.observed:
            bound = cosine.from_angle(self._observed_angle(eps, moved))
        else:
            bound = cosine.from_displacement(moved, norm)
        return np.maximum(bound - np.abs(bound) * _COSINE_MARGIN, self.trivial)

    def max_eps(self, threshold: Array) -> Array:
        """The largest eps found with a certified cosine of at least the threshold; 0 if none."""
        upper = self._total_variation_max_eps(threshold)
        if not self.statement.observed and not np.isfinite(self.facts.spread).any():
            return upper  # in closed form
        if np.isfinite(self.facts.spread).any():
            upper = np.full(upper.shape, _SCALES * self.statement.noise.scale)
        return solve.largest(lambda eps: self.cosine(eps) >= threshold, upper)

    def norm_needed(self, eps: float, threshold: float) -> Array:
        """The norm at which the population claim (eps, T) is just proven."""
        at_unit_norm = cosine.displacement_allowed(np.array([threshold]), np.ones(1))
        return self.displacement(np.array([eps])) / at_unit_norm

    def distance_here(self) -> Array:
        """How far an observed average at x may lie from h(x)."""
        return self._distance("here", self.facts.norm, self.facts.spread)

    def distance_there(self, eps: Array) -> Array:
        """How far an observed average at a perturbed input may lie from its own expectation (theory 6)."""
        f = self.facts
        norm = np.maximum(f.norm - self.displacement(eps), 0.0)
        return self._distance("there", norm, self.spread_there(eps, f.spread, f.reach))

    def spread_there(self, eps: Array, spread: Array, reach: Array) -> Array:
        """Upper bound on the second moment at any perturbed input; inf where nothing is known.

        E (v.q)^2 w - E (v.q)^2 is at most B^2 p, as (v.q)^2 lies in [0, B^2], and at most B sqrt(lambda) chi.
        """
        if not np.isfinite(spread).any():
            return np.broadcast_to(np.inf, np.broadcast_shapes(eps.shape, spread.shape))
        s = self.statement
        by_mass = reach**2 * s.noise.lost_mass(eps, s.dimension)
        by_variance = reach * displacement.variance(s.noise.chi(eps), spread)
        return (spread + np.minimum(by_mass, by_variance)) * (1 + _DISPLACEMENT_MARGIN)

    @property
    def _sharper(self) -> bool:
        return self.statement.nonnegative and self.method == "sound"

    def _displacements(self, eps: Array) -> dict[str, Array]:
        return displacements(self.statement, self.facts, eps, nonnegative=self._sharper)

    def _total_variation_max_eps(self, threshold: Array) -> Array:
        form = printed if self.method == "printed" else cosine
        higher = np.minimum(threshold * (1 + 4 * _COSINE_MARGIN), 1.0)
        allowed = form.displacement_allowed(higher, self.facts.norm)
        mass = displacement.lost_mass_allowed(allowed, self.statement.bound, nonnegative=self._sharper)
        return self.statement.noise.shift_of(mass * (1 - 2 * _DISPLACEMENT_MARGIN), self.statement.dimension)

    def _observed_angle(self, eps: Array, moved: Array) -> Array:
        """The turn of h, plus that of each average away from its own expectation."""
        norm = self.facts.norm
        away = cosine.turn(self.distance_here(), norm) + cosine.turn(self.distance_there(eps), norm - moved)
        return cosine.turn(moved, norm) + away

    def _distance(self, place: str, norm: Array, spread: Array) -> Array:
        s = self.statement
        return mean_distance(s.observed_draws, s.share(place), s.bound, norm, spread)
