"""A folder of image files as data."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from attricert.datasets.decoding import opened
from attricert.datasets.labelled import Labelled
from attricert.errors import ArgumentError, IntegrityError
from attricert.files import read_regular

__all__ = ["ImageFolder", "load_folder"]

_LARGEST = 2**28  # bytes of a file
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


@final
@dataclass(frozen=True)
class ImageFolder:
    """Image files in order of name, read when they are asked for and scaled to [0, 1]; they have no labels (-1).

    Args:
        paths: the files.
        channels: 1 converts to gray, 3 to RGB; None keeps gray images gray and makes the others RGB.
    """

    paths: tuple[Path, ...]
    channels: int | None = None

    @classmethod
    def of(cls, folder: str | Path, channels: int | None = None) -> ImageFolder:
        """All images of a folder."""
        folder = Path(folder)
        if not os.path.isdir(folder):  # also where the name is too long to be one
            raise ArgumentError("data", str(folder), "is not a folder")
        paths = tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES))
        if not paths:
            raise ArgumentError("data", str(folder), f"holds no images ({', '.join(sorted(_SUFFIXES))})")
        return cls(paths, channels)

    @property
    def ids(self) -> tuple[str, ...]:
        """File names; one with undecodable bytes is shown escaped, and told from others by a digest of its bytes."""
        return tuple(_id(path.name) for path in self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return _read(self.paths[index], self.channels), -1

    def digest(self) -> str:
        """SHA-256 of names and contents; a file that cannot be read, as a link cannot, counts as empty."""
        whole = hashlib.sha256(str(self.channels).encode())
        for path in self.paths:
            try:
                content = read_regular(path, _LARGEST)
            except (OSError, IntegrityError):
                content = b""
            whole.update(os.fsencode(path.name) + f"\x1f{hashlib.sha256(content).hexdigest()}\x1f".encode())
        return whole.hexdigest()


def load_folder(folder: str | Path, channels: int | None = None) -> Labelled:
    """All images of a folder, which must have one size; arguments as in `ImageFolder`."""
    files = ImageFolder.of(folder, channels)
    images = [files[i][0] for i in range(len(files))]
    for name, image in zip(files.ids, images, strict=True):
        if image.shape != images[0].shape:
            rule = (
                f"all images must have the size of {files.ids[0]}, {tuple(images[0].shape)} (channels, height, width)"
            )
            raise ArgumentError(name, tuple(image.shape), rule)
    return Labelled(torch.stack(images), torch.full((len(images),), -1), files.ids)


def _read(path: Path, channels: int | None) -> Tensor:
    try:
        with opened(read_regular(path, _LARGEST)) as image:
            gray = channels == 1 or (channels is None and image.mode in ("1", "L"))
            pixels = np.array(image.convert("L" if gray else "RGB"), dtype=np.float32) / 255
    except OSError as error:
        raise ArgumentError("data", str(path), f"cannot be read ({error.strerror})") from None
    except IntegrityError as error:
        raise ArgumentError("data", str(path), str(error).removeprefix(f"{path}: ")) from None
    return torch.from_numpy(pixels[None] if gray else np.moveaxis(pixels, -1, 0).copy())


def _id(name: str) -> str:
    """Text that can be written anywhere."""
    shown = name.encode("utf-8", "backslashreplace").decode()
    return name if shown == name else f"{shown}#{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
