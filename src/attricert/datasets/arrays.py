"""Arrays as data: what a .npy or .npz file holds, or a user's own code gives."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from attricert.datasets.form import Form
from attricert.datasets.labelled import Labelled
from attricert.errors import ArgumentError, IntegrityError
from attricert.files import parse_array, read_regular
from attricert.text import one_line, printable

__all__ = ["beyond_float64", "labels_of", "names_of", "of_arrays", "of_mapping", "read_arrays"]

Array = npt.NDArray[Any]

_LARGEST, _MEMBERS = 2**31, 1_000  # bytes of a file, packed or not, and arrays in it
_SHOWN = 60  # characters of a value that is refused
_KEYS = {
    "inputs": ("inputs", "x", "X", "images", "data"),
    "labels": ("labels", "y"),
    "ids": ("ids", "names"),
    "columns": ("columns", "channels"),
    "classes": ("classes",),
}
_RULE = (
    "must hold inputs (or x, X, images, data) and may hold labels (or y), ids (or names: one an input), columns (or "
    "channels: their names), classes"
)


def read_arrays(path: Path, data: str) -> Labelled:
    """A .npy file of inputs, or a .npz file of inputs, labels and names.

    Args:
        path: the file.
        data: as it was named.

    Raises:
        ArgumentError: it cannot be read, or is of something else.
    """
    try:
        content = read_regular(path.resolve(), _LARGEST)
        if path.suffix.lower() == ".npy":
            return of_arrays(parse_array(content), data, path.name)
        return of_mapping(_members(content), data, path.name)
    except (OSError, ValueError, IntegrityError) as error:
        if isinstance(error, ArgumentError):
            raise
        rule = f"must be a readable {path.suffix} file ({one_line(str(error))})"
        raise ArgumentError("data", data, rule) from None


def _members(content: bytes) -> dict[str, Array]:
    """The arrays of a .npz file, which does not unpack to more than is read."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            listed = packed.infolist()
            if len(listed) > _MEMBERS or sum(one.file_size for one in listed) > _LARGEST:
                raise ValueError("unpacks to more than is read")
            names = [one.filename.removesuffix(".npy") for one in listed]
            if len(set(names)) < len(names):
                raise ValueError("an array comes twice")
            return {name: parse_array(packed.read(one)) for name, one in zip(names, listed, strict=True)}
    except ValueError:
        raise
    except Exception as error:  # unpackers have errors of their own: BadZipFile, zlib.error, LZMAError, ...
        raise ValueError(str(error) or type(error).__name__) from None


def of_mapping(given: Mapping[str, Any], data: str, source: str) -> Labelled:
    """Inputs, labels and names, by name.

    Args:
        given: as `read_arrays` says.
        data: as the data were named.
        source: names rows that have no names.

    Raises:
        ArgumentError: there are other names, or no inputs.
    """
    found: dict[str, Any] = {}
    for key, value in given.items():
        meant = next((name for name, keys in _KEYS.items() if key in keys), None)
        if meant is None or meant in found:
            held = ", ".join(printable(str(one)) for one in given)
            raise ArgumentError("data", data, f"{_RULE}; it holds {held}")
        found[meant] = value
    if "inputs" not in found:
        raise ArgumentError("data", data, f"{_RULE}; it holds {', '.join(map(printable, given)) or 'nothing'}")
    return of_arrays(data=data, source=source, **found)


def of_arrays(
    inputs: Any,
    data: str,
    source: str,
    labels: Any = None,
    ids: Any = None,
    columns: Any = None,
    classes: Any = None,
) -> Labelled:
    """Inputs and what is known of them.

    Args:
        inputs: a tensor or an array, shape (n, ...).
        data: as the data were named.
        source: names rows that have no names.
        labels: class indices (-1 for none), or names of classes; shape (n,).
        ids: n names.
        columns: names of columns, or of channels.
        classes: names of the classes 0, 1, ...

    Raises:
        ArgumentError: they do not go together.
    """
    values, words = _numbers(inputs, data)
    n = len(values)
    found, told = (None, ()) if labels is None else labels_of(_plain(labels), n, data)
    known = tuple(_texts(classes, data, "classes")) if classes is not None else told
    if found is not None and known and int(found.max()) >= len(known):
        raise ArgumentError("data", data, f"has label {int(found.max())}, but names of {len(known)} classes")
    names = tuple(_texts(columns, data, "columns")) if columns is not None else ()
    try:
        form = Form.of(values, names, known)
    except ArgumentError as error:
        raise ArgumentError("data", data, str(error)) from None
    which = torch.full((n,), -1) if found is None else found
    rows = [f"{source}:{i}" for i in range(n)] if ids is None else _plain(ids)
    return Labelled(values, which, names_of(rows, n, data), words, form)


