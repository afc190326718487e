"""Integrated gradients with few gradients a map: random nodes of the path in place of a rule's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, final

from jaxtyping import Float

from attricert import checks
from attricert.attributions.integrated import baseline_of, checked_baselines, on_path
from attricert.attributions.words import ATTRIBUTIONS
from attricert.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attricert.attributions.outputs import Targets
else:  # readable annotations without torch
    Tensor = Targets = Any
    nn = SimpleNamespace(Module=Any)

__all__ = ["PathGradients", "StochasticIntegratedGradients"]


@ATTRIBUTIONS.register("stochastic-integrated-gradients")
@final
@dataclass(frozen=True)
class StochasticIntegratedGradients:
    """(x - x') times the mean gradient at random nodes of the line from the baseline x' to x.

    Its mean over the nodes is integrated gradients, without a rule's error. Smoothing draws noise and nodes together,
    so a draw costs ``n_steps`` gradients, however many a rule would need (theory 8).

    Args:
        model: maps (n, ...) to (n, classes), or to (n,) for ``target=None``; called in eval mode.
        baselines: x': a finite number for every feature, or a tensor of such of one input's shape (no batch dimension).
        n_steps: nodes of a map, one gradient each: one at the same random place in each of as many equal parts of the
            line.
    """

    random: ClassVar[bool] = True
    model: nn.Module
    baselines: float | Tensor = 0.0
    n_steps: int = 1

    def __post_init__(self) -> None:
        from attricert.attributions.base import checked_model

        checked_model(self.model)
        baselines = checked_baselines(self.baselines)
        checks.keep(self, n_steps=checks.count("n_steps", self.n_steps, 1), baselines=baselines)

    def __call__(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *features"]:
        """Attributions of the inputs' shape, in output units, at nodes from torch's global generator."""
        return self._drawn(inputs)(inputs, target)

    def differentiable(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *features"]:
        """The same with a graph back to inputs that ask for gradients; memory O(n_steps)."""
        return self._drawn(inputs).differentiable(inputs, target)

    def at(self, uniforms: float | Float[Tensor, "*n"]) -> PathGradients:
        """At the places that these numbers name, one an input or one for all: an attribution that is not random.

        Args:
            uniforms: a number from 0 to 1, or a tensor of such, shape (n,) or (); see `PathGradients`. What a tensor
                holds is not checked, as that would wait for an accelerator.

        Raises:
            ArgumentError: it is neither, or a number out of range.
        """
        import torch

        if not isinstance(uniforms, torch.Tensor):
            number = checks.within("uniforms", uniforms, 0.0, 1.0, "must be a number from 0 to 1, or a tensor of such")
            uniforms = torch.tensor(number, dtype=torch.float64)
        return PathGradients(self.model, self.baselines, self.n_steps, uniforms)

    def _drawn(self, inputs: Tensor) -> PathGradients:
        import torch

        return self.at(torch.rand(len(inputs), device=inputs.device))


@final
@dataclass(frozen=True)
class PathGradients:
    """(x - x') times the mean gradient at given nodes; made by `StochasticIntegratedGradients.at`.

    Args:
        model: as there.
        baselines: likewise.
        n_steps: likewise.
        uniforms: u, in [0, 1], shape (n,) for n inputs, or () for any number of them; nodes are (u + j) / n_steps of
            the way from x to x', j = 0 .. n_steps - 1.
    """

    model: nn.Module
    baselines: float | Tensor
    n_steps: int
    uniforms: Float[Tensor, "*n"]

    def __call__(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *features"]:
        """Attributions of the inputs' shape, in output units."""
        from attricert.attributions.forward import input_gradient

        return self._mean(inputs, lambda point: input_gradient(self.model, point, target)[0])

    def differentiable(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *features"]:
        """Attributions with a graph back to inputs that ask for gradients; memory O(n_steps)."""
        from attricert.attributions.forward import differentiable_gradient

        return self._mean(inputs, lambda point: differentiable_gradient(self.model, point, target))

    def _mean(self, inputs: Tensor, gradient: Callable[[Tensor], Tensor]) -> Tensor:
        first, n = self._first(inputs), self.n_steps
        rule = [(first + j / n, 1 / n) for j in range(n)]
        return on_path(gradient, inputs, baseline_of(self.baselines, inputs), rule)

    def _first(self, inputs: Tensor) -> Tensor:
        nodes = self.uniforms.to(inputs) / self.n_steps
        if not nodes.ndim:
            return nodes
        if nodes.shape != inputs.shape[:1]:
            rule = f"must be one an input, of shape {tuple(inputs.shape[:1])}, or one for all"
            raise ArgumentError("uniforms", tuple(nodes.shape), rule)
        return nodes.reshape(-1, *[1] * (inputs.ndim - 1))
