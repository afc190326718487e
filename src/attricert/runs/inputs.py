"""Inputs of a run as they are read: those that have the shape of the first, and reasons for the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attricert.datasets import Dataset
from attricert.errors import AttricertError
from attricert.runs.rows import Row, Unit

__all__ = ["first_unit", "units"]

_OF_IMAGES = 3  # dimensions


def units(items: Dataset, positions: Sequence[int], shape: tuple[int, ...] | None = None) -> Iterator[Unit | Row]:
    """Inputs as they are read, or the rows of those that cannot be taken.

    Args:
        items: all of the run's data.
        positions: which of them.
        shape: that of the first input that can be read, which all must have; None takes any.
    """
    names = items.ids
    for position in positions:
        try:
            image, label = items[position]
        except AttricertError as error:
            yield Row.failed(position, names[position], str(error))
            continue
        if shape is None or tuple(image.shape) == shape:
            yield Unit(position, names[position], image, label)
        else:
            yield Row.failed(position, names[position], _other_shape(tuple(image.shape), shape))


def first_unit(items: Dataset) -> Unit | None:
    """The first input that can be read, whose shape is the run's; None where none can be."""
    return next((unit for unit in units(items, range(len(items))) if isinstance(unit, Unit)), None)


def _other_shape(shape: tuple[int, ...], first: tuple[int, ...]) -> str:
    reason = f"its shape is {shape}, that of the first input {first}"
    if not len(shape) == len(first) == _OF_IMAGES:
        return reason
    if shape[0] != first[0]:
        reason += (
            f"; it has {_channels(shape[0])}, the first {_channels(first[0])}: give images of one kind (gray or RGB)"
        )
    return reason if shape[1:] == first[1:] else f"{reason}; --size gives images one size"


def _channels(count: int) -> str:
    return f"{count} channel{'' if count == 1 else 's'}"
