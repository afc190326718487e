"""A folder of image files as data: their classes, if it has a folder for each."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from attricert import checks
from attricert.datasets.form import Form
from attricert.datasets.labelled import Labelled, Survey
from attricert.datasets.pictures import SUFFIXES, decoded, described
from attricert.datasets.resizing import resized, told_size
from attricert.datasets.spec import FILES, exists
from attricert.errors import ArgumentError, IntegrityError
from attricert.files import read_regular

__all__ = ["ImageFolder", "load_folder"]

_LARGEST = 2**28  # bytes of a file
_REFUSED, _NAMED = "refused as their headers show", 3  # files left out that are named
_SYSTEM = ("thumbs.db", "desktop.ini")  # as hidden as those with a leading dot
_CLASSES = "labels from the names of their folders"


@final
@dataclass(frozen=True)
class ImageFolder:
    """Image files in order of name, read when they are asked for and scaled to [0, 1].

    Where the folder holds folders of images and no images itself, these are the classes, in order of name, and label 0
    is the first; else there are no labels (-1).

    Args:
        paths: the files.
        channels: 1 converts to gray, 3 to RGB; None keeps gray images gray and makes the others RGB.
        left_out: names of what else is in the folder, hidden files aside.
        size: (s,) makes the shorter side s and cuts the middle square out, (h, w) stretches to that height and width;
            None leaves images as they are.
        classes: names of the folders; empty where there are none.
    """

    paths: tuple[Path, ...]
    channels: int | None = None
    left_out: tuple[str, ...] = ()
    size: tuple[int, ...] | None = None
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: str | Path, channels: int | None = None, size: tuple[int, ...] | None = None) -> ImageFolder:
        """All images of a folder, or of the folders in it."""
        folder = checks.path("data", folder)
        if not os.path.isdir(folder):  # also where the name is too long to be one
            rule = "is not a folder"
            if exists(str(folder)):
                rule += f" of images, nor a file that is read ({', '.join(FILES)})"
            raise ArgumentError("data", str(folder), rule)
        entries = sorted(folder.iterdir())
        paths = tuple(path for path in entries if _is_image(path))
        inner = {path: _images_in(path) for path in entries if _is_inner(path)}
        classes = tuple(path for path, images in inner.items() if images)
        if paths and classes:
            rule = f"holds images ({paths[0].name}) beside folders of images ({classes[0].name}): what the labels are"
            raise ArgumentError("data", str(folder), f"{rule} is a guess; move one or the other")
        if classes:
            if empty := [path.name for path in inner if path not in classes]:
                rule = f"holds a folder without images ({_few(empty)}) beside {classes[0].name}; is it a class?"
                raise ArgumentError("data", str(folder), f"{rule} Move it away, or put images in")
            chosen = {path for images in inner.values() for path in images}
            others = [path for path in entries if path not in inner]
            others += [path for one in classes for path in sorted(one.iterdir()) if path not in chosen]
            left_out = tuple(_id(path.relative_to(folder).as_posix()) for path in others if not _hidden(path))
            found = tuple(path for images in inner.values() for path in images)
            return cls(found, channels, left_out, size, tuple(_id(path.name) for path in classes))
        left_out = tuple(_id(path.name) for path in entries if not _is_image(path) and not _hidden(path))
        if not paths:
            rule = f"holds no images ({', '.join(sorted(SUFFIXES))})"
            raise ArgumentError("data", str(folder), f"{rule}, but {_few(left_out)}" if left_out else rule)
        return cls(paths, channels, left_out, size)

    @property
    def ids(self) -> tuple[str, ...]:
        """File names, behind that of their class; undecodable bytes are escaped, and told apart by a digest of them."""
        return tuple(_id(self._name(path)) for path in self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return _read(self.paths[index], self.channels, self.size)[0], self._label(self.paths[index])

    def slice(self, start: int | None, stop: int | None) -> ImageFolder:
        """Images from start to stop, as Python slices go."""
        return replace(self, paths=self.paths[start:stop])

    def digest(self) -> str:
        """SHA-256 of names and contents; a file that cannot be read, as a link cannot, counts as empty."""
        return self.survey().sha256

    def survey(self) -> Survey:
        """The same, and how the files are read; what only their pixels can show is not looked at."""
        whole = hashlib.sha256(str(self.channels if self.size is None else (self.channels, self.size)).encode())
        reading: Counter[str] = Counter()
        refused = 0
        for path in self.paths:
            try:
                content = read_regular(path, _LARGEST)
            except (OSError, IntegrityError):
                content = b""
            whole.update(os.fsencode(self._name(path)) + f"\x1f{hashlib.sha256(content).hexdigest()}\x1f".encode())
            try:
                reading.update((*described(content, path.suffix, self.channels), *told_size(self.size)))
            except IntegrityError:
                refused += 1
        if self.classes:
            whole.update("\x1f".join(self.classes).encode())
        more = {**({_REFUSED: refused} if refused else {}), **self.told_classes, **self.told_left_out}
        return Survey(whole.hexdigest(), {**reading, **more}, self.form)

    @property
    def form(self) -> Form:
        """Images, of these classes."""
        return Form("image", classes=self.classes)

    @property
    def told_classes(self) -> dict[str, int]:
        """Where labels come from in words, and how many images have one."""
        return {_CLASSES: len(self)} if self.classes else {}

    @property
    def told_left_out(self) -> dict[str, int]:
        """What is left out in words, and how much."""
        return {f"left out ({_few(self.left_out)})": len(self.left_out)} if self.left_out else {}

    def _name(self, path: Path) -> str:
        return f"{path.parent.name}/{path.name}" if self.classes else path.name

    def _label(self, path: Path) -> int:
        return self.classes.index(_id(path.parent.name)) if self.classes else -1


def load_folder(folder: str | Path, channels: int | None = None, size: tuple[int, ...] | None = None) -> Labelled:
    """All images of a folder, which must have one size; arguments as in `ImageFolder`."""
    return _all(ImageFolder.of(folder, channels, size))


def _all(files: ImageFolder) -> Labelled:
    images, ways = zip(*(_read(path, files.channels, files.size) for path in files.paths), strict=True)
    for name, image in zip(files.ids, images, strict=True):
        if image.shape != images[0].shape:
            first = f"{files.ids[0]}, {tuple(images[0].shape)} (channels, height, width)"
            rule = f"all images must have the size of {first}; --size 224, say, gives them one"
            raise ArgumentError(name, tuple(image.shape), rule)
    words = [*(word for one in ways for word in one), *files.told_classes, *files.told_left_out]
    labels = torch.tensor([files._label(path) for path in files.paths])
    return Labelled(torch.stack(images), labels, files.ids, "; ".join(dict.fromkeys(words)), files.form)


def _read(path: Path, channels: int | None, size: tuple[int, ...] | None) -> tuple[Tensor, tuple[str, ...]]:
    """The image, and how it was read."""
    try:
        values, words = decoded(read_regular(path, _LARGEST), path.suffix, channels)
    except OSError as error:
        raise ArgumentError("data", str(path), f"cannot be read ({error.strerror})") from None
    except IntegrityError as error:
        raise ArgumentError("data", str(path), str(error).removeprefix(f"{path}: ")) from None
    image = torch.from_numpy(values)
    return (image, words) if size is None else (resized(image, size), (*words, *told_size(size)))


def _images_in(folder: Path) -> tuple[Path, ...]:
    try:
        return tuple(path for path in sorted(folder.iterdir()) if _is_image(path))
    except OSError as error:
        raise ArgumentError("data", str(folder), f"cannot be read ({error.strerror})") from None


def _is_inner(path: Path) -> bool:
    """Whether it may be a class: a folder that is neither hidden nor a link."""
    return path.is_dir() and not path.is_symlink() and not _hidden(path) and not _is_image(path)


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
