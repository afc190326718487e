"""Entries of an input that stay as they are: neither noise nor perturbations touch them (docs/theory.md 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from attricert import checks
from attricert.errors import ArgumentError

__all__ = ["Fixed"]

_LARGEST, _SHOWN = 2**53, 12


@final
@dataclass(frozen=True)
class Fixed:
    """Which entries of an input are held fixed: categories and counts of a table, the border of an image.

    Args:
        shape: of one input.
        ranges: of the flattened input, (start, stop) each, ascending and apart.
    """

    shape: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        for length in self.shape:
            checks.count("fixed.shape", length, 1, _LARGEST)
        size, last = math.prod(self.shape), -1
        for start, stop in self.ranges:
            checks.count("fixed.ranges", start, last + 1, _LARGEST)
            last = checks.count("fixed.ranges", stop, start + 1, size)
        if not 0 < self.count < size:
            rule = f"must be some of them, not all, in a mask of one input's shape; this one has {self.shape}"
            raise ArgumentError("fixed", f"{self.count} of {size} entries", rule)

    @classmethod
    def of(cls, mask: npt.ArrayLike) -> Fixed | None:
        """From a mask of one input's shape: True is held fixed. None where nothing is."""
        array = np.asarray(mask.detach().cpu() if hasattr(mask, "detach") else mask)
        if array.dtype != np.bool_ or array.ndim < 1:
            rule = "must be a mask (bool) of one input's shape"
            raise ArgumentError("fixed", f"{array.dtype} of shape {array.shape}", rule)
        if not array.any():
            return None
        steps = np.flatnonzero(np.diff(np.concatenate([[0], array.ravel().astype(np.int8), [0]]))).tolist()
        return cls(array.shape, tuple(zip(steps[::2], steps[1::2], strict=True)))

    @property
    def count(self) -> int:
        """How many entries are held fixed."""
        return sum(stop - start for start, stop in self.ranges)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """True where they are, shape of one input."""
        flat = np.zeros(math.prod(self.shape), dtype=bool)
        for start, stop in self.ranges:
            flat[start:stop] = True
        return flat.reshape(self.shape)

    def words(self, names: Sequence[str] = ()) -> str:
        """Which they are, counted from 0: ``"0, 4 to 6, 9"``; the first few of many.

        Args:
            names: of all entries, to call them by; of another number they are of something else, and play no part.
        """
        if len(names) == math.prod(self.shape):
            held = [names[i] for a, b in self.ranges for i in range(a, b)]
            return ", ".join(held[:_SHOWN]) + (", ..." if len(held) > _SHOWN else "")
        shown = [f"{a}" if b - a == 1 else f"{a} to {b - 1}" for a, b in self.ranges[:_SHOWN]]
        return ", ".join(shown) + (", ..." if len(self.ranges) > _SHOWN else "")

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"shape": list(self.shape), "ranges": [list(pair) for pair in self.ranges]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fixed:
        """From plain values."""
        known = {**values}
        fixed = cls(tuple(known.pop("shape")), tuple((start, stop) for start, stop in known.pop("ranges")))
        if known:
            raise ArgumentError("fixed", sorted(known), "are no fields of it")
        return fixed
