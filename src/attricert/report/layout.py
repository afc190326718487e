"""How maps of a shape are put before people: as a picture of cells, or as entries in rows; claims never grow by it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

from attricert import checks

__all__ = ["KINDS", "Kind", "Layout"]

Array = npt.NDArray[Any]
Kind = Literal["picture", "series", "table"]
KINDS: tuple[Kind, ...] = ("picture", "series", "table")

_NAMED = 64  # entries that are shown by name, one a line
_SQUARE = (16, 4)  # least side, and greatest ratio of sides, of a map (h, w) that is no series (channels, length)
_SLICES = 9  # of a volume


@final
@dataclass(frozen=True)
class Layout:
    """Where the entries of a map are shown.

    Args:
        shape: of one map: (h, w), (channels, h, w), (channels, depth, h, w); (channels, length) or (length,).
        kind: cells of a picture, channels against time, or entries by name.
        block: a cell stands for so many by so many pixels (picture), or so many points (series).
        enlarged: an entry of a picture that is coarser than its input is shown as so many by so many cells.
    """

    shape: tuple[int, ...]
    kind: Kind
    block: int = 1
    enlarged: int = 1

    @classmethod
    def of(
        cls,
        shape: tuple[int, ...],
        cells: int,
        side: int,
        kind: Kind | None = None,
        beside: tuple[int, ...] | None = None,
    ) -> Layout:
        """The usual one.

        Args:
            shape: of one map.
            cells: that there may be, at least 1.
            side: longest side of a picture in cells.
            kind: None for what the shape suggests.
            beside: shape of the picture that is shown beside it, or None.
        """
        if kind is not None:
            checks.known("kind", kind, KINDS)
        found = kind or _kind(shape, beside)
        whole = cls(shape, "series" if found == "picture" and len(shape) < 2 else found)
        height, width = whole.size
        if whole.kind == "picture":
            block = max(-(-max(height, width) // side), math.ceil(math.sqrt(height * width / cells)))
            room = min(side, math.isqrt(cells), 0 if beside is None else max(beside[-2:]))
            return cls(shape, whole.kind, block, max(1, room // max(height, width)) if block == 1 else 1)
        return cls(shape, whole.kind, max(1, -(-height * width // cells)) if whole.kind == "series" else 1)

    @property
    def size(self) -> tuple[int, int]:
        """Of the picture in cells (height, width), or (channels, points)."""
        height, width = self._whole
        if self.enlarged > 1:
            return height * self.enlarged, width * self.enlarged
        return (-(-height // self.block) if self.kind == "picture" else height), -(-width // self.block)

    @property
    def cells(self) -> int:
        """How many there are."""
        height, width = self.size
        return height * width

    @property
    def channels(self) -> int:
        """Entries that a pixel has."""
        return self.shape[0] if self.kind == "picture" and len(self.shape) > 2 else 1

    @property
    def slices(self) -> tuple[int, ...]:
        """Those of a volume that are shown; empty for all else."""
        if self.kind != "picture" or len(self.shape) < 4:
            return ()
        depth = math.prod(self.shape[1:-2])
        return tuple(np.unique(np.linspace(0, depth - 1, min(depth, _SLICES)).round().astype(int)).tolist())

    def total(self, values: Array) -> Array:
        """The sum over a pixel's channels, shape `_whole`: bounds on entries give bounds on it, all holding at once."""
        return np.asarray(self._stacked(values).sum(axis=0))

    def anywhere(self, values: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Whether it is so of any of a pixel's channels."""
        return np.asarray(self._stacked(values).any(axis=0))

    def mean(self, values: Array) -> Array:
        """Of what `total` gives, the mean over each cell; shape `size`."""
        ones = self._reduced(np.ones(self._whole), np.add)
        return np.asarray(self._reduced(values, np.add) / ones)

    def least(self, values: Array) -> Array:
        """The least over each cell."""
        return self._reduced(values, np.minimum)

    def most(self, values: Array) -> Array:
        """The largest over each cell."""
        return self._reduced(values, np.maximum)

    def stacked(self, images: Array) -> Array:
        """An input with its channels first and its slices side by side, shape (channels, *`_whole`)."""
        return self._stacked(images)

    @property
    def _whole(self) -> tuple[int, int]:
        """The size before pixels are put together to cells."""
        if self.kind == "table":
            return 1, math.prod(self.shape)
        if self.kind == "series":
            return math.prod(self.shape[:-1]), self.shape[-1]
        if not self.slices:
            return self.shape[-2], self.shape[-1]
        rows, columns = _tiles(len(self.slices))
        return rows * self.shape[-2], columns * self.shape[-1]

    def _stacked(self, values: Array) -> Array:
        if self.kind != "picture":
            return values.reshape(1, *self._whole)
        height, width = self.shape[-2:]
        if not self.slices:
            return values.reshape(-1, height, width)
        volume = values.reshape(self.shape[0], -1, height, width)[:, list(self.slices)]
        rows, columns = _tiles(len(self.slices))
        empty = rows * columns - len(self.slices)
        full = np.concatenate([volume, np.zeros((len(volume), empty, height, width), values.dtype)], axis=1)
        tiles = full.reshape(len(volume), rows, columns, height, width).swapaxes(2, 3)
        return tiles.reshape(len(volume), rows * height, columns * width)

    def _reduced(self, values: Array, how: np.ufunc) -> Array:
        if self.enlarged > 1:
            return np.repeat(np.repeat(values, self.enlarged, axis=0), self.enlarged, axis=1)
        if self.block == 1:
            return values
        rows, columns = (np.arange(0, n, self.block) for n in values.shape)
        return np.asarray(
            how.reduceat(how.reduceat(values, rows, axis=0) if self.kind == "picture" else values, columns, axis=1)
        )


def _kind(shape: tuple[int, ...], beside: tuple[int, ...] | None) -> Kind:
    if beside is not None and len(shape) > 1 and min(shape[-2:]) > 1:
        return "picture"
    if len(shape) < 2:
        return "table" if math.prod(shape) <= _NAMED else "series"
    low, high = sorted(shape[-2:])
    if len(shape) > 2:
        return "picture" if low > 1 else "series"
    return "picture" if low >= _SQUARE[0] and high <= _SQUARE[1] * low else "series"


def _tiles(count: int) -> tuple[int, int]:
    """Rows and columns in which so many slices are put."""
    columns = math.ceil(math.sqrt(count))
    return -(-count // columns), columns
