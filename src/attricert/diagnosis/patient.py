"""What is looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attricert.attributions import Attribution, Classifier, is_random, modules_of, name_of
from attricert.datasets import Form
from attricert.errors import AttricertError
from attricert.sampling import COPIES, BatchSize, Free, LookedAt, Sampler
from attricert.streams import Stream
from attricert.units import InputUnits

__all__ = ["Patient"]

_STREAM = Stream(0, "", "doctor")


@final
@dataclass(frozen=True)
class Patient:
    """An attribution, with all that it is to be certified with, and some inputs.

    Args:
        sampler: draws.
        inputs: shape (n, ...).
        targets: one an input, or None.
        batch_size: of the draws, where it is fixed.
        n_samples: draws an input that are reckoned with.
        units: of the inputs; None for what they look like.
        assumed: the noise was not named.
    """

    sampler: Sampler
    inputs: Float[Tensor, "n *features"]
    targets: Tensor | None
    batch_size: int | None
    n_samples: int
    units: InputUnits | None
    assumed: bool

    @property
    def attribution(self) -> Attribution:
        """What is to be certified."""
        return self.sampler.attribution

    @property
    def classifier(self) -> Classifier | None:
        """What predicts, or None."""
        return self.sampler.classifier

    @property
    def owners(self) -> tuple[object, ...]:
        """Who may hold models."""
        return self.attribution, self.classifier

    @cached_property
    def models(self) -> list[nn.Module]:
        """Those that they hold."""
        return modules_of(*self.owners)

    @property
    def target(self) -> Tensor | None:
        """Of the first input."""
        return None if self.targets is None else self.targets[0]

    @cached_property
    def copies(self) -> Tensor:
        """Noisy ones, of the first input."""
        return self.sampler.copies(self.inputs[0], Stream(0, "", "preflight"), COPIES)

    @cached_property
    def free(self) -> Free:
        """The entries of an input that noise touches."""
        return self.sampler.free(self.inputs[0])

    @cached_property
    def functions(self) -> list[LookedAt]:
        """Attribution, and classifier if there is one."""
        found = [LookedAt.attribution(self.attribution, self.target, self.batch_size, self.free)]
        if self.classifier is not None:
            found.append(LookedAt.classifier(self.classifier, self.target, self.batch_size, self.free))
        return found

    @cached_property
    def randomness(self) -> dict[str, float]:
        """By how much equal calls differ, of the roles that do not say that they are random."""
        row = self.copies[:1]
        looked_at = [f for f in self.functions if f.role != "attribution" or not is_random(self.attribution)]
        return {function.role: function.repeated(row, function(row)) for function in looked_at}

    @cached_property
    def single(self) -> bool:
        """Whether the attribution is given one input at a time, or takes no more."""
        if self.batch_size == 1:
            return True
        try:
            self.functions[0](self.copies[:2])
        except AttricertError:
            return True
        return False

    @cached_property
    def shaped(self) -> Sampler:
        """The sampler, for maps of the shape that they have, in batches that can be had."""
        batch = BatchSize(1) if self.single else self.sampler.batch
        return replace(self.sampler, batch=batch).settled(self.inputs[0], self.target)

    @property
    def stream(self) -> Stream:
        """Of the draws that are measured."""
        return _STREAM

    def units_for(self, data_range: tuple[float, float]) -> InputUnits:
        """The units, for inputs that have this range where they are images."""
        if self.units is not None:
            return self.units
        shape = tuple(self.inputs.shape[1:])
        low, high = data_range
        scaled = (self.inputs - low) / (high - low)
        form = Form.of(scaled)
        if form.kind == "columns":
            return InputUnits("columns", shape, deviations=Form.of(self.inputs).deviations or None)
        return InputUnits(form.kind, shape, data_range if form.kind == "image" else (0.0, 1.0))

    def __str__(self) -> str:
        """In a line."""
        who = name_of(self.attribution)
        of = "" if self.classifier is None else f" of {name_of(self.classifier)}"
        n, shape = len(self.inputs), tuple(self.inputs.shape[1:])
        return f"{who}{of}, {n} input{'' if n == 1 else 's'} of shape {shape}, {self.sampler.noise}"

    @cached_property
    def deviation(self) -> float:
        """Of the values that noise is added to."""
        free = self.free
        return float(torch.stack([free.take(x) for x in self.inputs]).double().std(correction=0))
