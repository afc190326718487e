"""An objective, and the inner maximization that robust ones share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attricert import checks

__all__ = ["Ball", "Objective", "frozen"]

Images = Float[Tensor, "n *features"]
Labels = Int[Tensor, " n"]
Scalar = Float[Tensor, ""]

_NORMS = ("l2", "linf")


class Objective(ABC):
    """A loss of a model on a batch, differentiable with respect to the model's parameters."""

    @abstractmethod
    def __call__(self, model: nn.Module, images: Images, labels: Labels, generator: torch.Generator) -> Scalar:
        """The mean over the batch.

        Args:
            model: gives logits; its mode is left as it is.
            images: in [0, 1].
            labels: classes.
            generator: of whatever is drawn at random, on the CPU.
        """


@final
@dataclass(frozen=True)
class Ball:
    """Perturbations of the images, and projected gradient ascent among them (Madry et al. 2018).

    Args:
        eps: size, in input units.
        norm: ``"l2"`` or ``"linf"``.
        steps: of the ascent, from a random start.
        step: length of each, in units of eps.
    """

    eps: float
    norm: str = "l2"
    steps: int = 7
    step: float = 0.25

    def __post_init__(self) -> None:
        checks.positive("eps", self.eps)
        checks.known("norm", self.norm, _NORMS)
        checks.count("steps", self.steps, 1)
        checks.positive("step", self.step)

    def maximize(
        self, objective: Callable[[Images], Float[Tensor, " n"]], images: Images, generator: torch.Generator
    ) -> Images:
        """Images within the ball and [0, 1] at which the objective, one value an image, is large; without a graph."""
        noise = torch.randn(images.shape, generator=generator, dtype=images.dtype).to(images.device)
        delta = self._projected(images, 0.5 * self.eps * self._direction(noise))
        for _ in range(self.steps):
            leaf = (images + delta).requires_grad_()
            slope: Tensor = torch.autograd.grad(objective(leaf).sum(), leaf)[0]
            delta = self._projected(images, delta + self.step * self.eps * self._direction(slope))
        return images + delta

    def _direction(self, slope: Tensor) -> Tensor:
        """The steepest one of size 1."""
        if self.norm == "linf":
            return slope.sign()
        size: Tensor = slope.flatten(1).norm(dim=1).clamp_min(1e-20)
        return slope / size.reshape(-1, *[1] * (slope.ndim - 1))

    def _projected(self, images: Tensor, delta: Tensor) -> Tensor:
        if self.norm == "linf":
            delta = delta.clamp(-self.eps, self.eps)
        else:
            size = delta.flatten(1).norm(dim=1)
            delta = delta * (self.eps / size.clamp_min(self.eps)).reshape(-1, *[1] * (delta.ndim - 1))
        # Clamping takes no entry further from the image, which lies in the range itself.
        moved: Tensor = (images + delta).clamp(0.0, 1.0)
        return (moved - images).detach()


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """In eval mode: with batch statistics a gradient with respect to one image would be one with respect to all."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
