"""IGR (F. Wang, A. W.-K. Kong: Exploiting the Relationship Between Kendall's Rank Correlation and Cosine Similarity for
Attribution Protection, 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from attricert import checks
from attricert.attributions import integrate
from attricert.lab.training.objectives.base import Images, Labels, Objective, Scalar, frozen
from attricert.lab.training.objectives.trades import Trades, worst
from attricert.metrics import cosine_similarity

__all__ = ["IGR"]


@final
@dataclass(frozen=True)
class IGR(Objective):
    """TRADES' two terms + weight * (1 - cos(IG(x), IG(x~))), with TRADES' x~.

    IG are the integrated gradients of the label's logit, from a black image.

    Args:
        trades: the first two terms.
        weight: lambda.
        n_steps: nodes of the integral.
    """

    trades: Trades
    weight: float
    n_steps: int = 5

    def __post_init__(self) -> None:
        checks.positive("weight", self.weight)
        checks.count("n_steps", self.n_steps, 1)

    def __call__(self, model: nn.Module, images: Images, labels: Labels, generator: torch.Generator) -> Scalar:
        """The mean of all terms."""
        moved = worst(model, images, self.trades.ball, generator)
        first = self.trades.at(model, images, moved, labels)
        with frozen(model):
            here, there = (self._maps(model, at, labels) for at in (images, moved))
            return first + self.weight * (1 - cosine_similarity(here, there).mean())

    def _maps(self, model: nn.Module, images: Images, labels: Labels) -> Images:
        def slope(points: Tensor) -> Tensor:
            points = points.detach().requires_grad_()
            total = model(points).gather(1, labels[:, None]).sum()
            gradient: Tensor = torch.autograd.grad(total, points, create_graph=True)[0]
            return gradient

        return integrate(slope, images, torch.zeros_like(images), self.n_steps)
