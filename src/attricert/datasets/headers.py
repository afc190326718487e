"""What the header of an image file says of its samples, format by format: what Pillow would get wrong is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from PIL import Image

from attricert.datasets.png import PALETTE, RGB, Png
from attricert.errors import IntegrityError

__all__ = ["Declared", "declared"]

_BYTE = 8  # bits
_SMALL = (1, 2, 4, _BYTE)  # bits of a sample that a byte holds
_EIGHT = "save it with 8 bits a channel"
_CONVERT = "convert it to gray or sRGB first"


@final
@dataclass(frozen=True)
class Declared:
    """What a header says.

    Args:
        bits: of a sample; of a palette's index.
        significant: how many of them mean something.
        floats: whether samples are 32-bit floating-point numbers.
        transparent: gray value or RGB colour that stands for transparent, in terms of decoded samples.
        png: the file's chunks, if it is a PNG file.
    """

    bits: int = _BYTE
    significant: int = _BYTE
    floats: bool = False
    transparent: tuple[int, ...] | None = None
    png: Png | None = None

    @property
    def largest(self) -> int:
        """The value of white, as the file has it."""
        return int(2**self.bits - 1)


def declared(image: Image.Image, content: bytes) -> Declared:
    """What the file says of itself.

    Args:
        image: opened, not yet decoded.
        content: the file.

    Raises:
        IntegrityError: of what cannot be read right.
    """
    rule = _RULES.get(str(image.format))
    return Declared() if rule is None else rule(image, content)


_OLD_EXIF = "Raw profile type APP1"


def _png(image: Image.Image, content: bytes) -> Declared:
    png = Png.parse(content)
    if png.bits > _BYTE and png.colour != 0:
        raise IntegrityError(f"has {png.bits} bits a channel, of which decoders keep 8: {_EIGHT}, or as gray")
    _refuse_part(image)
    if _OLD_EXIF in image.info:
        raise IntegrityError("has EXIF data in an old form, whose orientation decoders pass over; save it anew")
    png.refuse_other_colours()
    # Decoded, samples of less than eight bits span those of eight.
    step = 255 // (2**png.bits - 1) if png.bits < _BYTE and png.colour not in (RGB, PALETTE) else 1
    colour = None if png.transparent is None else tuple(value * step for value in png.transparent)
    return Declared(png.bits, png.significant, transparent=colour, png=png)


def _gif(image: Image.Image, _: bytes) -> Declared:
    _refuse_part(image)
    return Declared()


def _refuse_part(image: Image.Image, layers: int = 1) -> None:
    """A file whose pieces leave a part of the picture open, which decoders fill with black."""
    boxes = [tuple(tile[1]) for tile in getattr(image, "tile", [])]
    covered = sum((right - left) * (bottom - top) for left, top, right, bottom in boxes)
    if boxes and covered < image.width * image.height * layers:
        raise IntegrityError(f"holds {covered // layers} of {image.width} x {image.height} pixels")


# Offsets in a BMP file, and words of its header: https://learn.microsoft.com/windows/win32/gdi/bitmap-header-types
_BMP_PIXELS, _BMP_HEADER, _BMP_BITS_OLD, _BMP_BITS, _BMP_COMPRESSION, _BMP_SPACE, _BMP_GAMMA = (
    10,
    14,
    24,
    28,
    30,
    70,
    110,
)
_BMP_OLD, _BMP_WITH_SPACE, _BMP_CALIBRATED = 12, 108, 0
_BMP_PROFILES = (int.from_bytes(b"MBED", "big"), int.from_bytes(b"LINK", "big"))


def _bmp(image: Image.Image, content: bytes) -> Declared:
    def word(at: int) -> int:
        return int.from_bytes(content[at : at + 4], "little")

    old = word(_BMP_HEADER) == _BMP_OLD
    bits = word(_BMP_BITS_OLD if old else _BMP_BITS) & 0xFFFF
    if bits == 16:
        raise IntegrityError(f"has 5 or 6 bits a channel, which decoders round: {_EIGHT}")
    if {"1": 1, "L": _BYTE}.get(image.mode, bits) != bits:
        raise IntegrityError(
            f"has a palette of two colours or grays that decoders misread at {bits} bits: save it anew"
        )
    if bits == 32 and not old and word(_BMP_COMPRESSION) == 0:
        count = 4 * image.width * image.height
        fourth = np.frombuffer(content[word(_BMP_PIXELS) :][:count], np.uint8)[3::4]
        if fourth.size and (fourth[0] not in (0, 255) or (fourth != fourth[0]).any()):
            raise IntegrityError("has a fourth byte a pixel that may be an alpha channel; save it without")
    if word(_BMP_HEADER) >= _BMP_WITH_SPACE:
        _refuse_bmp_colours(word)
    return Declared(bits if bits in _SMALL else _BYTE)


def _refuse_bmp_colours(word: Callable[[int], int]) -> None:
    space, gammas = word(_BMP_SPACE), [word(_BMP_GAMMA + 4 * i) / 2**16 for i in range(3)]
    if space in _BMP_PROFILES:
        raise IntegrityError("has a colour profile, which BMP decoders pass over; convert it to sRGB first")
    if space == _BMP_CALIBRATED and any(gamma and abs(gamma - 2.2) > 0.05 for gamma in gammas):
        raise IntegrityError(f"has gammas of {gammas}, not sRGB's 2.2; convert it first")


# Tags of a TIFF file, and values of theirs (TIFF 6.0).
_BITS, _COMPRESSION, _PHOTOMETRIC, _ORDER, _SAMPLES, _MAX_SAMPLE = 258, 259, 262, 266, 277, 281
_PLANAR, _COLOR_MAP, _EXTRA, _SAMPLE_FORMAT = 284, 320, 338, 339
_STRIP_BYTES, _S_MAX_SAMPLE = 279, 341
_CURVES = {291: "GrayResponseCurve", 301: "TransferFunction"}
_OLD_JPEG, _JPEG = 6, 7
_WHITE_IS_ZERO, _Y_CB_CR = 0, 6
_UNSIGNED, _FLOAT = 1, 3
_FORMATS = {2: "signed integers", _FLOAT: "floating-point numbers", 4: "of no stated kind"}
_DEEP = (12, 16)


def _tiff(image: Image.Image, _: bytes) -> Declared:
    tags: Any = getattr(image, "tag_v2", {})
    depths, formats = set(_tuple(tags.get(_BITS, 1))), set(_tuple(tags.get(_SAMPLE_FORMAT, _UNSIGNED)))
    bits, samples = max(depths), tags.get(_SAMPLES, 1)
    photometric, compression = tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO), tags.get(_COMPRESSION, 1)
    floats = formats == {_FLOAT} and bits == 32 and samples == 1
    if formats != {_UNSIGNED} and not floats:
        kinds = ", ".join(_FORMATS.get(kind, str(kind)) for kind in sorted(formats))
        raise IntegrityError(f"has samples that are {kinds} ({bits} bits); save unsigned integers, or floats in [0, 1]")
    if bits not in (*_SMALL, *_DEEP) and not floats:
        raise IntegrityError(f"has {bits}-bit integers, whose range is not known; save 8 or 16 bits")
    if bits > _BYTE and samples > 1:
        raise IntegrityError(f"has {bits} bits a channel, of which decoders keep 8: {_EIGHT}, or as gray")
    if bits > _BYTE and photometric == _WHITE_IS_ZERO:
        raise IntegrityError(f"has {bits} bits with white as 0, which decoders take for black; invert it first")
    if bits > _BYTE and tags.get(_ORDER, 1) != 1:
        raise IntegrityError(f"has {bits} bits in reversed order; save it anew")
    if len(depths) > 1:
        raise IntegrityError(f"has channels of {sorted(depths)} bits; {_EIGHT}")
    if 0 in _tuple(tags.get(_EXTRA, ())):
        raise IntegrityError("has channels of no stated meaning beside its colours; save it without")
    if compression == _OLD_JPEG or (photometric == _Y_CB_CR and compression != _JPEG):
        raise IntegrityError(f"has YCbCr colours that decoders convert in several ways; {_CONVERT}")
    if image.mode in ("P", "PA") and any(_lossy(value) for value in tags.get(_COLOR_MAP, ())):
        raise IntegrityError("has a palette of 16 bits a channel, of which decoders keep 8; save it as RGB")
    separate = tags.get(_PLANAR, 1) != 1 and image.info.get("compression") == "raw"
    _refuse_part(image, samples if separate else 1)
    _refuse_short_strips(image, tags, bits * samples)
    if curves := [name for tag, name in _CURVES.items() if tag in tags]:
        raise IntegrityError(f"says by {' and '.join(curves)} that its values are not sRGB's; convert it first")
    largest = _tuple(tags.get(_MAX_SAMPLE, tags.get(_S_MAX_SAMPLE, 0)))[0]
    fewer = [n for n in range(_BYTE, bits) if largest == 2**n - 1]  # else it is what this image's largest value is
    return Declared(bits, fewer[0] if fewer and not floats else bits, floats)


def _refuse_short_strips(image: Image.Image, tags: Any, bits: int) -> None:
    """Plain strips that say to hold less than the picture, for which decoders take what comes after them."""
    held, needed = sum(_tuple(tags.get(_STRIP_BYTES, ()))), -(-image.width * bits // _BYTE) * image.height
    if _STRIP_BYTES in tags and tags.get(_COMPRESSION, 1) == 1 and held < needed:
        raise IntegrityError(f"holds {held} of {needed} bytes")


def _tuple(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _lossy(value: int) -> bool:
    """Whether a 16-bit colour says more than its upper byte; writers repeat that byte, or put 0 below."""
    return value & 0xFF not in (0, value >> _BYTE)


_EXIF_INTEROPERABILITY, _INDEX, _ADOBE_RGB = 0xA005, 1, "R03"


def _jpeg(image: Image.Image, _: bytes) -> Declared:
    index = image.getexif().get_ifd(_EXIF_INTEROPERABILITY).get(_INDEX, "")
    if str(index).startswith(_ADOBE_RGB) and "icc_profile" not in image.info:
        raise IntegrityError("has colours of Adobe RGB, as its EXIF data say; convert it to sRGB first")
    return Declared()


_RULES = {"PNG": _png, "GIF": _gif, "BMP": _bmp, "TIFF": _tiff, "JPEG": _jpeg, "MPO": _jpeg}
