"""TRADES (Zhang et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from attricert import checks
from attricert.lab.training.objectives.base import Ball, Images, Labels, Objective, Scalar, frozen

__all__ = ["Trades", "divergence", "worst"]


@final
@dataclass(frozen=True)
class Trades(Objective):
    """CE(f(x~), y) + beta KL(f(x) || f(x~)), x~ in the ball with the largest KL: the paper's appendix, eq. 38.

    Args:
        ball: of the perturbations.
        beta: weight of the divergence.
        clean: CE(f(x), y) instead, as Zhang et al. have it.
    """

    ball: Ball
    beta: float
    clean: bool = False

    def __post_init__(self) -> None:
        checks.positive("beta", self.beta)

    def __call__(self, model: nn.Module, images: Images, labels: Labels, generator: torch.Generator) -> Scalar:
        """The mean of both terms."""
        return self.at(model, images, worst(model, images, self.ball, generator), labels)

    def at(self, model: nn.Module, images: Images, moved: Images, labels: Labels) -> Scalar:
        """The mean of both terms for given x~."""
        here, there = model(images), model(moved)
        fit = functional.cross_entropy(here if self.clean else there, labels)
        return fit + self.beta * divergence(here, there).mean()


def divergence(here: Float[Tensor, "n classes"], there: Float[Tensor, "n classes"]) -> Float[Tensor, " n"]:
    """KL(softmax(here) || softmax(there))."""
    first, second = functional.log_softmax(here, dim=1), functional.log_softmax(there, dim=1)
    return (first.exp() * (first - second)).sum(dim=1)


def worst(model: nn.Module, images: Images, ball: Ball, generator: torch.Generator) -> Images:
    """The x~ of largest divergence that ascent finds."""
    with frozen(model):
        with torch.no_grad():
            here = model(images)
        return ball.maximize(lambda moved: divergence(here, model(moved)), images, generator)
