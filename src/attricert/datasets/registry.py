"""Data by name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from attricert import checks
from attricert.datasets.arrays import read_arrays
from attricert.datasets.cache import cache_folder
from attricert.datasets.cifar10 import load_cifar10, load_cifar10_sample
from attricert.datasets.folder import ImageFolder, load_folder
from attricert.datasets.labelled import Dataset, Labelled
from attricert.datasets.mnist import SAMPLE_SIZE, load_mnist, load_sample
from attricert.datasets.photographs import load_photographs
from attricert.datasets.reading import Reading
from attricert.datasets.spec import FILES, check_slice, exists, sliced
from attricert.datasets.tables import read_table
from attricert.errors import ArgumentError

__all__ = ["cut", "fetch", "items", "load", "names", "parse", "sliced", "splits"]


@final
@dataclass(frozen=True)
class _Known:
    """A data set.

    Args:
        load: gives a split, from the cache folder or fetched into it, saying what is going on.
        fetched: its splits.
        sample: gives the first `SAMPLE_SIZE` test items, if they ship with the package.
    """

    load: Callable[[str, Path, Callable[[str], None]], Labelled]
    fetched: tuple[str, ...]
    sample: Callable[[], Labelled] | None = None


_KNOWN = {
    "mnist": _Known(load_mnist, ("train", "test"), load_sample),
    "cifar10": _Known(load_cifar10, ("train", "test"), load_cifar10_sample),
    "photographs": _Known(load_photographs, ("test",)),
}
_SPEC = re.compile(r"(?P<name>[\w-]+):(?P<split>\w+)(?:\[(?P<start>\d{0,18}):(?P<stop>\d{0,18})\])?")
_TABLES = (".csv", ".parquet")


def names() -> tuple[str, ...]:
    """Names that `load` knows."""
    return tuple(_KNOWN)


def splits(name: str) -> tuple[str, ...]:
    """Splits of a data set; ``"sample"`` is the first 100 test items, which ship with the package."""
    known = _known(name)
    return known.fetched if known.sample is None else (*known.fetched, "sample")


def load(name: str, split: str = "test", folder: str | Path | None = None) -> Labelled:
    """A data set, fetched on first use; every file is checked against its SHA-256.

    Args:
        name: see `names`.
        split: see `splits`.
        folder: the cache; by default ``ATTRICERT_DATA`` or the user's cache folder.
    """
    known = _known(name)
    checks.known("split", split, splits(name))
    if split == "sample" and known.sample is not None:
        return known.sample()
    return known.load(split, cache_folder() if folder is None else checks.path("folder", folder), lambda _: None)


def fetch(name: str, on_message: Callable[[str], None] = print) -> dict[str, Labelled]:
    """Fetch and check all of a data set, saying what is going on."""
    known = _known(name)
    return {split: known.load(split, cache_folder(), on_message) for split in known.fetched}


def parse(spec: str | Path, channels: int | None = None, reading: Reading | None = None) -> Labelled:
    """Data from their description, in memory: ``mnist:test[0:100]``, a folder of images, ``table.csv``, ``x.npz[0:9]``.

    Slices of the test split that lie within the packaged sample need no download.

    Args:
        spec: a data set, a folder of images, or a .npy, .npz, .csv or .parquet file; files may have a slice.
        channels: of images in folders: 1 makes them gray, 3 RGB.
        reading: how folders and tables are read.
    """
    text, reading = _text(spec), reading or Reading()
    return _in_memory(text, reading) or load_folder(text, channels, reading.size)


def items(spec: str | Path, channels: int | None = None, reading: Reading | None = None) -> Dataset:
    """The same, but the images of a folder are read one by one, when they are asked for."""
    text, reading = _text(spec), reading or Reading()
    return _in_memory(text, reading) or ImageFolder.of(text, channels, reading.size)


def _text(spec: str | Path) -> str:
    checks.path("data", spec)
    return os.fspath(spec)


def cut(data: Labelled, spec: str) -> Labelled:
    """The slice of data that their description says.

    Raises:
        ArgumentError: nothing is in it.
    """
    _, start, stop = sliced(spec)
    part = data if start is None and stop is None else data.slice(start, stop)
    if not len(part):
        raise ArgumentError("data", spec, "is empty")
    return part


def _in_memory(spec: str, reading: Reading) -> Labelled | None:
    """Data that are not read one by one; None for a folder."""
    check_slice(spec)
    path = Path(sliced(spec)[0])
    suffix = path.suffix.lower()
    if suffix in FILES and not path.is_dir():
        if suffix in _TABLES:
            return cut(read_table(path, reading, spec), spec)
        reading.only(data=f"a {suffix} file")
        return cut(read_arrays(path, spec), spec)
    found = _named(spec)
    reading.only("size", data="images") if found is None else reading.only(data="a data set")
    return found


def _named(spec: str) -> Labelled | None:
    """A slice of a known data set; None if the description is of another kind."""
    match = _SPEC.fullmatch(spec)
    if match is None or exists(spec):
        return None
    stop = int(match["stop"]) if match["stop"] else None
    sampled = "sample" in splits(match["name"])
    packaged = sampled and match["split"] == "test" and stop is not None and stop <= SAMPLE_SIZE
    return cut(load(match["name"], "sample" if packaged else match["split"]), spec)


def _known(name: str) -> _Known:
    return _KNOWN[checks.known("data", name, _KNOWN)]
