"""What a norm bound implies, under the terms of a statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from attricert import checks
from attricert.certificates import cosine, displacement, printed, solve
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


@final
@dataclass(frozen=True)
class Geometry:
    """Lower bounds as functions of eps (or T) and of a lower bound on ||h||: arrays of rank >= 1 that broadcast.

    Args:
        statement: the terms.
        method: ``"sound"`` or ``"printed"``.
    """

    statement: Statement
    method: str

    def __post_init__(self) -> None:
        checks.known("method", self.method, METHODS)
        if self.method == "printed":
            if not isinstance(self.statement.noise, UniformBall):
                raise ArgumentError("method", "printed", "the paper's theorem is for UniformBall noise")
            if self.statement.guarantee != "population":
                raise ArgumentError("method", "printed", "goes with guarantee='population' only")

    @property
    def trivial(self) -> float:
        """The cosine that holds whatever happens."""
        return 0.0 if self._sharper else cosine.NOTHING

    def displacement(self, eps: Array) -> Array:
        """D(eps) by total variation, rounded up."""
        s = self.statement
        mass = s.noise.lost_mass(eps, s.dimension)
        moved = displacement.total_variation(mass, s.bound, nonnegative=self._sharper)
        return (1 + _DISPLACEMENT_MARGIN) * moved

    def cosine(self, eps: Array, norm: Array) -> Array:
        """The certified cosine."""
        moved = self.displacement(eps)
        if self.method == "printed":
            return printed.cosine(moved, norm)
        if self.statement.guarantee == "population":
            bound = cosine.from_displacement(moved, norm)
        else:
            bound = cosine.from_angle(self._observed_angle(moved, norm))
        return np.maximum(bound - np.abs(bound) * _COSINE_MARGIN, self.trivial)

    def max_eps(self, threshold: Array, norm: Array) -> Array:
        """The largest eps with a certified cosine of at least the threshold; 0 if none."""
        # For observed averages the population's answer is an upper limit, as they only add to the angle.
        upper = self._population_max_eps(threshold, norm)
        if self.statement.guarantee == "population":
            return upper
        return solve.largest(lambda eps: self.cosine(eps, norm) >= threshold, upper)

    def norm_needed(self, eps: float, threshold: float) -> float:
        """The norm at which the population claim (eps, T) is just proven."""
        at_unit_norm = cosine.displacement_allowed(np.array([threshold]), np.ones(1))
        return float(self.displacement(np.array([eps]))[0] / at_unit_norm[0])

    def fixed_norm_scale(self, eps: float, threshold: Array, norm: Array) -> Array:
        """The noise scale (radius, sigma) that would prove (eps, T) if the norm did not depend on it (eq. 9)."""
        return self.statement.noise.scale_for(eps, self._mass_allowed(threshold, norm), self.statement.dimension)

    @property
    def _sharper(self) -> bool:
        return self.statement.nonnegative and self.method == "sound"

    def _population_max_eps(self, threshold: Array, norm: Array) -> Array:
        higher = np.minimum(threshold * (1 + 4 * _COSINE_MARGIN), 1.0)
        mass = self._mass_allowed(higher, norm) * (1 - 2 * _DISPLACEMENT_MARGIN)
        return self.statement.noise.shift_of(mass, self.statement.dimension)

    def _mass_allowed(self, threshold: Array, norm: Array) -> Array:
        form = printed if self.method == "printed" else cosine
        allowed = form.displacement_allowed(threshold, norm)
        return displacement.lost_mass_allowed(allowed, self.statement.bound, nonnegative=self._sharper)

    def _observed_angle(self, moved: Array, norm: Array) -> Array:
        """The turn of h, plus that of each average away from its own expectation."""
        s = self.statement

        def away(size: Array) -> Array:
            distance = mean_distance(s.observed_draws, s.alpha_part, s.bound, np.maximum(size, 0.0))
            return cosine.turn(distance, size)

        return cosine.turn(moved, norm) + away(norm) + away(norm - moved)
