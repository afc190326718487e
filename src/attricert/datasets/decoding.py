"""Image files of unknown origin: whatever a decoder does with them becomes one error."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile, UnidentifiedImageError

from attricert.errors import IntegrityError
from attricert.text import one_line

__all__ = ["opened"]

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")  # for others Pillow may start programs, as for EPS
_PIXELS = 89_478_485  # of an image; what Pillow takes for harmless where nobody has told it otherwise
_SETTINGS = threading.RLock()  # Pillow's are global
# What files of other formats begin with, at which byte; a mistaken suffix is the commonest reason that they come here.
_OTHERS = (
    (0, b"\x89PNG", "a PNG file"),
    (0, b"\xff\xd8\xff", "a JPEG file"),
    (0, b"BM", "a BMP file"),
    (0, b"GIF8", "a GIF file"),
    (8, b"WEBP", "a WebP file"),
    (0, b"II*\0", "a TIFF file"),
    (0, b"MM\0*", "a TIFF file"),
)
_FOREIGN = (
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (4, b"ftyp", "HEIF, AVIF or a video"),
    (0, b"%PDF", "PDF"),
    (128, b"DICM", "DICOM"),
    (0, b"\x93NUMPY", "NumPy"),
    (0, b"8BPS", "Photoshop"),
)


@contextmanager
def opened(content: bytes) -> Iterator[Image.Image]:
    """An image file's content, to be decoded within the block, with Pillow's own settings and not the user's.

    Raises:
        IntegrityError: it is no image, a damaged one, or one with too many pixels.
    """
    try:
        with _own_settings(), Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            yield image
    except IntegrityError:
        raise
    except Exception as error:  # decoders raise what they like: ValueError, SyntaxError, struct.error, MemoryError
        raise IntegrityError(f"cannot be read as an image ({_told(error, content)})") from None


@contextmanager
def _own_settings() -> Iterator[None]:
    """Neither damaged files nor bombs pass, whatever the user has allowed; what decoders warn of is damage."""
    with _SETTINGS, warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", "Metadata Warning", UserWarning)  # a tag with too many values
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = _PIXELS, False
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def _told(error: Exception, content: bytes) -> str:
    """Without the object's address that Pillow names where it knows no file."""
    if not isinstance(error, UnidentifiedImageError):
        return one_line(str(error)) or type(error).__name__
    for at, start, name in _OTHERS:
        if content.startswith(start, at):
            return f"{name}, damaged or of a kind that cannot be decoded"
    found = [name for at, start, name in _FOREIGN if content.startswith(start, at)]
    return f"{found[0]}, which is not read" if found else "no known format"
