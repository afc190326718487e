"""Models that compute in half precision, as a declared part of what is certified."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from attricert import checks
from attricert.attributions.base import as_module
from attricert.attributions.modules import modules_of
from attricert.errors import ArgumentError

__all__ = ["Autocast", "autocast_of"]


@final
class Autocast(nn.Module):
    """A model that computes in half precision where torch finds that safe; wherever models are taken.

    Weights, inputs, gradients and outputs keep their dtype, convolutions and products are computed in the other one
    (`torch.autocast`). That is another function than the model's own: it is part of what is certified, and the terms of
    a certificate say so. The setting is part of ``state_dict``, and so of a run's fingerprint.

    Args:
        model: a model in float32.
        dtype: ``"bfloat16"``, or ``"float16"``, on CUDA alone.

    Raises:
        ArgumentError: no torch module, or no such dtype; and when it is called, float16 elsewhere than on CUDA.
    """

    def __init__(self, model: nn.Module, dtype: str = "bfloat16") -> None:
        super().__init__()
        self.model = as_module(model)
        self.dtype = checks.half_precision("dtype", dtype)
        self.training = bool(getattr(model, "training", False))  # the model's mode is its own

    def forward(self, inputs: Tensor) -> Any:
        """What the model gives of inputs of shape (n, ...), its floating tensors in the inputs' dtype."""
        device = inputs.device.type
        if self.dtype == "float16" and device != "cuda":
            raise ArgumentError("dtype", self.dtype, f"needs CUDA, and inputs are on {device}; bfloat16 goes there")
        with torch.autocast(device, getattr(torch, self.dtype)):
            output = self.model(inputs)
        return tree_map_only(Tensor, lambda one: one.to(inputs.dtype) if one.is_floating_point() else one, output)

    def get_extra_state(self) -> Tensor:
        """The dtype's name, for ``state_dict``: as a tensor, as files of weights hold nothing else."""
        return torch.tensor(list(self.dtype.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """From a ``state_dict``.

        Raises:
            ArgumentError: it holds something else.
        """
        try:
            self.dtype = checks.half_precision("dtype", bytes(state.tolist()).decode())
        except (ValueError, TypeError, AttributeError) as error:
            raise ArgumentError("state_dict", "Autocast", f"holds no dtype of one ({error})") from None

    def extra_repr(self) -> str:
        """The dtype."""
        return f"dtype={self.dtype!r}"


def autocast_of(*owners: object) -> str | None:
    """The dtype of the `Autocast` models that attribution and classifier hold; None where there is none.

    Raises:
        ArgumentError: they have several.
    """
    parts = (part for module in modules_of(*owners) for part in module.modules())
    found = sorted({part.dtype for part in parts if isinstance(part, Autocast)})
    if len(found) > 1:
        raise ArgumentError("autocast", found, "must be one dtype for all models")
    return found[0] if found else None
