"""Models compiled for batches of one size."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any, final
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn import functional

from attricert.attributions import Attribution, Classifier, logits_of, name_of
from attricert.errors import AttricertError, ComputeWarning
from attricert.sampling.batching import BatchSize
from attricert.sampling.looks import alike
from attricert.text import one_line, shortened

__all__ = ["compiled"]

_WORDS = 200  # characters of what others say
_failed: WeakSet[nn.Module] = WeakSet()  # compiling takes too long to try it twice in a process


def compiled(
    attribution: Attribution,
    classifier: Classifier | None,
    batch: BatchSize,
    maps_of: Callable[[Attribution], Tensor],
) -> tuple[Attribution, Classifier | None]:
    """Attribution and classifier, with the attribution's model compiled where that works and gives the same maps.

    Args:
        attribution: one that is a dataclass with a field ``model``; all others come back as they are.
        classifier: compiled too where it is that model and comes with the maps.
        batch: whose size has been chosen; batches are filled up to it, so that nothing is compiled twice.
        maps_of: the maps that an attribution gives of a few copies.

    Warns:
        ComputeWarning: it does not work; once for each model.
    """
    model = getattr(attribution, "model", None)
    own = getattr(attribution, "__dataclass_fields__", {})
    if "model" not in own or not isinstance(model, nn.Module) or model in _failed:
        return attribution, classifier
    whole: Any = attribution
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of its own tools
            # Torch compiles once for a module and a shape, however often it is asked to.
            whole = dataclasses.replace(whole, model=_OfOneSize(model, batch))
            found = maps_of(whole)
        why = "" if alike(found, maps_of(attribution), attribution) else "it gives other maps then"
    except (AttricertError, RuntimeError) as error:  # scripted models are refused at once
        why = shortened(one_line(str(error.__cause__ or error)), _WORDS)
    if why:
        _failed.add(model)
        text = f"{name_of(model)} cannot be compiled here, and is used as it is ({why})"
        warnings.warn(text, ComputeWarning, stacklevel=2)
        return attribution, classifier
    shared = classifier is model and hasattr(attribution, "with_output")
    return whole, whole.model if shared else classifier


@final
class _OfOneSize(nn.Module):
    """A compiled model that is given batches of one size."""

    def __init__(self, model: nn.Module, batch: BatchSize) -> None:
        super().__init__()
        self.model = torch.compile(model, dynamic=False)
        self.batch = batch
        self.training = False

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([self._given_by(part) for part in torch.split(inputs, self.batch.size)])

    def _given_by(self, part: Tensor) -> Tensor:
        missing = self.batch.size - len(part)
        filled = functional.pad(part, (0, 0) * (part.ndim - 1) + (0, missing)) if missing else part
        return logits_of(self.model(filled))[: len(part)]
