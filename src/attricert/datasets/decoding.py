"""Image files of unknown origin: whatever a decoder does with them becomes one error."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from attricert.errors import IntegrityError
from attricert.text import one_line

__all__ = ["opened"]

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")  # for others Pillow may start programs, as for EPS


@contextmanager
def opened(content: bytes) -> Iterator[Image.Image]:
    """An image file's content, to be decoded within the block.

    Raises:
        IntegrityError: it is no image, a damaged one, or one with more pixels than Pillow takes for harmless.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                yield image
    except Exception as error:  # decoders raise what they like: ValueError, SyntaxError, struct.error, MemoryError
        raise IntegrityError(f"cannot be read as an image ({_told(error)})") from None


def _told(error: Exception) -> str:
    """Without the object's address that Pillow names where it knows no file."""
    if isinstance(error, UnidentifiedImageError):
        return "no known format"
    return one_line(str(error)) or type(error).__name__
