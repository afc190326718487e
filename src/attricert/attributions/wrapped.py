"""Somebody else's attribution, made to fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from attricert.attributions.base import Targets, model_in_eval
from attricert.errors import ArgumentError

__all__ = ["Wrapped", "wrap"]


@final
@dataclass(frozen=True)
class Wrapped:
    """Made by `wrap`."""

    function: Callable[[Any, Any], Any]
    takes_numpy: bool = False
    nonnegative: bool = False

    def __call__(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *features"]:
        """Attributions of the inputs' shape, on the inputs' device and in their dtype."""
        if self.takes_numpy:
            index = target.cpu().numpy() if isinstance(target, Tensor) else target
            result = self.function(inputs.detach().cpu().numpy(), index)
        else:
            result = self.function(inputs, target)
        attributions = torch.as_tensor(np.asarray(result) if not isinstance(result, Tensor) else result)
        return attributions.detach().to(dtype=inputs.dtype, device=inputs.device)

    def differentiable(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *features"]:
        """Attributions with a graph back to inputs, where the function keeps one (values alone otherwise)."""
        return self(inputs, target) if self.takes_numpy else torch.as_tensor(self.function(inputs, target))


def wrap(attribution: Any, *, numpy: bool = False, nonnegative: bool = False) -> Wrapped:
    """Make any attribution certifiable: a black box needs to give values only, no gradients.

    Args:
        attribution: a callable ``f(inputs, target)``, or an object with Captum's
            ``attribute(inputs, target=...)``, returning a tensor or an array of the inputs' shape. It must be
            deterministic, and treat each row of the batch by itself.
        numpy: hand over NumPy arrays instead of tensors.
        nonnegative: promise that no entry is ever negative. Makes the certificate sharper by sqrt(2); absolute values
            are certified, and a negative entry that is seen is an error.
    """
    if hasattr(attribution, "attribute"):
        model = getattr(attribution, "forward_func", None)
        if isinstance(model, nn.Module):
            model_in_eval(model)
        return Wrapped(_ByMethod(attribution), takes_numpy=numpy, nonnegative=nonnegative)
    if not callable(attribution):
        raise ArgumentError("attribution", attribution, "must be callable or have a method attribute()")
    return Wrapped(attribution, takes_numpy=numpy, nonnegative=nonnegative)


@final
@dataclass(frozen=True)
class _ByMethod:
    """Calls a Captum attribution object."""

    method: Any

    def __call__(self, inputs: Tensor, target: Targets) -> Tensor:
        # Captum warns about inputs that do not ask for gradients.
        result: Tensor = self.method.attribute(inputs.detach().requires_grad_(), target=target)
        return result
