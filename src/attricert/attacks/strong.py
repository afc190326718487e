"""The attack that is meant to break certificates: the best of all others."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

from attricert import checks
from attricert.attacks.losses import Cosine, Loss
from attricert.attacks.pgd import PGD
from attricert.attacks.simple import Linear, RandomNoise
from attricert.attacks.template import Attack, Candidates, Problem

__all__ = ["Strong"]


@final
@dataclass(frozen=True)
class Strong(Attack):
    """Linear directions, then descent from the best of them and from random starts, by every derivative there is.

    Args:
        loss: what is made small.
        budget: how much work: steps, draws and restarts grow with it. At 1 some 15,000 attributions an input.
    """

    loss: Loss = field(default_factory=Cosine)
    budget: float = 1.0

    def __post_init__(self) -> None:
        checks.positive("budget", self.budget)

    def candidates(self, problem: Problem) -> Candidates:
        """Of all parts; the descents start where the others got to."""
        best = yield from RandomNoise(self.loss, trials=2).candidates(problem)
        methods = problem.explained.methods(problem.inputs, problem.target)
        if not methods:
            return best
        best = yield from Linear(self.loss, draws=self._times(128)).candidates(problem)
        for method in methods:
            descent = PGD(
                self.loss,
                steps=self._times(20),
                restarts=self._times(1),
                momentum=0.5,
                method=method,
                draws=self._times(64 if method == "autograd" else 256),
            )
            best = yield from descent.descend(problem, best, f"{method} from the best")
            best = yield from descent.candidates(problem)
        return best

    def _times(self, count: int) -> int:
        return max(1, round(count * math.sqrt(self.budget)))
