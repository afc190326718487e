"""Images in memory with their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Dataset", "Labelled", "Survey"]


@final
@dataclass(frozen=True)
class Survey:
    """What one look at all of some data shows.

    Args:
        sha256: of everything.
        reading: how items are read, in words, and how many are; what is left out, or refused, too.
    """

    sha256: str
    reading: Mapping[str, int]


@runtime_checkable
class Dataset(Protocol):
    """Data that may be read item by item."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Where each item comes from; keys its random draws."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Image, shape (channels, height, width), float32 in [0, 1], and label; -1 for none."""
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
    """A sequence of (image, label); fit for `torch.utils.data.DataLoader`.

    Args:
        images: shape (n, channels, height, width), float32 in [0, 1].
        labels: class indices, shape (n,); -1 where there is none.
        ids: where each image comes from, e.g. ``mnist:test:17``; keys its random draws.
        reading: how the images became numbers in [0, 1], in words.
    """

    images: Float[Tensor, "n channels height width"]
    labels: Int[Tensor, " n"]
    ids: tuple[str, ...]
    reading: str = "numbers as they were given"

    def __repr__(self) -> str:
        """In a line: how many, and of which shape."""
        return f"Labelled({len(self)} items of shape {tuple(self.images.shape[1:])})"

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.labels[index])

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        return (self[i] for i in range(len(self)))

    def digest(self) -> str:
        """SHA-256 of images, labels and names."""
        whole = hashlib.sha256("\x1f".join(self.ids).encode())
        for part in (self.images, self.labels):
            whole.update(part.contiguous().numpy().tobytes())
        return whole.hexdigest()

    def survey(self) -> Survey:
        """The same, and how the images were read."""
        return Survey(self.digest(), {self.reading: len(self)})

    def slice(self, start: int | None, stop: int | None) -> Labelled:
        """Items from start to stop, as Python slices go."""
        part = slice(start, stop)
        return Labelled(self.images[part], self.labels[part], self.ids[part], self.reading)

    @classmethod
    def from_bytes(cls, images: Tensor, labels: Tensor, source: str) -> Labelled:
        """From 8-bit images, shape (n, channels, height, width)."""
        ids = tuple(f"{source}:{i}" for i in range(len(images)))
        reading = f"8-bit {'gray' if images.shape[1] == 1 else 'RGB'}, divided by 255"
        return cls(images.to(torch.float32) / 255, labels.to(torch.int64), ids, reading)
