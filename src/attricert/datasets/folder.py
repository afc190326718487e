"""A folder of image files as data."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from attricert.datasets.labelled import Labelled, Survey
from attricert.datasets.pictures import SUFFIXES, decoded, described
from attricert.errors import ArgumentError, IntegrityError
from attricert.files import read_regular

__all__ = ["ImageFolder", "load_folder"]

_LARGEST = 2**28  # bytes of a file
_REFUSED, _NAMED = "refused as their headers show", 3  # files left out that are named
_SYSTEM = ("thumbs.db", "desktop.ini")  # as hidden as those with a leading dot


@final
@dataclass(frozen=True)
class ImageFolder:
    """Image files in order of name, read when they are asked for and scaled to [0, 1]; they have no labels (-1).

    Args:
        paths: the files.
        channels: 1 converts to gray, 3 to RGB; None keeps gray images gray and makes the others RGB.
        left_out: names of what else is in the folder, hidden files aside.
    """

    paths: tuple[Path, ...]
    channels: int | None = None
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: str | Path, channels: int | None = None) -> ImageFolder:
        """All images of a folder."""
        folder = Path(folder)
        if not os.path.isdir(folder):  # also where the name is too long to be one
            raise ArgumentError("data", str(folder), "is not a folder")
        entries = sorted(folder.iterdir())
        paths = tuple(path for path in entries if _is_image(path))
        left_out = tuple(_id(path.name) for path in entries if not _is_image(path) and not _hidden(path))
        if not paths:
            rule = f"holds no images ({', '.join(sorted(SUFFIXES))})"
            raise ArgumentError("data", str(folder), f"{rule}, but {_few(left_out)}" if left_out else rule)
        return cls(paths, channels, left_out)

    @property
    def ids(self) -> tuple[str, ...]:
        """File names; one with undecodable bytes is shown escaped, and told from others by a digest of its bytes."""
        return tuple(_id(path.name) for path in self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return _read(self.paths[index], self.channels)[0], -1

    def digest(self) -> str:
        """SHA-256 of names and contents; a file that cannot be read, as a link cannot, counts as empty."""
        return self.survey().sha256

    def survey(self) -> Survey:
        """The same, and how the files are read; what only their pixels can show is not looked at."""
        whole = hashlib.sha256(str(self.channels).encode())
        reading: Counter[str] = Counter()
        refused = 0
        for path in self.paths:
            try:
                content = read_regular(path, _LARGEST)
            except (OSError, IntegrityError):
                content = b""
            whole.update(os.fsencode(path.name) + f"\x1f{hashlib.sha256(content).hexdigest()}\x1f".encode())
            try:
                reading.update(described(content, path.suffix, self.channels))
            except IntegrityError:
                refused += 1
        return Survey(whole.hexdigest(), {**reading, **({_REFUSED: refused} if refused else {}), **self.told_left_out})

    @property
    def told_left_out(self) -> dict[str, int]:
        """What is left out in words, and how much."""
        return {f"left out ({_few(self.left_out)})": len(self.left_out)} if self.left_out else {}


def load_folder(folder: str | Path, channels: int | None = None) -> Labelled:
    """All images of a folder, which must have one size; arguments as in `ImageFolder`."""
    files = ImageFolder.of(folder, channels)
    images, ways = zip(*(_read(path, channels) for path in files.paths), strict=True)
    for name, image in zip(files.ids, images, strict=True):
        if image.shape != images[0].shape:
            rule = (
                f"all images must have the size of {files.ids[0]}, {tuple(images[0].shape)} (channels, height, width)"
            )
            raise ArgumentError(name, tuple(image.shape), rule)
    reading = "; ".join(dict.fromkeys([*(word for words in ways for word in words), *files.told_left_out]))
    return Labelled(torch.stack(images), torch.full((len(images),), -1), files.ids, reading)


def _read(path: Path, channels: int | None) -> tuple[Tensor, tuple[str, ...]]:
    """The image, and how it was read."""
    try:
        values, words = decoded(read_regular(path, _LARGEST), path.suffix, channels)
    except OSError as error:
        raise ArgumentError("data", str(path), f"cannot be read ({error.strerror})") from None
    except IntegrityError as error:
        raise ArgumentError("data", str(path), str(error).removeprefix(f"{path}: ")) from None
    return torch.from_numpy(values), words


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in _SYSTEM


def _few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _id(name: str) -> str:
    """Text that can be written anywhere."""
    shown = name.encode("utf-8", "backslashreplace").decode()
    return name if shown == name else f"{shown}#{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
