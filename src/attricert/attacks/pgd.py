"""Projected gradient descent on a loss of the map."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from attricert import checks
from attricert.attacks.attacked_map import METHODS, Maps
from attricert.attacks.base import Attack, Candidates
from attricert.attacks.losses import CosineLoss, Loss
from attricert.attacks.problem import AttackProblem, unit
from attricert.errors import ArgumentError

__all__ = ["PGD"]


@final
@dataclass(frozen=True)
class PGD(Attack):
    """Normalized gradient steps from random points of the ball (Ghorbani et al. 2019; paper, Appendix B).

    Steps, step and restarts are the paper's by default.

    Args:
        loss: what is descended.
        steps: iterations of each restart.
        step: length of a step, in units of eps.
        restarts: random starts.
        momentum: weight of the direction so far, in [0, 1).
        method: ``"autograd"`` differentiates a softplus surrogate of the attribution (Dombrowski et al. 2019);
            ``"score"`` takes Stein's identity for smoothed maps, which needs values only (theory 11).
        beta: sharpness of the softplus at the first and the last step; rises geometrically.
        draws: noisy copies for a gradient, where the map is smoothed.
        refresh: steps after which they are drawn anew; between, common random numbers.
        every: steps after which the iterate is judged.
    """

    loss: Loss = field(default_factory=CosineLoss)
    steps: int = 200
    step: float = 0.1
    restarts: int = 20
    momentum: float = 0.5
    method: str = "autograd"
    beta: tuple[float, float] = (10.0, 100.0)
    draws: int = 32
    refresh: int = 5
    every: int = 5

    def __post_init__(self) -> None:
        for name in ("steps", "restarts", "draws", "refresh", "every"):
            checks.keep(self, **{name: checks.count(name, getattr(self, name), 1)})
        checks.keep(self, step=checks.positive("step", self.step))
        checks.known("method", self.method, METHODS)
        for sharpness in self.beta:
            checks.positive("beta", sharpness)
        if not 0 <= self.momentum < 1:
            raise ArgumentError("momentum", self.momentum, "must be >= 0 and < 1")

    @property
    def proposals(self) -> int:
        """Iterates that are judged."""
        return self.restarts * -(-self.steps // self.every)

    def candidates(self, problem: AttackProblem) -> Candidates:
        """The iterates of one restart after the other."""
        best = problem.inputs
        for restart in range(self.restarts):
            name = f"restart {restart}"
            radius = problem.stream(name).rows(0, 1, torch.float64, problem.inputs.device).uniform()
            # Volume of a high-dimensional ball is all at its surface: the root of a uniform goes further inside.
            start = problem.inputs + radius.sqrt().to(problem.inputs) * (
                problem.at(problem.random(name)) - problem.inputs
            )
            best = yield from self.descend(problem, start, name)
        return best

    def descend(self, problem: AttackProblem, points: Maps, name: str) -> Candidates:
        """The iterates from these points; ``name`` keys the draws."""
        best, velocity = problem.inputs, torch.zeros_like(points)
        points = problem.project(points)
        low, high = self.beta
        for i in range(self.steps):
            if i % self.refresh == 0:
                fixed_map = problem.with_fixed_noise(f"{name}, step {i}", self.draws, self.method)
                # By the same draws: what differs between the maps is then due to the perturbation alone.
                clean = fixed_map.maps(problem.inputs, problem.target)
            beta = low * (high / low) ** (i / max(self.steps - 1, 1))
            weights = _descent(self.loss, fixed_map.maps(points, problem.target), clean)
            slope = problem.vjp(fixed_map, points, weights, beta)
            velocity = self.momentum * velocity + (1 - self.momentum) * unit(slope)
            step = self.step * (problem.at(unit(velocity)) - problem.inputs)
            points = problem.project(points - step)
            if (i + 1) % self.every == 0 or i + 1 == self.steps:
                best = yield points
        return best


def _descent(loss: Loss, maps: Maps, clean: Maps) -> Tensor:
    """Gradient of each loss with respect to its map."""
    leaf = maps.detach().requires_grad_()
    with torch.enable_grad():
        total = loss(leaf, clean).sum()
    gradient: Tensor = torch.autograd.grad(total, leaf)[0]
    return gradient.nan_to_num(0.0, 0.0, 0.0)
