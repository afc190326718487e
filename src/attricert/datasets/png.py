"""What a PNG file's chunks say, some of which Pillow passes over; and whether the file is whole."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from attricert.errors import IntegrityError
from attricert.text import one_line

__all__ = ["GRAY", "PALETTE", "RGB", "Png"]

GRAY, RGB, PALETTE = 0, 2, 3  # colour types; 4 more for an alpha channel
_SAMPLES = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY + 4: 2, RGB + 4: 4}  # of a pixel
_HEADER = struct.Struct(">IIBBBBB")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KNOWN = (b"IHDR", b"PLTE", b"IDAT", b"IEND")  # of those that a reader must understand
# x and y where each pass of an interlaced image starts, and its steps.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))

# In units of 1e-5, as chunks have them: gamma; white point, red, green, blue. Writers round them.
_GAMMA, _PRIMARIES, _NEAR = 45455, (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000), 500
_CICP_SRGB = (b"\x01\x0d\x00\x01",)  # primaries, transfer, matrix, full range


@final
@dataclass(frozen=True)
class Png:
    """A PNG file, taken apart.

    Args:
        size: width and height.
        bits: of a sample, or of a palette's index.
        colour: type.
        interlaced: whether the image comes in seven passes.
        chunks: the others, kind and content, as they come.
        data: of the image, compressed.
    """

    size: tuple[int, int]
    bits: int
    colour: int
    interlaced: bool
    chunks: tuple[tuple[bytes, bytes], ...]
    data: bytes

    @classmethod
    def parse(cls, content: bytes) -> Png:
        """Take a file apart.

        Raises:
            IntegrityError: a chunk is damaged, missing, or of a kind that must be understood and is not.
        """
        (first, header), *chunks = _chunks(content)
        if first != b"IHDR" or len(header) != _HEADER.size:
            raise _damaged("it does not begin with a PNG header")
        for kind, _ in chunks:
            if kind[:1].isupper() and kind not in _KNOWN:
                raise IntegrityError(f"has a chunk {kind!r}, which must be understood and is not")
        width, height, bits, colour, _, _, interlaced = _HEADER.unpack(header)
        if colour not in _SAMPLES:
            raise _damaged(f"PNG colour type {colour}")
        data = b"".join(body for kind, body in chunks if kind == b"IDAT")
        others = tuple(chunk for chunk in chunks if chunk[0] != b"IDAT")
        return cls((width, height), bits, colour, bool(interlaced), others, data)

    def chunk(self, kind: bytes) -> bytes | None:
        """The first chunk of a kind; None if there is none."""
        return next((body for name, body in self.chunks if name == kind), None)

    @property
    def has_exif(self) -> bool:
        """Whether there may be EXIF data, or the same in text."""
        text = (body for kind, body in self.chunks if kind in (b"tEXt", b"zTXt", b"iTXt"))
        marks = (b"Raw profile type ", b"XML:com.adobe.xmp")
        return self.chunk(b"eXIf") is not None or any(body.startswith(marks) for body in text)

    @property
    def significant(self) -> int:
        """Bits of a sample that mean something, as the file says; the fewest of its channels."""
        said = self.chunk(b"sBIT")
        return min((self.bits, *said[: _SAMPLES[self.colour]])) if said and self.colour != PALETTE else self.bits

    @property
    def transparent(self) -> tuple[int, ...] | None:
        """The gray value or RGB colour that stands for transparent, at the image's own depth."""
        said = self.chunk(b"tRNS")
        if said is None or self.colour not in (GRAY, RGB):
            return None
        count = _SAMPLES[self.colour]
        return struct.unpack_from(f">{count}H", said) if len(said) >= 2 * count else None

    def refuse_other_colours(self) -> None:
        """Refuse colours that are not sRGB's, where no ICC profile says what they are.

        Raises:
            IntegrityError: they are others.
        """
        code_points = self.chunk(b"cICP")
        if code_points is not None and code_points not in _CICP_SRGB:
            raise IntegrityError(f"has colours of another kind than sRGB (cICP {tuple(code_points)}); convert it first")
        if code_points is not None or self.chunk(b"iCCP") is not None or self.chunk(b"sRGB") is not None:
            return
        gamma, primaries = self._numbers(b"gAMA", 1), self._numbers(b"cHRM", len(_PRIMARIES))
        if gamma and abs(gamma[0] - _GAMMA) > _NEAR:
            raise IntegrityError(f"has a gamma of {gamma[0] / 1e5:g} (gAMA), not sRGB's 1/2.2; convert it first")
        if primaries and self.colour not in (GRAY, GRAY + 4) and _far(primaries):
            raise IntegrityError("has other primary colours than sRGB (cHRM); convert it first")

    def refuse_incomplete(self) -> None:
        """Refuse an image whose data are not all there: decoders leave such pixels black.

        Raises:
            IntegrityError: there are less, more, or others than were written.
        """
        packed = zlib.decompressobj()
        expected = sum(rows * (1 + row) for rows, row in self._lines())
        try:
            found = len(packed.decompress(self.data, expected + 1))
        except zlib.error as error:
            raise _damaged(one_line(str(error))) from None
        if found != expected or not packed.eof:
            raise _damaged(f"{found} bytes of image data, must be {expected}")

    def _lines(self) -> Iterator[tuple[int, int]]:
        """How many lines of how many bytes there are, pass by pass."""
        width, height = self.size
        for x, y, right, down in _PASSES if self.interlaced else ((0, 0, 1, 1),):
            columns, rows = -((x - width) // right), -((y - height) // down)
            if columns > 0 and rows > 0:
                yield rows, (columns * self.bits * _SAMPLES[self.colour] + 7) // 8

    def _numbers(self, kind: bytes, count: int) -> tuple[int, ...] | None:
        said = self.chunk(kind)
        return struct.unpack_from(f">{count}I", said) if said is not None and len(said) >= 4 * count else None


def _damaged(how: str) -> IntegrityError:
    return IntegrityError(f"cannot be read as an image ({how})")


def _far(primaries: tuple[int, ...]) -> bool:
    return any(abs(said - srgb) > _NEAR for said, srgb in zip(primaries, _PRIMARIES, strict=True))


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of each, with the right check sum, up to the last."""
    found: list[tuple[bytes, bytes]] = []
    at = len(_SIGNATURE)
    while not found or found[-1][0] != b"IEND":
        (length,) = struct.unpack_from(">I", content, at) if at + 8 <= len(content) else (len(content),)
        body, end = content[at + 8 : at + 8 + length], at + 12 + length
        if end > len(content):
            raise _damaged("cut short: its last chunk is not there")
        kind = content[at + 4 : at + 8]
        if zlib.crc32(kind + body) != int.from_bytes(content[end - 4 : end], "big"):
            raise _damaged(f"wrong check sum of its chunk {kind!r}")
        found.append((kind, body))
        at = end
    return found
