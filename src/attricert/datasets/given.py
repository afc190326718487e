"""Objects of a user's own as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from attricert.datasets.arrays import of_arrays, of_mapping
from attricert.datasets.labelled import Dataset, Labelled
from attricert.datasets.reading import Reading
from attricert.datasets.tables import is_frame, of_frame
from attricert.errors import ArgumentError
from attricert.text import told

__all__ = ["as_data"]

_MOST = 3  # inputs, labels, names
_RULE = (
    "must be inputs (an array or a tensor), a tuple (inputs, labels, names) or a dict of these, a data frame, a torch "
    "Dataset of (input, label), or an attricert.datasets.Labelled"
)


def as_data(given: Any, data: str, reading: Reading | None = None) -> Dataset:
    """What a user has at hand, as data.

    Args:
        given: inputs; a tuple of inputs, labels and names (one an input; the last two may be left out, or None); a
            mapping of these; a data frame; a map-style torch Dataset of (input, label), all of which is read; or data.
        data: its name, for messages and for rows without names.
        reading: which columns of a data frame are labels, names, or left out.

    Raises:
        ArgumentError: it is something else.
    """
    reading = reading or Reading()
    source = data.rpartition("/")[2]
    if is_frame(given):
        return of_frame(given, reading, data, source)
    reading.only(data="this")
    if isinstance(given, Dataset):
        return given
    if isinstance(given, Mapping):
        return of_mapping({str(key): value for key, value in given.items() if value is not None}, data, source)
    if isinstance(given, torch.utils.data.Dataset):
        return _of_dataset(given, data, source)
    if isinstance(given, tuple) and 1 <= len(given) <= _MOST:
        inputs, labels, names = (*given, None, None)[:_MOST]
        return of_arrays(inputs, data, source, labels, names)
    if isinstance(given, torch.Tensor) or hasattr(given, "__array__"):
        return of_arrays(given, data, source)
    raise ArgumentError("data", data, f"{_RULE}, not {type(given).__name__}")


def _of_dataset(given: Any, data: str, source: str) -> Labelled:
    """Every item, once."""
    if not hasattr(given, "__len__") or not hasattr(given, "__getitem__"):
        raise ArgumentError("data", data, f"{_RULE}; this one has no length, or no items by number")
    inputs, labels = [], []
    for i in range(len(given)):
        try:
            item = given[i]
            x, y = item if isinstance(item, (tuple, list)) else (item, -1)
            inputs.append(torch.as_tensor(x))
            labels.append(int(y))
        except Exception as error:
            raise ArgumentError("data", data, f"item {i} must be (input, label): {told(error)}") from error
    shapes = {tuple(x.shape) for x in inputs}
    if len(shapes) != 1:
        raise ArgumentError("data", data, f"items must have one shape, not {sorted(shapes)[:_MOST]}")
    classes = getattr(given, "classes", None)
    named = isinstance(classes, (list, tuple)) and all(isinstance(one, str) for one in classes)
    return of_arrays(torch.stack(inputs), data, source, torch.tensor(labels), classes=classes if named else None)
