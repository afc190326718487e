"""What an l2 size eps amounts to in each input value, in words that people know.

An l2 size grows with the square root of the number of values. Spread evenly over d of them, it moves each by
eps / sqrt(d): that is what is put into grey levels, or standard deviations, here. No perturbation needs to be spread
so; it is a measure, not a restriction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
import numpy.typing as npt

from attricert import checks
from attricert.errors import ArgumentError
from attricert.rounding import short

__all__ = ["InputUnits", "Landmark", "perturbation"]

_LEVELS = 255  # steps of an 8-bit value
_MOST = 10**9  # values of a perturbation
_DIGITS = 3  # significant ones of what is shown
_ROUNDING = "8-bit rounding"
# Root mean square over the values of an image, in levels, of what Pillow's JPEG at quality 95 does: medians over the 20
# photographs of `attricert.datasets`, made smaller to sides from 32 to 224. Grey: 1.7 to 1.9. In colour, whose planes
# JPEG halves in size: 5.9 at 32, 4.5 at 64, 3.5 at 128, 2.7 at 224 (single ones from 1.3 to 20).
_JPEG = {1: 1.9, 3: 4.0}
_FRACTIONS = {
    0.1: "a tenth of",
    0.2: "a fifth of",
    0.25: "a quarter of",
    1 / 3: "a third of",
    0.5: "half of",
    2 / 3: "two thirds of",
    0.75: "three quarters of",
    1.0: "as much as",
    1.5: "one and a half times",
    2.0: "twice",
    3.0: "three times",
    4.0: "four times",
    5.0: "five times",
    10.0: "ten times",
}


@final
@dataclass(frozen=True)
class Landmark:
    """A change of the input that people know.

    Args:
        name: what it is.
        eps: its l2 size, in input units.
    """

    name: str
    eps: float


@final
@dataclass(frozen=True)
class InputUnits:
    """The units of a model's input.

    Args:
        kind: ``"image"``, ``"columns"`` (a row of a table), or ``"other"``.
        shape: of one input, images as (channels, height, width) or (height, width); or how many values it has.
        data_range: smallest and largest value of an image.
        deviations: of columns, one standard deviation each, in input units; None where inputs are standardized already.
        held: how many of the values are held fixed: they count for nothing.

    Raises:
        ArgumentError: a bad value, or one that does not go with the kind.
    """

    kind: Literal["image", "columns", "other"]
    shape: int | tuple[int, ...]
    data_range: tuple[float, float] = (0.0, 1.0)
    deviations: tuple[float, ...] | None = None
    held: int = 0

    def __post_init__(self) -> None:
        checks.known("kind", checks.text("kind", self.kind), ("image", "columns", "other"))
        shape = _sizes(self.shape)
        checks.count("held", self.held, 0, math.prod(shape) - 1)
        checks.keep(self, shape=shape, data_range=checks.data_range("data_range", self.data_range))
        if self.deviations is not None:
            found = checks.nonnegative_values("deviations", self.deviations)
            if self.kind != "columns":
                raise ArgumentError("deviations", self.deviations, "goes with columns")
            if found.shape != (math.prod(shape),) or not found.all():
                raise ArgumentError("deviations", self.deviations, f"must be {math.prod(shape)} numbers > 0")
            checks.keep(self, deviations=tuple(found.tolist()))

    @property
    def dimension(self) -> int:
        """d, values of one input that may change."""
        return math.prod(_sizes(self.shape)) - self.held

    def rms(self, eps: float) -> float:
        """The root mean square over the input's values, in input units: eps / sqrt(d).

        Args:
            eps: l2 size, >= 0, in input units.
        """
        return _size(eps) / math.sqrt(self.dimension)

    def levels(self, eps: float) -> float:
        """The same in levels of 8 bits, 255 of which are the range of the data; of images alone.

        Args:
            eps: l2 size, >= 0, in input units.
        """
        if self.kind != "image":
            raise ArgumentError("kind", self.kind, "has no levels; images have")
        return self.rms(eps) / self._level

    def in_deviations(self, eps: float) -> float:
        """The root mean square of each column's shift in its standard deviations, if all columns shift by the same.

        Args:
            eps: l2 size, >= 0, in input units.
        """
        if self.kind != "columns":
            raise ArgumentError("kind", self.kind, "has no standard deviations; columns have")
        inverse = 1.0 if self.deviations is None else float(np.sqrt(np.mean(np.array(self.deviations) ** -2.0)))
        return self.rms(eps) * inverse

    def amount(self, eps: float) -> str:
        """How much it is, rounded down: ``"1.73 of 255 grey levels"``.

        Args:
            eps: l2 size, >= 0, in input units.
        """
        if self.kind == "image":
            return f"{_shown(self.levels(eps))} of {_LEVELS} {'grey ' if self._channels == 1 else ''}levels"
        if self.kind == "columns":
            return f"{_shown(self.in_deviations(eps))} standard deviations"
        return f"{_shown(self.rms(eps))} input units"

    def words(self, eps: float) -> str:
        """A short phrase: ``"eps 0.19 = 1.73 of 255 grey levels in every pixel (root mean square)"``.

        Args:
            eps: l2 size, >= 0, in input units.
        """
        return f"eps {_size(eps)!r} = {self.spread(eps)}"

    def spread(self, eps: float) -> str:
        """The same without eps: ``"1.73 of 255 grey levels in every pixel (root mean square)"``.

        Args:
            eps: l2 size, >= 0, in input units.
        """
        place = {"columns": "column", "other": "value"}.get(
            self.kind, "pixel" if self._channels == 1 else "pixel value"
        )
        free = " that may change" if self.held else ""
        return f"{self.amount(eps)} in every {place}{free} (root mean square)"

    def note(self, eps: float) -> str:
        """`words`, and beside it what rounding to 8 bits does by itself, for images.

        Args:
            eps: l2 size, >= 0, in input units.
        """
        known = [
            f"; {mark.name} alone is eps {_shown(mark.eps)}" for mark in self.landmarks() if mark.name == _ROUNDING
        ]
        return "".join([self.words(eps), *known])

    def landmarks(self) -> tuple[Landmark, ...]:
        """What users know at this shape, with its l2 size; empty for other inputs.

        Of images: rounding to 8 bits (errors uniform within half a level either way: a root mean square of a level
        over sqrt(12)), one level of brightness in every value, and what JPEG at quality 95 typically does to
        photographs, which is measured (some 1.9 levels in grey, 4 in colour; where the channels are known).
        """
        root = math.sqrt(self.dimension)
        if self.kind == "image":
            level = self._level * root
            known = [Landmark(_ROUNDING, level / math.sqrt(12)), Landmark("one level of brightness", level)]
            if self._channels in _JPEG:
                known.append(Landmark("JPEG at quality 95 (typical)", _JPEG[self._channels] * level))
            return tuple(known)
        if self.kind == "columns":
            whole = root if self.deviations is None else math.hypot(*self.deviations)
            return (
                Landmark("a tenth of a standard deviation in every column", whole / 10),
                Landmark("a standard deviation in every column", whole),
            )
        return ()

    def compared(self, eps: float) -> str:
        """Set beside the nearest landmark: ``"about a third of one level of brightness"``; empty if there is none.

        Args:
            eps: l2 size, >= 0, in input units.
        """
        size, marks = _size(eps), self.landmarks()
        if not marks:
            return ""
        if size == 0:
            return "no change"
        mark = min(marks, key=lambda known: abs(math.log(size / known.eps)))
        ratio = size / mark.eps
        if ratio < min(_FRACTIONS):
            return f"less than a tenth of {mark.name}"
        if ratio > max(_FRACTIONS):
            return f"more than ten times {mark.name}"
        near = min(_FRACTIONS, key=lambda known: abs(math.log(ratio / known)))
        return f"about {_FRACTIONS[near]} {mark.name}"

    @property
    def _channels(self) -> int | None:
        """Of images whose shape is known."""
        sizes = _sizes(self.shape)
        return {2: 1, 3: sizes[0]}.get(len(sizes))

    @property
    def _level(self) -> float:
        """One of 255, in input units."""
        low, high = self.data_range
        return (high - low) / _LEVELS


def perturbation(shape: int | Sequence[int], eps: float, seed: int = 0) -> npt.NDArray[np.float64]:
    """A random perturbation of exactly that l2 size (up to rounding), in a uniform direction: to see what one is like.

    Args:
        shape: of one input, or how many values it has.
        eps: l2 size, >= 0, in input units.
        seed: the same one gives the same perturbation.

    Returns:
        The perturbation, in that shape.
    """
    sizes, size = _sizes(shape), _size(eps)
    if math.prod(sizes) > _MOST:
        raise ArgumentError("shape", shape, f"must have at most {_MOST:,} values")
    key = checks.count("seed", seed, 0, 2**64 - 1)
    direction = np.random.Generator(np.random.Philox(key=key)).standard_normal(sizes)
    return np.asarray(direction * (size / np.linalg.norm(direction)))


def _sizes(shape: object) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else shape
    if not isinstance(sizes, Sequence) or isinstance(sizes, str) or not sizes:
        raise ArgumentError("shape", shape, "must be an integer >= 1, or a tuple of such")
    return tuple(checks.count("shape", size, 1, 2**53) for size in sizes)


def _size(eps: object) -> float:
    if isinstance(eps, (bool, np.bool_)) or not isinstance(eps, (int, float, np.number)):
        raise ArgumentError("eps", eps, "must be a finite number >= 0")
    return float(checks.nonnegative_values("eps", eps))


def _shown(value: float) -> str:
    """Some significant digits, rounded down, without an exponent unless it is tiny or huge."""
    return f"{float(short(value, 'down', _DIGITS)):.{_DIGITS}g}"
