"""Models as they are called here: in eval mode, in their own dtype, and their gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from attricert.attributions.modules import evaluating
from attricert.attributions.outputs import Targets, logits_of, target_output
from attricert.errors import ArgumentError

__all__ = ["differentiable_gradient", "forward", "given_by", "input_gradient", "twice_differentiable"]


def forward(model: nn.Module, inputs: Float[Tensor, "n *features"]) -> Tensor:
    """A model's logits, in eval mode; inputs are cast where all of its parameters have another floating dtype."""
    return logits_of(given_by(model, inputs))


def given_by(model: nn.Module, inputs: Float[Tensor, "n *features"]) -> Any:
    """The same as the model gives it, whatever that is."""
    with evaluating(model):
        return model(_as_parameters(model, inputs))


def _as_parameters(model: nn.Module, inputs: Tensor) -> Tensor:
    first = None
    for parameter in model.parameters():
        if parameter.is_floating_point():
            if parameter.dtype == inputs.dtype:
                return inputs
            first = parameter.dtype if first is None else first
    return inputs if first is None else inputs.to(first)


def input_gradient(
    model: nn.Module, inputs: Float[Tensor, "n *features"], target: Targets
) -> tuple[Float[Tensor, "n *features"], Tensor]:
    """Gradient of each input's target output with respect to that input, and the whole output.

    Parameters collect nothing.

    Raises:
        ArgumentError: no gradient reaches the input.
    """
    with torch.enable_grad():
        leaf = inputs.detach().requires_grad_()
        output = forward(model, leaf.clone())  # whose first operation may be in place
        total = _total(model, output, target, len(inputs))
        try:
            gradient: Tensor | None = torch.autograd.grad(total, leaf, allow_unused=True)[0]
        except RuntimeError as error:
            if _REENTRANT not in str(error):
                raise
            gradient = _by_backward(model, inputs, target)
    return _reached(model, gradient), output.detach()


def differentiable_gradient(
    model: nn.Module, inputs: Float[Tensor, "n *features"], target: Targets
) -> Float[Tensor, "n *features"]:
    """The same gradient with a graph of its own, for inputs that are part of a graph."""
    with twice_differentiable():
        total = _total(model, forward(model, inputs.clone()), target, len(inputs))
        gradient = torch.autograd.grad(total, inputs, create_graph=True, allow_unused=True)[0]
    return _reached(model, gradient)


@contextlib.contextmanager
def twice_differentiable() -> Iterator[None]:
    """Kernels that have second derivatives: attention by plain mathematics, compiled models as they were written."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


_REENTRANT = "use_reentrant=True"


def _by_backward(model: nn.Module, inputs: Tensor, target: Targets) -> Tensor | None:
    """Reentrant checkpoints know ``backward()`` only, which fills the gradients of all that asks for them."""
    asking = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        leaf = inputs.detach().requires_grad_()
        torch.autograd.backward(_total(model, forward(model, leaf.clone()), target, len(inputs)))
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)
    return leaf.grad


def _total(model: nn.Module, output: Tensor, target: Targets, n: int) -> Tensor:
    total = target_output(output, target, n).sum()
    if not total.requires_grad:
        raise _no_gradient(model)
    return total


def _reached(model: nn.Module, gradient: Tensor | None) -> Tensor:
    if gradient is None:
        raise _no_gradient(model)
    return gradient if gradient.layout == torch.strided else gradient.to_dense()


def _no_gradient(model: nn.Module) -> ArgumentError:
    rule = (
        "no gradient reaches its input (no_grad, argmax, quantized, or an output that ignores the input?); "
        "attricert.wrap(f) takes methods f(inputs, target) that need values only"
    )
    return ArgumentError("model", type(model).__name__, rule)
