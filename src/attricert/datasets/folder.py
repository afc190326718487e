"""A folder of image files as data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from attricert.datasets.labelled import Labelled
from attricert.errors import ArgumentError

__all__ = ["load_folder"]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


def load_folder(folder: str | Path, channels: int | None = None) -> Labelled:
    """All images of a folder, in order of name, scaled to [0, 1]; they have no labels (-1).

    Args:
        folder: holds image files of one size.
        channels: 1 converts to gray, 3 to RGB; None keeps gray images gray and makes the others RGB.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ArgumentError("data", str(folder), "is not a folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise ArgumentError("data", str(folder), f"holds no images ({', '.join(sorted(_SUFFIXES))})")
    images = [_read(path, channels) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            rule = (
                f"all images must have the size of {paths[0].name}, {tuple(images[0].shape)} (channels, height, width)"
            )
            raise ArgumentError(path.name, tuple(image.shape), rule)
    ids = tuple(path.name for path in paths)
    return Labelled(torch.stack(images), torch.full((len(images),), -1), ids)


def _read(path: Path, channels: int | None) -> Tensor:
    try:
        with Image.open(path) as image:
            gray = channels == 1 or (channels is None and image.mode in ("1", "L"))
            pixels = np.array(image.convert("L" if gray else "RGB"), dtype=np.float32) / 255
    except (UnidentifiedImageError, OSError) as error:
        raise ArgumentError("data", str(path), f"cannot be read as an image ({error})") from None
    return torch.from_numpy(pixels[None] if gray else np.moveaxis(pixels, -1, 0).copy())
