"""Arrays and pictures in one block of text, for a page that loads nothing."""

from __future__ import annotations

import base64
import io
import zlib
from typing import Any, final

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["Block", "encoded", "pixels"]

_ALIGNED = 4  # bytes, so that numbers may be read where they lie
_LOSSLESS = 64  # pixels a side, up to which pictures are kept to the bit
_QUALITY = 85


@final
class Block:
    """Grows by what is put into it; `text` is all of it, compressed (zlib) and in base64."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def put(self, content: bytes | npt.NDArray[Any]) -> list[int]:
        """Where it lies: offset and length in bytes; numbers are little-endian."""
        if isinstance(content, np.ndarray):
            content = content.astype(content.dtype.newbyteorder("<")).tobytes()
        place = [self._size, len(content)]
        padded = content + bytes(-len(content) % _ALIGNED)
        self._parts.append(padded)
        self._size += len(padded)
        return place

    def text(self) -> str:
        """For the page."""
        return base64.b64encode(zlib.compress(b"".join(self._parts), 9)).decode()


def pixels(stack: npt.NDArray[Any], data_range: tuple[float, float], size: tuple[int, int]) -> Image.Image:
    """Numbers as a picture, gray or RGB, made smaller if need be.

    Args:
        stack: shape (channels, height, width); three are colours, the mean of others is gray.
        data_range: what is black, and white.
        size: (height, width) of the picture.
    """
    low, high = data_range
    shown = stack if len(stack) == 3 else stack.mean(axis=0, keepdims=True)
    levels = (np.clip((shown - low) / max(high - low, 1e-300), 0, 1) * 255).round().astype(np.uint8)
    picture = Image.fromarray(levels.transpose(1, 2, 0) if len(levels) == 3 else levels[0])
    return picture if picture.size == size[::-1] else picture.resize(size[::-1], Image.Resampling.BOX)


def encoded(picture: Image.Image) -> bytes:
    """As a file: PNG, or JPEG where it is large."""
    file = io.BytesIO()
    if max(picture.size) <= _LOSSLESS:
        picture.save(file, "PNG", optimize=True)
    else:
        picture.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()
