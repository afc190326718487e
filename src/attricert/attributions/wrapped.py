"""Somebody else's attribution, made to fit."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from attricert import checks
from attricert.attributions.base import warn_of_training
from attricert.attributions.modules import evaluating, modules_of
from attricert.attributions.outputs import Targets
from attricert.errors import ArgumentError, UnknownNameError

__all__ = ["Wrapped", "wrap"]

_OURS = ("inputs", "target", "self")


@final
@dataclass(frozen=True)
class Wrapped:
    """Made by `wrap`."""

    function: Callable[[Any, Any], Any]
    takes_numpy: bool = False
    nonnegative: bool = False
    random: bool = False

    def __post_init__(self) -> None:
        for name in ("takes_numpy", "nonnegative", "random"):
            checks.flag(name, getattr(self, name))

    def __call__(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *entries"]:
        """A map an input, on the inputs' device and in their dtype.

        Raises:
            ArgumentError: the function returned something else than a tensor, an array or a list of real numbers.
        """
        if self.takes_numpy:
            index = target.cpu().numpy() if isinstance(target, Tensor) else target
            result = self.function(inputs.detach().cpu().numpy(), index)
        else:
            result = self.function(inputs, target)
        attributions = self._tensor(result).detach()
        if attributions.is_complex():
            raise ArgumentError("attribution", self.__name__, "must return real values, not complex ones")
        return attributions.to(dtype=inputs.dtype, device=inputs.device)

    def differentiable(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *entries"]:
        """Attributions with a graph back to inputs, where the function keeps one (values alone otherwise)."""
        return self(inputs, target) if self.takes_numpy else self._tensor(self.function(inputs, target))

    @property
    def __name__(self) -> str:  # what errors call it
        function = self.function.func if isinstance(self.function, functools.partial) else self.function
        return str(getattr(function, "__name__", type(function).__name__))

    def _tensor(self, result: Any) -> Tensor:
        if isinstance(result, Tensor):
            return result.dequantize() if result.is_quantized else result
        try:
            if isinstance(result, tuple) and any(isinstance(part, Tensor) for part in result):
                raise ValueError("several results")
            array = np.asarray(result)
            if array.dtype.kind not in "biufc":
                raise ValueError(array.dtype)
        except (ValueError, TypeError, RuntimeError):  # the last where tensors in it have a graph
            held = f" of {type(result[0]).__name__}" if isinstance(result, (tuple, list)) and result else ""
            rule = f"must return a tensor, an array or a list of real numbers, not {type(result).__name__}{held}"
            raise ArgumentError("attribution", self.__name__, rule) from None
        return torch.as_tensor(array if array.flags.writeable else array.copy())


def wrap(
    attribution: Any, *, numpy: bool = False, nonnegative: bool = False, random: bool = False, **arguments: Any
) -> Wrapped:
    """Make any attribution certifiable: a black box needs to give values only, no gradients.

    Args:
        attribution: a callable ``f(inputs, target)``, or an object with Captum's
            ``attribute(inputs, target=...)``, returning a tensor or an array with a map an input, of the inputs'
            shape or of a layer's. It must treat each row of the batch by itself, and be deterministic unless ``random``
            says otherwise; models that it holds are then called in eval mode, and left as they are.
        numpy: hand over NumPy arrays instead of tensors.
        nonnegative: promise that no entry is ever negative. Makes the certificate sharper by sqrt(2); absolute values
            are certified, and a negative entry that is seen is an error.
        random: equal inputs may have different maps, as with methods that sample (Captum's ShapleyValueSampling,
            KernelShap, NoiseTunnel; dropout kept in train mode). Each noisy copy is then a call of its own, with the
            global generators of torch, NumPy and Python seeded from the keyed stream: what is certified is the mean
            over noise and randomness, and the terms say so.
        **arguments: handed on with every call, as Captum's ``baselines``, ``n_steps``, ``additional_forward_args``,
            ``sliding_window_shapes``: the same for all inputs, so tensors have a first dimension of 1.

    Raises:
        ArgumentError: it is a class, is neither callable nor has a method ``attribute``, or does not take such an
            argument.
    """
    if isinstance(attribution, type):
        name = attribution.__name__
        raise ArgumentError("attribution", name, f"is a class; make an object: {name}(model)")
    function = _ByMethod(attribution, random) if hasattr(attribution, "attribute") else attribution
    if not callable(function) or isinstance(function, nn.Module):
        rule = "must be callable as f(inputs, target), or have a method attribute(); a model alone explains nothing"
        raise ArgumentError("attribution", getattr(function, "__name__", type(function).__name__), rule)
    for module in () if random is True else modules_of(function):
        warn_of_training(module)
    if arguments:
        _check_arguments(getattr(attribution, "attribute", attribution), arguments)
        function = functools.partial(function, **arguments)
    return Wrapped(function, takes_numpy=numpy, nonnegative=nonnegative, random=random)


def _check_arguments(called: Any, names: Collection[str]) -> None:
    """That it takes them, as far as its signature says."""
    try:
        known = inspect.signature(called).parameters
    except (TypeError, ValueError):  # of a builtin
        return
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    for name in names:
        if name in _OURS:
            raise ArgumentError("argument of wrap", name, "comes with every call, and is not given beforehand")
        if name not in known and not open_ended:
            raise UnknownNameError("argument of the attribution", name, set(known) - set(_OURS))


@final
@dataclass(frozen=True)
class _ByMethod:
    """Calls a Captum attribution object, its model in eval mode unless that is to be kept."""

    method: Any
    keep_mode: bool

    def __call__(self, inputs: Any, target: Any, **arguments: Any) -> Any:
        if isinstance(target, Tensor) and target.ndim == 2:
            target = [tuple(index) for index in target.tolist()]  # as Captum takes an index into each axis
        model = getattr(self.method, "forward_func", None)
        with evaluating(*([model] if isinstance(model, nn.Module) and not self.keep_mode else [])):
            if not isinstance(inputs, Tensor):
                return self.method.attribute(inputs, target=target, **arguments)
            # Captum warns about inputs that do not ask for gradients.
            return self.method.attribute(inputs.detach().requires_grad_(), target=target, **arguments)

    @property
    def __name__(self) -> str:
        return type(self.method).__name__
