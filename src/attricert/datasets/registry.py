"""Data by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from attricert import checks
from attricert.datasets.cache import cache_folder
from attricert.datasets.cifar10 import load_cifar10, load_cifar10_sample
from attricert.datasets.folder import ImageFolder, load_folder
from attricert.datasets.labelled import Dataset, Labelled
from attricert.datasets.mnist import SAMPLE_SIZE, load_mnist, load_sample
from attricert.datasets.photographs import load_photographs
from attricert.errors import ArgumentError

__all__ = ["fetch", "items", "load", "names", "parse", "splits"]


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
    return known.load(split, cache_folder() if folder is None else Path(folder), lambda _: None)


def fetch(name: str, on_message: Callable[[str], None] = print) -> dict[str, Labelled]:
    """Fetch and check all of a data set, saying what is going on."""
    known = _known(name)
    return {split: known.load(split, cache_folder(), on_message) for split in known.fetched}


def parse(spec: str, channels: int | None = None) -> Labelled:
    """Data from its description, in memory: ``mnist:test[0:100]``, ``mnist:train``, or a folder of images.

    Slices of the test split that lie within the packaged sample need no download.
    """
    return _named(spec) or load_folder(spec, channels)


def beyond(spec: str, count: int) -> str | None:
    """The description of the same data without the first ``count`` inputs; None if it is of a folder, or none are left.

    Args:
        spec: as `parse` takes it.
        count: how many to leave out.
    """
    match = _SPEC.fullmatch(spec)
    if match is None or Path(spec).exists():
        return None
    start, stop = int(match["start"] or 0) + count, match["stop"] or ""
    if stop and start >= int(stop):
        return None
    return f"{match['name']}:{match['split']}[{start}:{stop}]"


def items(spec: str, channels: int | None = None) -> Dataset:
    """The same, but the images of a folder are read one by one, when they are asked for."""
    return _named(spec) or ImageFolder.of(spec, channels)


def _named(spec: str) -> Labelled | None:
    """A slice of a known data set; None if the description is of another kind."""
    match = _SPEC.fullmatch(spec)
    if match is None or Path(spec).exists():
        return None
    start, stop = (int(match[key]) if match[key] else None for key in ("start", "stop"))
    sampled = "sample" in splits(match["name"])
    packaged = sampled and match["split"] == "test" and stop is not None and stop <= SAMPLE_SIZE
    data = load(match["name"], "sample" if packaged else match["split"]).slice(start, stop)
    if not len(data):
        raise ArgumentError("data", spec, "is empty")
    return data


def _known(name: str) -> _Known:
    return _KNOWN[checks.known("data", name, _KNOWN)]
