"""An image file as numbers in [0, 1]: read right, or refused; and in words how.

What Pillow makes of a file is not always what the file says: samples may lose bits; transparency, the second page, an
orientation or a profile may be dropped. So the header is looked at first (`headers`), and whatever cannot be read
without loss or doubt is refused (docs/data.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from attricert.datasets.decoding import opened
from attricert.datasets.headers import Declared, declared
from attricert.datasets.profiles import Profile, profile
from attricert.errors import IntegrityError

__all__ = ["SUFFIXES", "decoded", "described"]

SUFFIXES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""Of the files that are read, in lower case, with what they must be."""

_FLOAT, _PALETTE = "F", ("P", "PA")
_GRAY = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N", _FLOAT)
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_COLOUR = ("RGB", "RGBA", "RGBa", *_PALETTE)
_ORIENTATION, _UPRIGHT, _LAST = 274, (0, 1), 8  # of EXIF: the tag, what needs no turn, the largest value


@final
@dataclass(frozen=True)
class _Picture:
    """A file that is open, and what was found of it before its pixels are decoded."""

    image: Image.Image
    header: Declared
    gray: bool
    turned: bool
    profile: Profile | None

    def words(self, channels: int | None) -> tuple[str, ...]:
        """How it is read: its kind, and what is done to it."""
        done = {
            "turned as EXIF says": self.turned,
            f"colours taken from {self.profile.name if self.profile else ''} to sRGB": self.profile is not None,
            "alpha, opaque or refused": self._may_be_transparent,
            "colours made gray": channels == 1 and not self.gray,
            "gray put in three channels": channels == 3 and self.gray,
        }
        return (self._kind, *(text for text, so in done.items() if so))

    @property
    def _kind(self) -> str:
        if self.header.floats:
            return "gray floats in [0, 1], as they are"
        if self.image.mode in _PALETTE:
            return "palette of 8-bit RGB, divided by 255"
        colours = "gray" if self.gray else "RGB"
        return f"{self.header.bits}-bit {colours}, divided by {self.header.largest}"

    @property
    def _may_be_transparent(self) -> bool:
        return self.image.mode in _ALPHA or "transparency" in self.image.info

    def pixels(self, channels: int | None) -> npt.NDArray[np.float32]:
        """Decode; shape (channels, height, width)."""
        if self.header.png is not None:
            self.header.png.refuse_incomplete()
        self.image.load()
        self._refuse_transparent()
        upright = ImageOps.exif_transpose(self.image)
        values = self._gray_values(upright) if self.gray else self._colours(upright, channels)
        return np.repeat(values[None], channels or 1, axis=0) if values.ndim == 2 else np.moveaxis(values, -1, 0).copy()

    def _gray_values(self, image: Image.Image) -> npt.NDArray[np.float32]:
        """Shape (height, width)."""
        if self.header.floats:
            return _within(np.array(image, dtype=np.float32))
        small = self.header.bits <= 8
        samples = np.array(image.convert("LA" if image.mode == "La" else "L").convert("L") if small else image)
        largest = 255 if small else self.header.largest  # decoders stretch less than eight bits to eight
        self._refuse_other_range(samples, largest)
        return samples.astype(np.float32) / np.float32(largest)

    def _colours(self, image: Image.Image, channels: int | None) -> npt.NDArray[np.float32]:
        """Shape (height, width, 3); (height, width) if they are to be gray."""
        if image.mode in _PALETTE:
            _refuse_beyond_palette(image)
        rgb = image.convert("RGBA").convert("RGB") if self._may_be_transparent else image.convert("RGB")
        if image.mode not in _PALETTE:
            self._refuse_other_range(np.asarray(rgb), 255)
        rgb = rgb if self.profile is None else self.profile.converted(rgb)
        return np.array(rgb.convert("L") if channels == 1 else rgb, dtype=np.float32) / np.float32(255)

    def _refuse_other_range(self, samples: npt.NDArray[np.generic], white: int) -> None:
        """Samples of fewer bits span the whole range; where they do not, which range is meant is a guess."""
        h = self.header
        if h.significant < h.bits:
            largest = int(samples.max()) * h.largest // white
            if 0 < largest < 2**h.significant:
                rule = f"has {h.bits} bits of which {h.significant} count, and no value above {largest}: scale it first"
                raise IntegrityError(rule)

    def _refuse_transparent(self) -> None:
        """Where every pixel is opaque nothing is lost."""
        image, colour = self.image, self.header.transparent
        if image.mode in _ALPHA:
            opaque = _least(image.getchannel(len(image.getbands()) - 1)) == 255
        elif image.mode == "P" and "transparency" in image.info:
            opaque = _least(image.convert("RGBA").getchannel("A")) == 255
        elif colour is not None:
            samples = np.asarray(image.convert("L") if image.mode == "1" else image)
            opaque = not (samples.reshape(-1, len(colour)) == colour).all(axis=-1).any()
        else:
            opaque = "transparency" not in image.info
        if not opaque:
            raise IntegrityError("has transparent pixels; flatten it on a background first")


