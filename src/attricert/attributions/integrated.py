"""Integrated gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, final

import numpy as np
from jaxtyping import Float

from attricert import checks
from attricert.attributions.words import ATTRIBUTIONS
from attricert.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attricert.attributions.outputs import Targets
else:  # readable annotations without torch
    Tensor = Targets = Any
    nn = SimpleNamespace(Module=Any)

__all__ = ["IntegratedGradients", "baseline_of", "checked_baselines", "integrate", "on_path"]


@ATTRIBUTIONS.register("integrated-gradients")
@final
@dataclass(frozen=True)
class IntegratedGradients:
    """(x - x') times the mean gradient on the line from the baseline x' to x (Sundararajan et al. 2017).

    Args:
        model: maps (n, ...) to (n, classes), or to (n,) for ``target=None``; called in eval mode.
        baselines: x': a finite number for every feature, or a tensor of such of one input's shape (no batch dimension).
        n_steps: nodes of the Gauss-Legendre rule (Captum's default rule), one gradient each; of stochastic ones, random
            nodes, 1 by default.
    """

    model: nn.Module
    baselines: float | Tensor = 0.0
    n_steps: int = 50

    def __post_init__(self) -> None:
        from attricert.attributions.base import checked_model

        checked_model(self.model)
        baselines = checked_baselines(self.baselines)
        checks.keep(self, n_steps=checks.count("n_steps", self.n_steps, 1), baselines=baselines)

    def __call__(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *features"]:
        """Attributions of the inputs' shape, in output units; they sum to f(x) - f(x') up to the rule's error."""
        from attricert.attributions.forward import input_gradient

        return self._integrate(inputs, lambda point: input_gradient(self.model, point, target)[0])

    def differentiable(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *features"]:
        """Attributions with a graph back to inputs that ask for gradients; memory O(n_steps)."""
        from attricert.attributions.forward import differentiable_gradient

        return self._integrate(inputs, lambda point: differentiable_gradient(self.model, point, target))

    def _integrate(self, inputs: Tensor, gradient: Callable[[Tensor], Tensor]) -> Tensor:
        return integrate(gradient, inputs, baseline_of(self.baselines, inputs), self.n_steps)


def checked_baselines(baselines: object) -> float | Tensor:
    """x': a finite number, or a tensor of such; its shape is checked where inputs are known.

    Raises:
        ArgumentError: it is neither.
    """
    import torch

    rule = "must be a finite number, or a tensor of one input's shape with finite real entries"
    if not isinstance(baselines, torch.Tensor):
        checks.finite("baselines", baselines, rule)
        number: float = checks.plain(baselines)
        return number
    if baselines.is_complex():
        raise ArgumentError("baselines", baselines.dtype, rule)
    wrong = baselines[~baselines.isfinite()]
    if len(wrong):
        raise ArgumentError("baselines", wrong[0].item(), rule)
    return baselines


def baseline_of(baselines: float | Tensor, inputs: Tensor) -> Tensor:
    """x' as a tensor, of one number or of one input's shape.

    Raises:
        ArgumentError: it has another shape.
    """
    import torch

    baseline = torch.as_tensor(baselines, dtype=inputs.dtype, device=inputs.device)
    if baseline.ndim and baseline.shape != inputs.shape[1:]:
        rule = f"must have the shape of one input, {tuple(inputs.shape[1:])}"
        raise ArgumentError("baselines", tuple(baseline.shape), rule)
    return baseline


def integrate(gradient: Callable[[Tensor], Tensor], inputs: Tensor, baseline: Tensor, n_steps: int) -> Tensor:
    """(x - x') times the mean of a gradient on the line from x' to x, by a Gauss-Legendre rule."""
    # Gauss-Legendre nodes live on [-1, 1]; the path runs over [0, 1].
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    return on_path(gradient, inputs, baseline, zip(map(float, (1 - nodes) / 2), map(float, weights / 2), strict=True))


def on_path(
    gradient: Callable[[Tensor], Tensor],
    inputs: Tensor,
    baseline: Tensor,
    rule: Iterable[tuple[float | Tensor, float]],
) -> Tensor:
    """(x - x') times the weighted sum of a gradient at nodes of the line from x to x'.

    Args:
        gradient: at points of the inputs' shape.
        inputs: x, shape (n, ...).
        baseline: x', of one input.
        rule: nodes with their weights: 0 is x, 1 is x'; a tensor has one an input, in a shape that broadcasts.
    """
    import torch

    difference = inputs - baseline
    mean = torch.zeros_like(inputs)
    for node, weight in rule:
        mean = mean + weight * gradient(inputs - node * difference)
    return difference * mean
