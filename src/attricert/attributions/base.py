"""What every attribution is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from attricert.attributions.modules import in_training
from attricert.attributions.outputs import Targets
from attricert.attributions.words import ATTRIBUTIONS
from attricert.errors import ArgumentError, ModelModeWarning

__all__ = [
    "ATTRIBUTIONS",
    "Attribution",
    "Classifier",
    "as_module",
    "checked_model",
    "is_nonnegative",
    "is_random",
    "warn_of_training",
]

_SHOWN = 3

Classifier = Callable[[Tensor], Any]
"""Gives scores of shape (n, classes), the largest of which is the prediction; see `class_scores` for other outputs."""


@runtime_checkable
class Attribution(Protocol):
    """Any callable of this form can be smoothed and certified.

    ``g(inputs, target)`` with inputs of shape (n, ...) and target a class index, one index an input (shape (n,)),
    or None where the model has a single output; gives a map an input, shape (n, ...), all of one shape: the inputs'
    own, or that of a layer, of superpixels, of tokens. Each row must depend on its own input and target only, and
    always in the same way (unless its attribute ``random`` is True). An attribute ``fixed`` is a mask (bool) of one
    input's shape: entries that stay as they are, under noise and in what is certified. An attribute ``rows_at_once`` is
    how many rows it takes best in one call.
    """

    def __call__(self, inputs: Tensor, target: Targets) -> Tensor:
        """A map an input."""
        ...


def is_nonnegative(attribution: Attribution) -> bool:
    """Whether the attribution promises that no entry is ever negative (its attribute ``nonnegative``).

    The sampler checks the promise on every draw, and takes absolute values: those are what is certified.
    """
    return getattr(attribution, "nonnegative", False) is True


def is_random(attribution: Attribution) -> bool:
    """Whether the attribution says that equal inputs may have different maps (its attribute ``random``).

    It is then called with one noisy copy at a time, each with random numbers of its own, and the mean is over both.
    """
    return getattr(attribution, "random", False) is True


def checked_model(model: object) -> nn.Module:
    """A model for a gradient method.

    Raises:
        ArgumentError: it is no torch module.

    Warns:
        ModelModeWarning: it is in train mode; it will be called in eval mode, and left as it is.
    """
    found = as_module(model)
    warn_of_training(found)
    return found


def as_module(model: object) -> nn.Module:
    """A model that is a torch module.

    Raises:
        ArgumentError: it is none.
    """
    if isinstance(model, nn.Module):
        return model
    program = hasattr(model, "graph_module")
    way = "call its .module()" if program else "attricert.wrap(f) takes any attribution f(inputs, target)"
    raise ArgumentError("model", type(model).__name__, f"must be a torch.nn.Module; {way}")


def warn_of_training(model: nn.Module) -> None:
    """That dropout and batch statistics have no part in what is certified.

    Warns:
        ModelModeWarning: names what is in train mode.
    """
    if parts := in_training(model):
        shown = ", ".join(parts[:_SHOWN]) + (", ..." if len(parts) > _SHOWN else "")
        text = f"{type(model).__name__} is in train mode ({shown}); it is called in eval mode, and left as it is"
        warnings.warn(text, ModelModeWarning, stacklevel=4)
