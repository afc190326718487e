"""Models that are no torch modules, such as those of scikit-learn and XGBoost, as modules that give class scores."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from attricert.errors import ArgumentError

__all__ = ["BlackBox", "as_module"]


@final
class BlackBox(nn.Module):
    """A model that takes arrays: its ``predict_proba``, or its own scores if it is a function.

    Args:
        model: it; its fingerprint is that of all it consists of.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._scores = getattr(model, "predict_proba", model)
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores of shape (n, classes), in float64."""
        return torch.from_numpy(np.asarray(self._scores(inputs.detach().cpu().numpy()), dtype=np.float64))

    def get_extra_state(self) -> Any:
        """What stands in the place of weights."""
        return self.model

    def set_extra_state(self, state: Any) -> None:
        """Nothing: the model comes with its constructor."""


def as_module(model: Any, name: str) -> nn.Module:
    """A torch module as it is, and other classifiers as a `BlackBox`.

    Args:
        model: what was given.
        name: under which.

    Raises:
        ArgumentError: it is no classifier.
    """
    if isinstance(model, nn.Module):
        return model
    if isinstance(model, type) or not (hasattr(model, "predict_proba") or callable(model)):
        rule = "must be a torch.nn.Module, or have predict_proba, or be a function that gives class scores of arrays"
        raise ArgumentError("model", name, f"{rule}, not {type(model).__name__}")
    return BlackBox(model)
