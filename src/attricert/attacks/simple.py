"""Attacks that follow no loss: random noise, and the directions in which the map moves most."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from attricert import checks
from attricert.attacks.attacked_map import Maps
from attricert.attacks.base import Attack, Candidates
from attricert.attacks.losses import CosineLoss, Loss
from attricert.attacks.problem import AttackProblem, unit

__all__ = ["Linear", "RandomNoise"]


@final
@dataclass(frozen=True)
class RandomNoise(Attack):
    """Random directions, all of size eps: the control that shows what an attack is worth.

    Args:
        loss: by which the best of the trials is chosen.
        trials: directions tried.
    """

    loss: Loss = field(default_factory=CosineLoss)
    trials: int = 1

    def __post_init__(self) -> None:
        checks.keep(self, trials=checks.count("trials", self.trials, 1))

    @property
    def proposals(self) -> int:
        """The trials."""
        return self.trials

    def candidates(self, problem: AttackProblem) -> Candidates:
        """One trial after the other."""
        best = problem.inputs
        for trial in range(self.trials):
            best = yield problem.farthest(problem.random(f"trial {trial}"))
        return best


@final
@dataclass(frozen=True)
class Linear(Attack):
    """Steps of eps along those directions that turn the map most.

    They are the top right singular vectors of the map's change over +-eps, less its part along the clean map (which
    turns nothing), by power iteration: each round takes the change along v and pulls it back through the derivative.

    Args:
        loss: by which the best is chosen.
        directions: singular vectors tried, each with both signs.
        rounds: of power iteration.
        draws: noisy copies by which a smoothed map is seen.
        beta: sharpness of the softplus.
    """

    loss: Loss = field(default_factory=CosineLoss)
    directions: int = 2
    rounds: int = 4
    draws: int = 256
    beta: float = 30.0

    def __post_init__(self) -> None:
        for name in ("directions", "rounds", "draws"):
            checks.keep(self, **{name: checks.count(name, getattr(self, name), 1)})
        checks.keep(self, beta=checks.positive("beta", self.beta))

    @property
    def proposals(self) -> int:
        """Both signs of each direction."""
        return 2 * self.directions

    def candidates(self, problem: AttackProblem) -> Candidates:
        """Both signs of one direction after the other."""
        x, target, best = problem.inputs, problem.target, problem.inputs
        method = next(iter(problem.attacked_map.methods(x, target)), "autograd")
        fixed_map = problem.with_fixed_noise("linear", self.draws, method)
        clean = unit(fixed_map.maps(x, target))
        found: list[Maps] = []
        for k in range(self.directions):
            direction = problem.random(f"direction {k}")
            for _ in range(self.rounds):
                there, back = (fixed_map.maps(x + sign * (problem.at(direction) - x), target) for sign in (1, -1))
                turned = unit(_without(there - back, clean))
                direction = problem.vjp(fixed_map, x, turned, self.beta)
                for other in found:
                    direction = _without(direction, other)
                direction = unit(direction)
            found.append(direction)
            for sign in (1, -1):
                best = yield problem.farthest(sign * direction)
        return best


def _without(maps: Maps, direction: Maps) -> Maps:
    """Less the part along a unit vector."""
    part = (maps * direction).flatten(1).sum(dim=1)
    return maps - part.reshape(-1, *[1] * (maps.ndim - 1)) * direction
