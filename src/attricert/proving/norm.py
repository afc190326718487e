"""The norm of the smoothed map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from attricert.certificates import Terms
from attricert.certificates.pieces import Norm, Piece
from attricert.confidence import CONFIDENCE_BOUNDS, LowerBound, Problem
from attricert.proving.pilot import Pilot
from attricert.proving.proof import ROUNDING, Proof
from attricert.sampling import Centered

__all__ = ["NormProof", "norm_problem"]


@final
@dataclass(frozen=True)
class NormProof(Proof):
    """c >= u.h = E[u.g] with u from the pilot: a mean of scalar draws (theory 5).

    Args:
        size: u.m, m the pilot's mean.
        below: lower bound on u.h.
        above: lower bound on -u.h, where an upper one is asked for.
        slip: by how much E u.g may be less than for computed draws.
    """

    size: float
    below: LowerBound
    above: LowerBound | None
    slip: float

    @classmethod
    def start(cls, pilot: Pilot, terms: Terms, problem: Problem, *, both: bool) -> NormProof:
        """No draws yet."""
        kind = CONFIDENCE_BOUNDS[terms.confidence]
        above = kind.start(problem.mirrored()) if both else None
        return cls(pilot.size, kind.start(problem), above, terms.slip * (problem.high - problem.low))

    def update(self, draws: Centered) -> NormProof:
        """After these draws too."""
        values = draws.of_draws(draws.along[0] + self.size)
        above = None if self.above is None else self.above.update(-values)
        return replace(self, below=self.below.update(values), above=above)

    @property
    def lower(self) -> float:
        """Lower bound on ||h||."""
        return max(self.below.lower() - self.slip, 0.0) * (1 - ROUNDING)

    @property
    def upper(self) -> float:
        """Upper bound on u.h; inf where none was asked for."""
        return float("inf") if self.above is None else -self.above.lower() + self.slip

    def pieces(self) -> Mapping[str, Piece]:
        """The norm."""
        return {"norm": Norm(np.array(self.lower))}


def norm_problem(pilot: Pilot, terms: Terms, horizon: int) -> Problem:
    """What the pilot expects of u.g."""
    low = 0.0 if terms.nonnegative else -terms.max_norm
    guess = (float(pilot.along.mean[0]), float(pilot.along.variance[0]), pilot.along.count)
    return Problem(low, terms.max_norm, terms.share("norm"), horizon, *guess)
