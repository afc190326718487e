"""For the metrics of Quantus (Hedström et al., JMLR 2023), which take explanations as functions of model and inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from attricert import checks
from attricert.errors import ArgumentError
from attricert.smoothed import SmoothedAttribution

__all__ = ["SmoothedExplanation", "explain_func"]


@final
@dataclass(frozen=True)
class SmoothedExplanation:
    """Made by `explain_func`."""

    make: Callable[[nn.Module], SmoothedAttribution]
    n_samples: int = 1_000
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.make, (SmoothedAttribution, nn.Module)) or not callable(self.make):
            rule = "must be a function of the model that gives its SmoothedAttribution, as metrics may change the model"
            raise ArgumentError("make", type(self.make).__name__, rule)
        for name, least in (("n_samples", 1), ("seed", 0)):
            checks.keep(self, **{name: checks.count(name, getattr(self, name), least)})

    def __call__(
        self, model: nn.Module, inputs: npt.ArrayLike, targets: npt.ArrayLike, **others: Any
    ) -> npt.NDArray[Any]:
        """Smoothed maps, as metrics ask for them.

        Args:
            model: the metric's, perhaps with other weights than the user's.
            inputs: shape (n, ...).
            targets: class indices, shape (n,).
            **others: what a metric says beside, such as the device; of no use here.

        Returns:
            Shape (n, ...) of the inputs, but for the number of channels.

        Raises:
            ArgumentError: ``make`` gave something else, or maps do not fit the inputs.
        """
        smoothed = self.make(model)
        if not isinstance(smoothed, SmoothedAttribution):
            raise ArgumentError("make", type(smoothed).__name__, "must give a SmoothedAttribution")
        dtype = next((weights.dtype for weights in model.parameters()), torch.float32)
        given = torch.as_tensor(np.asarray(inputs), dtype=dtype if dtype == torch.float64 else torch.float32)
        # The same draws for all inputs: maps then differ by what inputs differ in, and hardly by chance.
        names = ["quantus"] * len(given)
        maps = smoothed.attribute(
            given, np.asarray(targets), n_samples=self.n_samples, seed=self.seed, sample_ids=names
        ).numpy(force=True)
        if maps.ndim != given.ndim or maps.shape[2:] != given.shape[2:]:
            rule = f"must be maps of the inputs' shape, {tuple(given.shape[1:])}, for the metrics of Quantus"
            raise ArgumentError("attribution", maps.shape[1:], rule)
        return maps


def explain_func(
    make: Callable[[nn.Module], SmoothedAttribution], n_samples: int = 1_000, seed: int = 0
) -> SmoothedExplanation:
    """What the metrics of Quantus take as ``explain_func``: smoothed maps of whatever model they hand over.

    >>> explain = explain_func(lambda model: ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.1)))
    >>> quantus.MaxSensitivity(...)(model=model, x_batch=x, y_batch=y, explain_func=explain, device="cpu")

    All inputs get the same noise, so that metrics see what inputs do to maps, and not what chance does.

    Args:
        make: gives the smoothed attribution of a model.
        n_samples: noisy copies of each input.
        seed: of the keyed streams.
    """
    return SmoothedExplanation(make, n_samples, seed)
