"""Kinks rounded off, so that gradients of gradients say something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["Softened"]


@final
class Softened(TorchFunctionMode):
    """While this is entered, rectifiers of every kind are softplus instead (Dombrowski et al. 2019).

    A ReLU network's gradient is constant between its kinks, so differentiating it again gives almost nothing. With
    softplus(beta z) / beta for max(z, 0) it is smooth, and close to the true one where beta is large. The model is
    left as it is.

    Args:
        beta: sharpness, in units of one over an activation.
    """

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called for every function of torch."""
        kwargs = kwargs or {}
        smooth = _SMOOTH.get(func)
        return func(*args, **kwargs) if smooth is None else smooth(self.beta, *args, **kwargs)


def _relu(beta: float, x: Tensor, *_: Any, **__: Any) -> Tensor:
    return functional.softplus(x, beta)


def _relu6(beta: float, x: Tensor, *_: Any, **__: Any) -> Tensor:
    return _hardtanh(beta, x, 0.0, 6.0)


def _hardtanh(beta: float, x: Tensor, min_val: float = -1.0, max_val: float = 1.0, *_: Any, **__: Any) -> Tensor:
    return min_val + functional.softplus(x - min_val, beta) - functional.softplus(x - max_val, beta)


def _leaky_relu(beta: float, x: Tensor, negative_slope: float = 0.01, *_: Any, **__: Any) -> Tensor:
    return negative_slope * x + (1 - negative_slope) * functional.softplus(x, beta)


_SMOOTH: dict[Any, Callable[..., Tensor]] = {
    functional.relu: _relu,
    torch.relu: _relu,
    torch.relu_: _relu,
    Tensor.relu: _relu,
    Tensor.relu_: _relu,
    functional.relu6: _relu6,
    functional.hardtanh: _hardtanh,
    functional.leaky_relu: _leaky_relu,
}
