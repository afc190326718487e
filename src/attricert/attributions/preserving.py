"""Whatever is called, everything is as it was in the end: modes, weights, gradients, hooks, random state, settings."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from attricert.attributions.modules import modules_of
from attricert.errors import ArgumentError
from attricert.precision import float32_precision, set_float32_precision

__all__ = ["preserved", "seeded"]

_SEEDS_OF_NUMPY = 2**32
_TURN = threading.RLock()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global generators of torch, NumPy and Python start from here; whoever uses this restores them."""
    torch.manual_seed(seed)
    np.random.seed(seed % _SEEDS_OF_NUMPY)
    random.seed(seed)
    yield


@contextlib.contextmanager
def preserved(*owners: object) -> Iterator[None]:
    """Restore all that calls of foreign code may change, as they leave this block.

    That is, of all modules that the owners hold: modes, parameters and buffers, gradients, hooks; and the random state
    and settings of torch, NumPy and Python. These are the process's: threads take turns.

    Raises:
        ArgumentError: a module has parameters that are not there yet.
    """
    with _TURN:
        parts = list({id(part): part for module in modules_of(*owners) for part in module.modules()}.values())
        yield from _preserved(parts)


def _preserved(parts: list[nn.Module]) -> Iterator[None]:
    for part in parts:
        if any(isinstance(p, UninitializedParameter) for p in _registered(part, "_parameters").values()):
            rule = "has parameters that are not initialized yet; call the model once on an input"
            raise ArgumentError("model", type(part).__name__, rule)
    with contextlib.ExitStack() as after:  # which goes on where one of them fails
        for part in parts:
            after.callback(_ModuleState.of(part).restore)
        for get, put in _SETTINGS:
            after.callback(put, get())
        with torch.inference_mode(False), np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
            yield


def _random_state() -> tuple[Any, ...]:
    gpu: Any = torch.cuda
    on_gpu = gpu.get_rng_state_all() if gpu.is_initialized() else []
    return torch.get_rng_state(), on_gpu, np.random.get_state(), random.getstate()


def _set_random_state(state: tuple[Any, ...]) -> None:
    torch.set_rng_state(state[0])
    if state[1]:
        torch.cuda.set_rng_state_all(state[1])
    np.random.set_state(state[2])
    random.setstate(state[3])


def _attention() -> tuple[bool, ...]:
    b: Any = torch.backends
    return (
        b.cuda.flash_sdp_enabled(),
        b.cuda.mem_efficient_sdp_enabled(),
        b.cuda.math_sdp_enabled(),
        b.mha.get_fastpath_enabled(),
    )


def _set_attention(value: tuple[bool, ...]) -> None:
    b: Any = torch.backends
    setters = (
        b.cuda.enable_flash_sdp,
        b.cuda.enable_mem_efficient_sdp,
        b.cuda.enable_math_sdp,
        b.mha.set_fastpath_enabled,
    )
    for put, on in zip(setters, value, strict=True):
        put(on)


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_deterministic(value: tuple[bool, bool]) -> None:
    if _deterministic() != value:
        torch.use_deterministic_algorithms(value[0], warn_only=value[1])


_CUDNN = ("enabled", "benchmark", "deterministic")


def _cudnn() -> dict[str, bool]:
    return {name: getattr(torch.backends.cudnn, name) for name in _CUDNN}


def _set_cudnn(value: dict[str, bool]) -> None:
    for name in value.items() - _cudnn().items():
        setattr(torch.backends.cudnn, *name)


def _set_threads(value: int) -> None:
    if torch.get_num_threads() != value:
        torch.set_num_threads(value)


_SETTINGS: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
    (_random_state, _set_random_state),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, _set_threads),
    (float32_precision, set_float32_precision),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (_deterministic, _set_deterministic),
    (_cudnn, _set_cudnn),
    (_attention, _set_attention),
]


@final
@dataclass(frozen=True)
class _ModuleState:
    """Of one module, without those within it."""

    module: nn.Module
    training: bool | None
    tensors: list[_TensorState]
    dictionaries: list[tuple[dict[Any, Any], dict[Any, Any]]]

    @classmethod
    def of(cls, module: nn.Module) -> _ModuleState:
        tensors = [*_registered(module, "_parameters").values(), *_registered(module, "_buffers").values()]
        kept = [value for name, value in vars(module).items() if name.endswith(_KEPT) and isinstance(value, dict)]
        return cls(
            module,
            getattr(module, "training", None),
            [_TensorState.of(tensor) for tensor in tensors if tensor is not None],
            [(value, dict(value)) for value in kept],
        )

    def restore(self) -> None:
        if self.training is not None and self.module.training != self.training:
            self.module.training = self.training
        for value, copy in self.dictionaries:
            if list(value) != list(copy) or any(value[name] is not copy[name] for name in copy):
                value.clear()
                value.update(copy)
        for tensor in self.tensors:
            tensor.restore()


_KEPT = ("_hooks", "_hooks_with_kwargs", "_hooks_always_called", "_parameters", "_buffers", "_modules")


@final
@dataclass(frozen=True)
class _TensorState:
    tensor: Tensor
    content: Tensor | None
    requires_grad: bool
    gradient: Tensor | None
    gradient_content: Tensor | None

    @classmethod
    def of(cls, tensor: Tensor) -> _TensorState:
        gradient = tensor.grad if tensor.is_leaf else None
        return cls(tensor, _copy(tensor), tensor.requires_grad, gradient, None if gradient is None else _copy(gradient))

    def restore(self) -> None:
        _write_back(self.tensor, self.content)
        if self.tensor.is_leaf:
            if self.tensor.requires_grad != self.requires_grad:
                self.tensor.requires_grad_(self.requires_grad)
            if self.tensor.grad is not self.gradient:
                self.tensor.grad = self.gradient
            if self.gradient is not None:
                _write_back(self.gradient, self.gradient_content)


def _registered(module: nn.Module, kind: str) -> dict[str, Tensor | None]:
    """Scripted modules keep theirs elsewhere, and nothing in Python changes them."""
    found = vars(module).get(kind)
    return found if isinstance(found, dict) else {}


def _copy(tensor: Tensor) -> Tensor | None:
    """None where the content cannot be changed by ordinary means."""
    return tensor.detach().clone() if tensor.layout == torch.strided and not tensor.is_meta else None


def _write_back(tensor: Tensor, content: Tensor | None) -> None:
    if content is None or tensor.is_quantized:
        return
    if tensor.shape != content.shape or tensor.dtype != content.dtype:  # as ``half()`` puts other memory in its place
        tensor.data = content
    elif not torch.equal(_bits(tensor), _bits(content)):  # what is the same is not touched: graphs may rest on it
        with torch.no_grad():
            tensor.copy_(content)


def _bits(tensor: Tensor) -> Tensor:
    return tensor.detach().reshape(-1).view(torch.uint8)
