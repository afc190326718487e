"""The attack that is meant to break certificates: the best of all others."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

from attricert import checks
from attricert.attacks.base import Attack, Candidates
from attricert.attacks.losses import CosineLoss, Loss
from attricert.attacks.pgd import PGD
from attricert.attacks.problem import AttackProblem
from attricert.attacks.simple import Linear, RandomNoise

__all__ = ["Strong"]


@final
@dataclass(frozen=True)
class Strong(Attack):
    """Linear directions, then descent from the best of them and from random starts.

    By autograd where the attribution can be differentiated, else by the score function, which on digits gets less far
    with ten times the draws (benchmarks/README.md).

    Args:
        loss: what is made small.
        budget: how much work: steps, draws and restarts grow with its root. At 1 a smoothed map takes some 20,000
            attributions an input.
    """

    loss: Loss = field(default_factory=CosineLoss)
    budget: float = 1.0

    def __post_init__(self) -> None:
        checks.keep(self, budget=checks.positive("budget", self.budget))

    @property
    def proposals(self) -> int:
        """Those of all parts."""
        descent = self._descent("autograd")
        per_descent = descent.proposals // descent.restarts
        return self._noise.proposals + self._linear("autograd").proposals + descent.proposals + per_descent

    def candidates(self, problem: AttackProblem) -> Candidates:
        """Of all parts; the first descent starts where the others got to."""
        best = yield from self._noise.candidates(problem)
        method = next(iter(problem.attacked_map.methods(problem.inputs, problem.target)), None)
        if method is None:
            return best
        best = yield from self._linear(method).candidates(problem)
        descent = self._descent(method)
        best = yield from descent.descend(problem, best, "from the best")
        return (yield from descent.candidates(problem))

    @property
    def _noise(self) -> RandomNoise:
        return RandomNoise(self.loss, trials=2)

    def _linear(self, method: str) -> Linear:
        return Linear(self.loss, draws=self._times(64 if method == "autograd" else 256))

    def _descent(self, method: str) -> PGD:
        steps, draws = (60, 32) if method == "autograd" else (20, 512)
        return PGD(
            self.loss,
            steps=self._times(steps),
            step=0.2,
            restarts=self._times(1),
            method=method,
            draws=self._times(draws),
            every=10,
        )

    def _times(self, count: int) -> int:
        return max(1, round(count * math.sqrt(self.budget)))
