"""What every attribution is, and the gradient of a target output that most are made of."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attricert.errors import ArgumentError, ModelModeWarning
from attricert.registry import Registry

__all__ = [
    "ATTRIBUTIONS",
    "Attribution",
    "Classifier",
    "Targets",
    "attributions_of",
    "classes_of",
    "differentiable",
    "input_gradient",
    "is_nonnegative",
    "model_in_eval",
    "scores_of",
    "with_output",
]

Targets = Int[Tensor, " n"] | int | None


Classifier = Callable[[Tensor], Tensor]
"""Gives scores of shape (n, classes); the largest is the prediction."""


@runtime_checkable
class Attribution(Protocol):
    """Any callable of this form can be smoothed and certified.

    ``g(inputs, target)`` with inputs of shape (n, ...) and target a class index, one index an input (shape (n,)),
    or None where the model has a single output; gives attributions of the inputs' shape. Each row must depend on
    its own input and target only, and always in the same way.
    """

    def __call__(self, inputs: Tensor, target: Targets) -> Tensor:
        """Attributions of the inputs' shape."""
        ...


ATTRIBUTIONS: Registry[Attribution] = Registry("attribution")
"""Words for attributions, made from a model and perhaps parameters; the first is the default."""


def is_nonnegative(attribution: Attribution) -> bool:
    """Whether the attribution promises that no entry is ever negative (its attribute ``nonnegative``).

    The sampler checks the promise on every draw, and takes absolute values: those are what is certified.
    """
    return bool(getattr(attribution, "nonnegative", False))


def model_in_eval(model: nn.Module) -> nn.Module:
    """The model in eval mode: dropout or batch statistics would make g depend on more than its input."""
    if any(module.training for module in model.modules()):
        model.eval()
        warnings.warn(
            f"{type(model).__name__} was in train mode; it has been put in eval mode",
            ModelModeWarning,
            stacklevel=3,
        )
    return model


def attributions_of(attribution: Attribution, inputs: Float[Tensor, "n *features"], target: Targets) -> Tensor:
    """Attributions in memory of their own, of a copy of the inputs: whatever is done to that is nobody else's affair.

    Library code calls attributions and classifiers through this and the next three functions only.
    """
    attributions = attribution(inputs.clone(), _copied(target))
    # An attribution may keep the tensor that it returned, and write to it again.
    return attributions.detach().clone()


def scores_of(classifier: Classifier, inputs: Float[Tensor, "n *features"]) -> Tensor:
    """A classifier's scores, of a copy of the inputs."""
    with torch.no_grad():
        return classifier(inputs.clone())


def classes_of(output: Tensor, n: int) -> Int[Tensor, " n"]:
    """The largest score's class for each of n inputs; -1 where a score is not finite."""
    if output.ndim != 2 or output.shape[1] < 2 or len(output) != n:
        rule = f"must give scores of shape (n, classes), classes >= 2, here for n = {n}"
        raise ArgumentError("classifier", tuple(output.shape), rule)
    return torch.where(torch.isfinite(output).all(dim=1), output.argmax(dim=1), -1)


def with_output(
    attribution: Attribution, classifier: Classifier, inputs: Float[Tensor, "n *features"], target: Targets
) -> tuple[Tensor, Tensor]:
    """Attributions, and the classifier's output: of the same forward pass where the attribution can give it."""
    both = getattr(attribution, "with_output", None)
    if both is not None and getattr(attribution, "model", None) is classifier:
        attributions, output = both(inputs.clone(), _copied(target))
        return attributions.detach(), output
    return attributions_of(attribution, inputs, target), scores_of(classifier, inputs)


def differentiable(attribution: Attribution, inputs: Float[Tensor, "n *features"], target: Targets) -> Tensor | None:
    """Attributions as a differentiable function of inputs that ask for gradients; None from a black box.

    An attribution that can be differentiated has a method ``differentiable(inputs, target)``.
    """
    method = getattr(attribution, "differentiable", None)
    if method is None:
        return None
    with torch.enable_grad():
        # A copy within the graph: gradients reach the inputs, what is done in place does not.
        attributions: Tensor = method(inputs.clone(), _copied(target))
    return attributions if attributions.requires_grad else None


def _copied(target: Targets) -> Targets:
    return target.clone() if isinstance(target, Tensor) else target


def input_gradient(
    model: nn.Module, inputs: Float[Tensor, "n *features"], target: Targets
) -> tuple[Float[Tensor, "n *features"], Tensor]:
    """Gradient of each input's target output with respect to that input, and the whole output.

    Parameters collect nothing.
    """
    with torch.enable_grad():
        leaf = inputs.detach().requires_grad_()
        output = model(leaf.clone())  # whose first operation may be in place
        gradient = torch.autograd.grad(target_output(output, target).sum(), leaf)[0]
    return gradient, output.detach()


def differentiable_gradient(
    model: nn.Module, inputs: Float[Tensor, "n *features"], target: Targets
) -> Float[Tensor, "n *features"]:
    """The same gradient with a graph of its own, for inputs that are part of a graph."""
    gradient: Tensor = torch.autograd.grad(
        target_output(model(inputs.clone()), target).sum(), inputs, create_graph=True
    )[0]
    return gradient


def target_output(output: Tensor, target: Targets) -> Float[Tensor, " n"]:
    """The output that is explained, one an input."""
    if target is None:
        if output.ndim != 1 and output[0].numel() != 1:
            raise ArgumentError(
                "target",
                None,
                f"the model has {output.shape[1]} outputs; name one (0 to {output.shape[1] - 1})",
            )
        return output.flatten()
    if output.ndim != 2:
        raise ArgumentError(
            "model", tuple(output.shape), "its output must have shape (n, classes) when a target is given"
        )
    index = torch.as_tensor(target, device=output.device)
    classes = output.shape[1]
    if bool(((index < 0) | (index >= classes)).any()):
        worst = int(index.min() if bool((index < 0).any()) else index.max())
        raise ArgumentError("target", worst, f"must be a class index from 0 to {classes - 1}")
    return output[torch.arange(len(output), device=output.device), index]
