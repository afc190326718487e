"""The norm of the smoothed map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from jaxtyping import Float
from torch import Tensor

from attricert.certificates import Statement
from attricert.confidence import Betting, EmpiricalBernstein, Hoeffding, LowerBound, Problem
from attricert.proving.pilot import Pilot
from attricert.proving.quantity import ROUNDING, Quantity
from attricert.sampling import Draws

__all__ = ["BOUNDS", "Norm", "norm_problem"]

BOUNDS: dict[str, type[LowerBound]] = {
    "betting": Betting,
    "hoeffding": Hoeffding,
    "bernstein": EmpiricalBernstein,
}


@final
@dataclass(frozen=True)
class Norm(Quantity):
    """c >= u.h = E[u.g] with u from the pilot: a mean of scalar draws (theory 5).

    Args:
        direction: u.
        below: lower bound on u.h.
        above: lower bound on -u.h, where an upper one is asked for.
    """

    direction: Float[Tensor, " d"]
    below: LowerBound
    above: LowerBound | None

    @classmethod
    def start(cls, pilot: Pilot, statement: Statement, problem: Problem, *, both: bool) -> Norm:
        """No draws yet."""
        kind = BOUNDS[statement.confidence]
        return cls(pilot.direction, kind.start(problem), kind.start(problem.mirrored()) if both else None)

    def update(self, draws: Draws) -> Norm:
        """After these draws too."""
        values = (draws.values @ self.direction).cpu().numpy()
        above = None if self.above is None else self.above.update(-values)
        return Norm(self.direction, self.below.update(values), above)

    @property
    def lower(self) -> float:
        """Lower bound on ||h||."""
        return max(self.below.lower(), 0.0) * (1 - ROUNDING)

    @property
    def upper(self) -> float:
        """Upper bound on u.h; inf where none was asked for."""
        return float("inf") if self.above is None else -self.above.lower()

    def evidence(self) -> Mapping[str, Any]:
        """The norm."""
        return {"norm": self.lower}


def norm_problem(pilot: Pilot, statement: Statement, horizon: int) -> Problem:
    """What the pilot expects of u.g."""
    low = 0.0 if statement.nonnegative else -statement.bound
    guess = (float(pilot.along.mean[0]), float(pilot.along.variance[0]), pilot.along.count)
    return Problem(low, statement.bound, statement.share("norm"), horizon, *guess)
