"""A claim at which sampling may stop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from attricert import checks
from attricert.certificates import METHODS, Facts, Geometry, Statement
from attricert.confidence import Problem
from attricert.errors import ArgumentError
from attricert.proving.norm import BOUNDS

__all__ = ["Goal"]

_CAUTION = 2.0  # bets are tuned to this many times the draws that the pilot expects to suffice
_FEWEST = 256


@final
@dataclass(frozen=True)
class Goal:
    """Certified cosine >= T at eps.

    Args:
        statement: the terms.
        method: must be ``"sound"``.
        eps: the claim's l2 size.
        cosine: the claim's threshold.
    """

    statement: Statement
    method: str
    eps: float
    cosine: float

    def __post_init__(self) -> None:
        checks.positive("stop_when[0] (eps)", self.eps)
        checks.fraction("stop_when[1] (cosine)", self.cosine)
        if checks.known("method", self.method, METHODS) != "sound":
            raise ArgumentError("method", self.method, "stop_when decides claims, which needs 'sound'")
        confidence = self.statement.confidence
        if not (confidence in BOUNDS and BOUNDS[confidence].anytime):
            rule = "stop_when needs a bound that is valid at any time: 'betting'"
            raise ArgumentError("confidence", confidence, rule)

    def reached(self, norm: float, spread: float, reach: float) -> bool:
        """Whether these bounds prove the claim."""
        return bool(self._geometry(norm, spread, reach).cosine(np.array([self.eps]))[0] >= self.cosine)

    def horizon(self, guess: Problem, spread: float, reach: float) -> int:
        """About how many draws will decide, if the norm is what takes longest."""
        needed = float(self._geometry(1.0, spread, reach).norm_needed(self.eps, self.cosine)[0])
        gap = guess.mean - needed
        draws = _CAUTION * 2 * guess.variance * math.log(1 / guess.alpha) / max(gap**2, 1e-300)
        return int(min(max(draws, _FEWEST), guess.horizon))

    def _geometry(self, norm: float, spread: float, reach: float) -> Geometry:
        facts = Facts(np.array([norm]), np.array([spread]), np.array([reach]))
        return Geometry(self.statement, self.method, facts)
