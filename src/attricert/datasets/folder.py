"""A folder of image files as data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from attricert.datasets.labelled import Labelled
from attricert.errors import ArgumentError

__all__ = ["ImageFolder", "load_folder"]

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
        if not folder.is_dir():
            raise ArgumentError("data", str(folder), "is not a folder")
        paths = tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES))
        if not paths:
            raise ArgumentError("data", str(folder), f"holds no images ({', '.join(sorted(_SUFFIXES))})")
        return cls(paths, channels)

    @property
    def ids(self) -> tuple[str, ...]:
        """File names."""
        return tuple(path.name for path in self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return _read(self.paths[index], self.channels), -1

    def digest(self) -> str:
        """SHA-256 of names and contents; a file that cannot be read counts as empty."""
        whole = hashlib.sha256(str(self.channels).encode())
        for path in self.paths:
            try:
                content = path.read_bytes()
            except OSError:
                content = b""
            whole.update(f"{path.name}\x1f{hashlib.sha256(content).hexdigest()}\x1f".encode())
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
        with Image.open(path) as image:
            gray = channels == 1 or (channels is None and image.mode in ("1", "L"))
            pixels = np.array(image.convert("L" if gray else "RGB"), dtype=np.float32) / 255
    except (UnidentifiedImageError, OSError) as error:
        raise ArgumentError("data", str(path), f"cannot be read as an image ({error})") from None
    return torch.from_numpy(pixels[None] if gray else np.moveaxis(pixels, -1, 0).copy())
