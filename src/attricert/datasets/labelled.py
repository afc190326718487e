"""Inputs in memory with their labels; and what is known of data as a whole."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, final, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attricert import checks
from attricert.datasets.form import Form

__all__ = ["Dataset", "Labelled", "Survey"]


@final
@dataclass(frozen=True)
class Survey:
    """What one look at all of some data shows.

    Args:
        sha256: of everything.
        reading: how items are read, in words, and how many are; what is left out, or refused, too.
        form: what they are.
    """

    sha256: str
    reading: Mapping[str, int]
    form: Form = field(default_factory=Form)


@runtime_checkable
class Dataset(Protocol):
    """Data that may be read item by item."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Where each item comes from; keys its random draws."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Input, of one shape for all, and label; -1 for none. Images are (channels, height, width), in [0, 1]."""
        ...

    def digest(self) -> str:
        """SHA-256 of everything."""
        ...

    def survey(self) -> Survey:
        """The same, and how items are read."""
        ...


@final
@dataclass(frozen=True, eq=False)
class Labelled:
    """A sequence of (input, label); fit for `torch.utils.data.DataLoader`.

    Args:
        inputs: shape (n, ...), float32 or float64: images (n, channels, height, width) in [0, 1], tables (n, columns),
            series (n, channels, length), or anything else.
        labels: class indices, shape (n,); -1 where there is none.
        ids: where each input comes from, e.g. ``mnist:test:17``; keys its random draws.
        reading: how the inputs became numbers, in words.
        form: what they are; None for what they look like (`Form.of`).
    """

    inputs: Float[Tensor, "n *shape"]
    labels: Int[Tensor, " n"]
    ids: tuple[str, ...]
    reading: str = "numbers as they were given"
    form: Form = None  # type: ignore[assignment]  # None stands for what they look like, until the constructor has looked

    def __post_init__(self) -> None:
        if self.form is None:
            checks.keep(self, form=Form.of(self.inputs))

    def __repr__(self) -> str:
        """In a line: how many, and of which shape."""
        return f"Labelled({len(self)} items of shape {tuple(self.inputs.shape[1:])})"

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.inputs[index], int(self.labels[index])

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        return (self[i] for i in range(len(self)))

    @property
    def images(self) -> Tensor:
        """The inputs, where they are images."""
        return self.inputs

    def digest(self) -> str:
        """SHA-256 of inputs, labels and names."""
        whole = hashlib.sha256("\x1f".join(self.ids).encode("utf-8", "surrogatepass"))
        for part in (self.inputs, self.labels):
            whole.update(part.contiguous().cpu().numpy().tobytes())
        if self.form.kind != "image" or self.form.classes:
            about = [str(self.inputs.dtype), list(self.inputs.shape), self.form.names, self.form.classes]
            whole.update(json.dumps(about).encode())
        return whole.hexdigest()

    def survey(self) -> Survey:
        """The same, and how the inputs were read."""
        return Survey(self.digest(), {self.reading: len(self)}, self.form)

    def slice(self, start: int | None, stop: int | None) -> Labelled:
        """Items from start to stop, as Python slices go; columns keep the standard deviations of the whole."""
        part = slice(start, stop)
        return dataclasses.replace(self, inputs=self.inputs[part], labels=self.labels[part], ids=self.ids[part])

    @classmethod
    def from_bytes(cls, images: Tensor, labels: Tensor, source: str) -> Labelled:
        """From 8-bit images, shape (n, channels, height, width)."""
        ids = tuple(f"{source}:{i}" for i in range(len(images)))
        reading = f"8-bit {'gray' if images.shape[1] == 1 else 'RGB'}, divided by 255"
        return cls(images.to(torch.float32) / 255, labels.to(torch.int64), ids, reading, Form("image"))