def _numbers(inputs: Any, data: str) -> tuple[torch.Tensor, str]:
    """Inputs in float32 or float64, without loss; and how they came to be."""
    array = np.asarray(_plain(inputs))
    rule = "inputs must be an array of numbers, of shape (inputs, ...)"
    if array.ndim < 2 or array.size == 0:
        raise ArgumentError("data", data, f"{rule}, not empty; it has shape {array.shape}")
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind in "iub" and array.ndim > 2:
        raise ArgumentError("data", data, f"holds {array.dtype}: divide images by 255 first, so that inputs are floats")
    if kind not in "fiub" or (kind == "f" and size > 8):
        raise ArgumentError("data", data, f"{rule}; it holds {array.dtype}")
    if kind in "iu" and beyond_float64(array):
        raise ArgumentError("data", data, "has integers beyond 2^53, which float64 cannot hold")
    wide = size > 4 or kind in "iub"
    values = np.array(array, dtype=np.float64 if wide else np.float32, order="C")
    if bad := np.argwhere(~np.isfinite(values)).tolist():
        place = ", ".join(map(str, bad[0]))
        raise ArgumentError("data", data, f"has {values[tuple(bad[0])]} at [{place}], {len(bad)} such; must be finite")
    return torch.from_numpy(values), f"{array.dtype.name} numbers as they are"


def labels_of(values: Array | Sequence[Any], n: int, data: str) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Class indices, and the classes' names where labels are words: these in order are 0, 1, ...

    Raises:
        ArgumentError: they are neither whole numbers from -1 on (none) nor words, or not n.
    """
    array = np.asarray(values)
    if array.shape != (n,):
        raise ArgumentError("data", data, f"has labels of shape {array.shape}, must be ({n},)")
    if array.dtype.kind in "biuf":
        whole = array.astype(np.float64)
        if not (np.isfinite(whole).all() and (whole == np.floor(whole)).all() and whole.min(initial=0) >= -1):
            raise ArgumentError("data", data, "labels must be whole numbers >= 0 (-1 for none), or names of classes")
        return torch.from_numpy(array.astype(np.int64)), ()
    texts = _texts(array, data, "labels")
    classes = sorted(set(texts))
    index = {name: i for i, name in enumerate(classes)}
    return torch.tensor([index[text] for text in texts]), tuple(classes)


def beyond_float64(integers: Array) -> bool:
    """Whether some need more bits than float64 has."""
    return max(abs(int(integers.min())), abs(int(integers.max()))) > 2**53


def names_of(values: Array | Sequence[Any], n: int, data: str) -> tuple[str, ...]:
    """Names of inputs, which key their draws.

    Raises:
        ArgumentError: they are not n, or two are the same.
    """
    names = tuple(str(one) for one in np.asarray(values).tolist())
    if len(names) != n:
        raise ArgumentError("data", data, f"has {len(names)} names of {n} inputs")
    seen: set[str] = set()
    for name in names:
        if not name or name in seen:
            shown = one_line(name)[:_SHOWN]
            raise ArgumentError("data", data, f"names of inputs must differ and not be empty; {shown!r} is not so")
        seen.add(name)
    return names


def _texts(values: Any, data: str, what: str) -> list[str]:
    texts = np.asarray(_plain(values)).tolist()
    if not isinstance(texts, list) or not all(isinstance(one, str) and one for one in texts):
        raise ArgumentError("data", data, f"{what} must be texts, none of them empty")
    return texts


def _plain(values: Any) -> Any:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
