"""Plain gradients."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, final

from jaxtyping import Float

from attricert import checks
from attricert.attributions.words import ATTRIBUTIONS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attricert.attributions.outputs import Targets
else:  # readable annotations without torch
    Tensor = Targets = Any
    nn = SimpleNamespace(Module=Any)

__all__ = ["InputXGradient", "Saliency"]


@ATTRIBUTIONS.register("abs-saliency", abs=True)
@ATTRIBUTIONS.register("saliency", abs=False)
@final
@dataclass(frozen=True)
class Saliency:
    """Gradient of the target output with respect to the input (Simonyan et al. 2013).

    Args:
        model: maps (n, ...) to (n, classes), or to (n,) for ``target=None``; called in eval mode.
        abs: absolute values. False here, as signs carry meaning; Captum's default is True.
    """

    model: nn.Module
    abs: bool = False

    def __post_init__(self) -> None:
        from attricert.attributions.base import checked_model

        checked_model(self.model)
        checks.flag("abs", self.abs)

    @property
    def nonnegative(self) -> bool:
        """Absolute values are never negative, which makes certificates sharper."""
        return self.abs

    def __call__(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *features"]:
        """Attributions of the inputs' shape, in output units per input unit."""
        return self.with_output(inputs, target)[0]

    def with_output(
        self, inputs: Float[Tensor, "n *features"], target: Targets
    ) -> tuple[Float[Tensor, "n *features"], Tensor]:
        """Attributions, and the model's output from the same pass."""
        from attricert.attributions.forward import input_gradient

        gradient, output = input_gradient(self.model, inputs, target)
        return (gradient.abs() if self.abs else gradient), output

    def differentiable(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *features"]:
        """Attributions with a graph back to inputs that ask for gradients."""
        from attricert.attributions.forward import differentiable_gradient

        gradient = differentiable_gradient(self.model, inputs, target)
        return gradient.abs() if self.abs else gradient


@ATTRIBUTIONS.register("input-x-gradient")
@final
@dataclass(frozen=True)
class InputXGradient:
    """Input times gradient (Shrikumar et al. 2016).

    Args:
        model: maps (n, ...) to (n, classes), or to (n,) for ``target=None``; called in eval mode.
    """

    model: nn.Module

    def __post_init__(self) -> None:
        from attricert.attributions.base import checked_model

        checked_model(self.model)

    def __call__(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *features"]:
        """Attributions of the inputs' shape, in output units."""
        return self.with_output(inputs, target)[0]

    def with_output(
        self, inputs: Float[Tensor, "n *features"], target: Targets
    ) -> tuple[Float[Tensor, "n *features"], Tensor]:
        """Attributions, and the model's output from the same pass."""
        from attricert.attributions.forward import input_gradient

        gradient, output = input_gradient(self.model, inputs, target)
        return inputs * gradient, output

    def differentiable(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *features"]:
        """Attributions with a graph back to inputs that ask for gradients."""
        from attricert.attributions.forward import differentiable_gradient

        return inputs * differentiable_gradient(self.model, inputs, target)
