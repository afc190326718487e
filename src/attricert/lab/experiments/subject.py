"""What a measurement is made on: a model, one input, and the class that is explained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import final

from jaxtyping import Float, Int
from torch import Tensor, nn

from attricert import datasets, models
from attricert.attributions import scores_of
from attricert.lab.experiments.bench import Measurement

__all__ = ["Subject", "slices", "subject"]


@final
@dataclass(frozen=True)
class Subject:
    """A model and one input.

    Args:
        model: in eval mode.
        inputs: a batch of one.
        target: the predicted class.
        id: the input's name, which keys its draws.
    """

    model: nn.Module
    inputs: Float[Tensor, "1 *features"]
    target: Int[Tensor, "1"]
    id: str


def subject(job: Measurement) -> Subject:
    """Load what a measurement is of."""
    model, data = _model(job.model), datasets.parse(job.data)
    inputs = data.images[:1]
    target = scores_of(model, inputs).argmax(dim=1)
    return Subject(model, inputs, target, data.ids[0])


def slices(data: str, inputs: int) -> list[str]:
    """The first inputs of a test split, one by one."""
    return [f"{data}:test[{i}:{i + 1}]" for i in range(inputs)]


@cache
def _model(name: str) -> nn.Module:
    return models.load(name)
