"""What a config stands for, loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from attricert.attributions import ATTRIBUTIONS, Attribution, Classifier, scores_of
from attricert.datasets import Form
from attricert.errors import ArgumentError
from attricert.runs.black_box import BlackBox, as_module
from attricert.runs.config import Config, parameters_of
from attricert.runs.loading import fitted, input_dtype, load_array, load_attribution, load_device, load_model
from attricert.runs.objects import NOTHING, Objects, is_object
from attricert.runs.rows import Row
from attricert.sampling import Compute
from attricert.smoothed import SmoothedAttribution
from attricert.tabular import Standardized

__all__ = ["LoadedConfig"]

_NO_CLASS = "none"
_ACCELERATOR_BATCH = 256  # not chosen from what memory is free, so that all workers compute the same sums


@final
@dataclass(frozen=True)
class LoadedConfig:
    """What a config stands for, loaded.

    Args:
        config: the config.
        model: on the device.
        attribution: the attribution.
        functionals: weights or label map, or None.
        device: the device.
    """

    config: Config
    model: nn.Module
    attribution: Attribution
    functionals: npt.NDArray[np.generic] | None
    device: torch.device

    @classmethod
    def load(cls, config: Config, device: str | None = None, objects: Objects = NOTHING) -> LoadedConfig:
        """Load model and attribution, or take those given; on another device of the same kind, if one is named."""
        where = load_device(config.device if device is None else device)
        given = is_object(config.model)
        named = _given(objects, config.model, where) if given else load_model(config.model)
        fit = fitted(named, config.mean, config.std, config.output, config.autocast)
        model = fit if given else fit.to(where)
        functionals = load_array("functionals", config.functionals)
        if is_object(config.attribution):
            attribution = objects.wanted("attribution", config.attribution)
        else:
            attribution = load_attribution(config.attribution, model, parameters_of(ATTRIBUTIONS, config.parameters))
        return cls(config, model, attribution, functionals, where)

    @property
    def input_dtype(self) -> str | None:
        """In which precision the model takes its inputs; None for as they are."""
        return input_dtype(self.model)

    @property
    def table(self) -> Standardized | None:
        """The attribution, if it is one of standardized rows of a table; inputs are then raw rows."""
        return self.attribution if isinstance(self.attribution, Standardized) else None

    @property
    def classifier(self) -> Classifier | None:
        """The model, as a function of `inputs`; None where its output is a number and no class.

        Raises:
            ArgumentError: the attribution is of standardized rows, and the model takes tensors.
        """
        if self.config.target == _NO_CLASS:
            return None
        if self.table is None:
            return self.model
        if not isinstance(self.model, BlackBox):
            rule = "must have predict_proba, or be a function of rows, for an attribution that is Standardized"
            raise ArgumentError("model", type(self.model).__name__, rule)
        return self.table.scores(self.model.model)

    def inputs(self, values: Tensor) -> Tensor:
        """Inputs as they are explained: rows of a table standardized, where the attribution is of such, all else as is.

        Args:
            values: shape (n, ...), as the data have them.
        """
        return (values if self.table is None else self.table.standardized(values)).to(self.device)

    def form(self, given: Form) -> Form:
        """What inputs are as they are explained.

        Args:
            given: what they are as the data have them.

        Raises:
            ArgumentError: they are not the columns of the table that the attribution is of.
        """
        return given if self.table is None else self.table.form(given)

    def predicted(self, images: Tensor) -> Tensor:
        """The model's classes of inputs that are as they are explained, on the CPU; -1 where there are none."""
        classifier = self.classifier
        if classifier is None:
            return torch.full((len(images),), -1)
        parts = [scores_of(classifier, part.to(self.device)).argmax(dim=1) for part in torch.split(images, 256)]
        return torch.cat(parts).cpu()

    def smoothed(self) -> SmoothedAttribution:
        """The smoothed attribution."""
        c = self.config
        on_cpu = self.device.type == "cpu"
        return SmoothedAttribution(
            self.attribution,
            c.smoothing_noise(),
            c.structural_bound(),
            classifier=self.classifier,
            antithetic=c.antithetic,
            batch_size=_ACCELERATOR_BATCH if c.batch_size is None and not on_cpu else c.batch_size,
            compute=Compute(channels_last=c.channels_last, compile=c.compile),
        )

    def target(self, labels: Tensor, predicted: Tensor) -> Tensor | None:
        """The classes to explain; None for a model's only output."""
        choice = self.config.target
        if choice == _NO_CLASS:
            return None
        if choice == "predicted":
            return predicted
        if choice == "label":
            if bool((labels < 0).any()):
                raise ArgumentError("target", choice, "this data has no labels; use predicted or a class number")
            return labels
        if not choice.isdecimal():
            raise ArgumentError("target", choice, "must be predicted, label, none, or a class number")
        return torch.full_like(predicted, int(choice))

    def stored_targets(self, rows: Sequence[Row]) -> Tensor | None:
        """What `target` gave when these rows were made."""
        targets = torch.tensor([row.facts["target"] for row in rows], device=self.device)
        return None if self.config.target == _NO_CLASS else targets


def _given(objects: Objects, name: str, where: torch.device) -> nn.Module:
    """A module of somebody else's, which is left where it is."""
    model = as_module(objects.wanted("model", name), name)
    for weight in model.parameters():
        if weight.device.type != where.type:
            raise ArgumentError("device", str(where), f"the model is on {weight.device}; move it, or name that device")
    return model
