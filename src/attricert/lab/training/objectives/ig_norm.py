"""IG-NORM (Chen, Wu, Rastogi, Liang, Jha: Robust Attribution Regularization, 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from attricert import checks
from attricert.attributions import integrate
from attricert.lab.training.objectives.base import Ball, Images, Labels, Objective, Scalar, frozen

__all__ = ["IGNorm"]


@final
@dataclass(frozen=True)
class IGNorm(Objective):
    """CE(f(x), y) + weight * max over x~ in the ball of ||IG(x, x~)||_1.

    IG(x, x~) are the integrated gradients of the loss CE(f(.), y) along the line from x to x~; they sum to how much
    the loss rises.

    Args:
        ball: of the perturbations.
        weight: lambda.
        n_steps: nodes of the integral.
    """

    ball: Ball
    weight: float
    n_steps: int = 5

    def __post_init__(self) -> None:
        checks.positive("weight", self.weight)
        checks.count("n_steps", self.n_steps, 1)

    def __call__(self, model: nn.Module, images: Images, labels: Labels, generator: torch.Generator) -> Scalar:
        """The mean of both terms."""
        fit = functional.cross_entropy(model(images), labels)
        with frozen(model):
            moved = self.ball.maximize(lambda at: self.size(model, images, at, labels), images, generator)
            return fit + self.weight * self.size(model, images, moved, labels).mean()

    def size(self, model: nn.Module, images: Images, moved: Images, labels: Labels) -> Float[Tensor, " n"]:
        """||IG(x, x~)||_1 of each image, with a graph."""

        def slope(points: Tensor) -> Tensor:
            points = points if points.requires_grad else points.requires_grad_()
            loss = functional.cross_entropy(model(points), labels, reduction="sum")
            gradient: Tensor = torch.autograd.grad(loss, points, create_graph=True)[0]
            return gradient

        return integrate(slope, moved, images, self.n_steps).abs().flatten(1).sum(dim=1)
