"""What every attribution is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Protocol, TypeGuard, runtime_checkable

from torch import Tensor, nn

from attricert.attributions.modules import in_training
from attricert.attributions.outputs import Targets
from attricert.attributions.words import ATTRIBUTIONS
from attricert.errors import ArgumentError, ModelModeWarning

__all__ = [
    "ATTRIBUTIONS",
    "Attribution",
    "Classifier",
    "TakesUniforms",
    "as_module",
    "checked_model",
    "comes_singly",
    "is_nonnegative",
    "is_random",
    "takes_uniforms",
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
    always in the same way, unless its attribute ``random`` is True (see `TakesUniforms`, too). An attribute ``fixed``
    is a mask (bool) of one input's shape: entries that stay as they are, under noise and in what is certified. An
    attribute ``rows_at_once`` is how many rows it takes best in one call.
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

    Each noisy copy then has random numbers of its own, and the mean is over both. It is called with one at a time,
    unless it is a `TakesUniforms`.
    """
    return getattr(attribution, "random", False) is True


class TakesUniforms(Attribution, Protocol):
    """A random attribution all of whose randomness is one uniform number an input.

    Its attribute ``random`` is True. Noisy copies are given to it many at a time, with numbers from the keyed stream.
    """

    def at(self, uniforms: Tensor) -> Attribution:
        """The attribution that is not random any more, at numbers in [0, 1].

        For shape (n,) it is called with n inputs, and each row depends on its own input, target and number only. For
        shape () it is called with any number of inputs, and the number is that of all rows. It may have what
        attributions may have, ``differentiable`` for one.
        """
        ...


def takes_uniforms(attribution: Attribution) -> TypeGuard[TakesUniforms]:
    """Whether it is one of these: random, with a method ``at``."""
    return is_random(attribution) and callable(getattr(attribution, "at", None))


def comes_singly(attribution: Attribution) -> bool:
    """Whether it is random in a way that allows one input a call only."""
    return is_random(attribution) and not takes_uniforms(attribution)


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