def _least(channel: Image.Image) -> int:
    return int(np.asarray(channel).min())


def described(content: bytes, suffix: str, channels: int | None) -> tuple[str, ...]:
    """How a file is read, from its header; what only pixels can show may still refuse it.

    Args:
        content: the file.
        suffix: of its name.
        channels: as in `decoded`.

    Raises:
        IntegrityError: it is not read.
    """
    with _picture(content, suffix) as picture:
        return picture.words(channels)


def decoded(content: bytes, suffix: str, channels: int | None) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """An image file as numbers in [0, 1], shape (channels, height, width); and how it was read.

    Args:
        content: the file.
        suffix: of its name, which must be that of its format.
        channels: 1 makes colours gray (0.299 R + 0.587 G + 0.114 B, in 8 bits), 3 repeats gray; None leaves either.

    Raises:
        IntegrityError: it is no image, a damaged one, or none that can be read without loss or doubt.
    """
    with _picture(content, suffix) as picture:
        return picture.pixels(channels), picture.words(channels)


@contextmanager
def _picture(content: bytes, suffix: str) -> Iterator[_Picture]:
    with opened(content) as image:
        expected, found = SUFFIXES[suffix.lower()], "JPEG" if image.format == "MPO" else image.format
        if found != expected:
            raise IntegrityError(f"is a {found} file, though its name says {expected}; rename it")
        frames = getattr(image, "n_frames", 1)
        if frames != 1:
            raise IntegrityError(f"has {frames} frames or pages, must have one; save them as files of their own")
        if min(image.size) < 1:
            raise IntegrityError(f"has no pixels, size {image.size}")
        header = declared(image, content)
        # Older Pillow has 16-bit gray as 32-bit integers.
        gray = image.mode in _GRAY or (image.mode == "I" and header.png is not None and header.bits == 16)
        if not gray and image.mode not in _COLOUR:
            raise IntegrityError(f"has pixels of kind {image.mode}; convert it to gray or sRGB first")
        yield _Picture(image, header, gray, _turned(image, header), _profile(image, gray))


def _turned(image: Image.Image, header: Declared) -> bool:
    """Whether its EXIF data say that it lies on a side, or is a mirror image."""
    if header.png is not None and not header.png.has_exif:
        return False  # to ask Pillow would be to decode
    said = image.getexif().get(_ORIENTATION, 1)
    if not isinstance(said, int) or not 0 <= said <= _LAST:
        raise IntegrityError(f"has an EXIF orientation of {said!r}, must be 1 to {_LAST}")
    return said not in _UPRIGHT


def _profile(image: Image.Image, gray: bool) -> Profile | None:
    return profile(image.info["icc_profile"], gray) if "icc_profile" in image.info else None


def _within(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Floats that need no scale."""
    low, high = float(values.min()), float(values.max())  # NaN if any is
    if not (low >= 0 and high <= 1):
        raise IntegrityError(f"has floats in [{low:g}, {high:g}], must be in [0, 1]: scale it first")
    return values


def _refuse_beyond_palette(image: Image.Image) -> None:
    """Colours that are not in the palette come out black."""
    known, used = len(image.getpalette() or ()) // 3, int(np.asarray(image.getchannel(0)).max())
    if used >= known:
        raise IntegrityError(f"cannot be read as an image (it has colour {used} of a palette of {known})")
