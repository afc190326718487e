"""Every kind of image file is read right, by arithmetic on the samples that were put into it, or refused by name."""

import io
import itertools
import json
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin

import attricert as ac
from attricert import runs
from attricert.cli.main import main
from attricert.datasets import ImageFolder
from attricert.datasets.pictures import decoded
from attricert.runs.manifest import Manifest
from attricert.runs.results import gather

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GRAY = BYTES[..., 0]
DEEP = RNG.integers(0, 2**16, (6, 9), dtype=np.uint16)
DEEP[0, :2] = 0, 65535


def folder(tmp_path, **files):
    """A folder of files; a double underscore stands for the dot."""
    place = tmp_path / str(len(list(tmp_path.iterdir())))
    place.mkdir()
    for name, content in files.items():
        (place / name.replace("__", ".")).write_bytes(content)
    return place


def read(tmp_path, suffix, content, channels=None):
    """The pixels, and in which words."""
    data = ImageFolder.of(folder(tmp_path, **{f"a__{suffix}": content}), channels)
    pixels, label = data[0]
    assert label == -1
    words = data.survey().reading
    assert set(words.values()) == {1}
    return pixels.numpy(), list(words)


def refused(tmp_path, suffix, content, shown=True):
    """Why; the file is named, and whether its header shows it is counted."""
    data = ImageFolder.of(folder(tmp_path, **{f"a__{suffix}": content}))
    with pytest.raises(ac.ArgumentError) as error:
        data[0]
    assert f"a.{suffix}': " in str(error.value)
    assert ("refused as their headers show" in data.survey().reading) == shown
    return str(error.value)


def saved(pixels, kind, mode=None, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def lines(samples, depth):
    """PNG's lines, unfiltered; samples of shape (height, width, channels)."""
    for row in samples:
        bits = (row.reshape(-1, 1).astype(np.int64) >> np.arange(depth)[::-1]) & 1
        yield b"\0" + np.packbits(bits.astype(np.uint8).reshape(-1)).tobytes()


def png(samples, depth, colour, *extra, interlaced=False, data=None):
    samples = samples.reshape(*samples.shape[:2], -1)
    passes = [samples]
    if interlaced:  # PNG specification, 8.2
        starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
        passes = [samples[y::down, x::right] for y, x, down, right in starts]
    whole = b"".join(b"".join(lines(part, depth)) for part in passes if part.size)
    size = (samples.shape[1], samples.shape[0])
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced))
    body = zlib.compress(whole) if data is None else data
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def tiff(samples, bits, order="<", **tags):
    """One strip; tags by the names that follow, an integer or several."""
    numbers = {"photometric": 262, "compression": 259, "extra": 338, "format": 339, "map": 320, "order": 266}
    numbers |= {"orientation": 274, "largest": 281, "rows": 278, "planar": 284, "offsets": 273, "counts": 279}
    numbers |= {"transfer": 301, "curve": 291, "s_largest": 341}
    channels = samples.shape[2] if samples.ndim == 3 else 1
    if bits == 12:
        wide = (samples.reshape(-1, 1).astype(np.int64) >> np.arange(12)[::-1]) & 1
        data = np.packbits(wide.reshape(len(samples), -1).astype(np.uint8), axis=1).tobytes()
    elif bits < 8:
        data = b"".join(line[1:] for line in lines(samples, bits))
    else:
        data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    entries = {256: (samples.shape[1],), 257: (samples.shape[0],), 258: (bits,) * channels, 259: (1,), 262: (1,)}
    entries |= {273: (8,), 277: (channels,), 278: (samples.shape[0],), 279: (len(data),)}
    for name, value in tags.items():
        entries[numbers[name]] = value if isinstance(value, tuple) else (value,)
    at = 8 + len(data) + len(data) % 2
    table, more = struct.pack(f"{order}H", len(entries)), b""
    beyond = at + 2 + 12 * len(entries) + 4
    for tag, values in sorted(entries.items()):
        content = struct.pack(f"{order}{len(values)}H", *values)
        if len(content) > 4:
            content, more = struct.pack(f"{order}I", beyond + len(more)), more + content
        table += struct.pack(f"{order}HHI", tag, 3, len(values)) + content.ljust(4, b"\0")
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", at)
    return start + data + bytes(len(data) % 2) + table + bytes(4) + more


def bmp(width, height, bits, rows, palette=(), compression=0, masks=b"", tail=b""):
    """Bottom up."""
    colours = b"".join(bytes([blue, green, red, 0]) for red, green, blue in palette)
    size = 40 + len(tail)
    offset = 14 + size + len(masks) + len(colours)
    header = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, compression, len(rows), 0, 0, len(palette), 0)
    start = b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset)
    return start + header + tail + masks + colours + rows


def exact(pixels, samples, largest):
    """Rounded once, to float32."""
    expected = (samples.astype(np.float64) / largest).astype(np.float32)
    expected = expected[None] if expected.ndim == 2 else np.moveaxis(expected, -1, 0)
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("interlaced", [False, True])
def test_gray_png_files_of_every_depth(tmp_path, depth, interlaced):
    samples = DEEP >> (16 - depth)
    pixels, words = read(tmp_path, "png", png(samples, depth, 0, interlaced=interlaced))
    exact(pixels, samples, 2**depth - 1)
    assert words == [f"{depth}-bit gray, divided by {2**depth - 1}"]
    if not interlaced:
        pixels, words = read(tmp_path, "PNG", png(samples, depth, 0), channels=3)
        exact(pixels, np.repeat(samples[..., None], 3, axis=2), 2**depth - 1)
        assert words[1:] == ["gray put in three channels"]


def test_colours_of_eight_bits(tmp_path):
    for content, suffix in (
        (png(BYTES, 8, 2), "png"),
        (png(BYTES, 8, 2, interlaced=True), "png"),
        (saved(BYTES, "BMP"), "bmp"),
        (saved(BYTES, "TIFF"), "tif"),
        (saved(BYTES, "TIFF", compression="tiff_lzw"), "tiff"),
        (saved(BYTES, "WEBP", lossless=True), "webp"),
        (tiff(BYTES, 8, ">", photometric=2), "tif"),
    ):
        pixels, words = read(tmp_path, suffix, content)
        exact(pixels, BYTES, 255)
        assert words == ["8-bit RGB, divided by 255"]
    pixels, words = read(tmp_path, "png", png(BYTES, 8, 2), channels=1)
    luma = BYTES.astype(np.float64) @ (0.299, 0.587, 0.114)
    assert np.abs(pixels[0] * 255 - luma).max() <= 0.51
    assert words == ["8-bit RGB, divided by 255", "colours made gray"]


def test_jpeg_files_are_what_their_decoder_gives(tmp_path):
    smooth = np.add.outer(np.arange(16), np.arange(24)).astype(np.uint8) * 5
    for mode in ("L", "RGB"):
        pixels, words = read(tmp_path, "jpg", saved(smooth, "JPEG", mode, quality=100))
        assert pixels.shape == (1 if mode == "L" else 3, 16, 24)
        assert np.abs(pixels * 255 - smooth).max() < 4
        assert words == [f"8-bit {'gray' if mode == 'L' else 'RGB'}, divided by 255"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_gray_tiff_files(tmp_path, order):
    pixels, words = read(tmp_path, "tif", tiff(DEEP, 16, order))
    exact(pixels, DEEP, 65535)
    assert words == ["16-bit gray, divided by 65535"]
    exact(read(tmp_path, "tif", tiff(DEEP, 16, order, largest=int(DEEP.max())))[0], DEEP, 65535)


def test_twelve_bits_and_compressed_sixteen(tmp_path):
    samples = (DEEP >> 4)[:, :8]
    pixels, words = read(tmp_path, "tif", tiff(samples, 12))
    exact(pixels, samples, 4095)
    assert words == ["12-bit gray, divided by 4095"]
    for compression in ("tiff_lzw", "tiff_adobe_deflate"):
        exact(read(tmp_path, "tif", saved(DEEP, "TIFF", compression=compression))[0], DEEP, 65535)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_shallow_gray_tiff_files(tmp_path, bits, white_is_zero):
    samples = GRAY >> (8 - bits)
    pixels, words = read(tmp_path, "tif", tiff(samples, bits, photometric=0 if white_is_zero else 1))
    exact(pixels, 2**bits - 1 - samples if white_is_zero else samples, 2**bits - 1)
    assert words == [f"{bits}-bit gray, divided by {2**bits - 1}"]


def test_floats_in_the_unit_interval(tmp_path):
    values = RNG.random((5, 7), dtype=np.float32)
    values[0, :2] = 0, 1
    pixels, words = read(tmp_path, "tif", saved(values, "TIFF"))
    np.testing.assert_array_equal(pixels[0], values)
    assert words == ["gray floats in [0, 1], as they are"]
    for wrong, told in ((-0.25, r"[-0.25, 1]"), (255.0, "[0, 255]"), (np.nan, "nan"), (np.inf, "[0, inf]")):
        other = values.copy()
        other[2, 2] = wrong
        message = refused(tmp_path, "tif", saved(other, "TIFF"), shown=False)
        assert told in message
        assert "must be in [0, 1]" in message


def test_what_decoders_would_cut_short_or_misread_is_refused(tmp_path):
    deep = np.stack([DEEP, DEEP, DEEP], axis=-1)
    four, signed = np.concatenate([deep, deep[..., :1]], axis=-1), DEEP.astype(np.int16)
    keep = "has 16 bits a channel, of which decoders keep 8"
    for samples, colour in ((deep, 2), (four, 6), (four[..., :2], 4)):
        assert keep in refused(tmp_path, "png", png(samples, 16, colour))
    for order in "<>":
        assert keep in refused(tmp_path, "tif", tiff(deep, 16, order, photometric=2))
        assert keep in refused(tmp_path, "tif", tiff(four, 16, order, photometric=2, extra=2))
        assert "signed integers (16 bits)" in refused(tmp_path, "tif", tiff(signed, 16, order, format=2))
        assert "signed integers (8 bits)" in refused(tmp_path, "tif", tiff(GRAY, 8, order, format=2))
        assert "signed integers (32 bits)" in refused(
            tmp_path, "tif", tiff(signed.astype(np.int32), 32, order, format=2)
        )
    assert "32-bit integers" in refused(tmp_path, "tif", tiff(DEEP.astype(np.uint32), 32, format=1))
    assert "white as 0" in refused(tmp_path, "tif", tiff(DEEP, 16, photometric=0))
    assert "floating-point" not in refused(tmp_path, "tif", tiff(DEEP, 16, format=3))  # Pillow knows none of 16 bits
    unstated = np.concatenate([BYTES, BYTES[..., :1]], axis=-1)
    assert "no stated meaning" in refused(tmp_path, "tif", tiff(unstated, 8, photometric=2, extra=0))
    assert "no stated meaning" in refused(tmp_path, "tif", tiff(BYTES[..., :2], 8, extra=0))
    for wrong in (12, 10):
        small = DEEP >> (16 - wrong)
        assert f"{wrong} count, and no value above" in refused(
            tmp_path, "tif", tiff(small, 16, largest=2**wrong - 1), shown=False
        )
    assert "5 or 6 bits a channel" in refused(tmp_path, "bmp", bmp(4, 2, 16, bytes(16)))


def test_significant_bits_of_png_files(tmp_path):
    """They say how fine samples are, not how large; where they might say the latter there is no telling."""
    fine = (DEEP >> 4) << 4
    exact(read(tmp_path, "png", png(fine, 16, 0, chunk(b"sBIT", b"\x0c")))[0], fine, 65535)
    exact(read(tmp_path, "png", png(BYTES, 8, 2, chunk(b"sBIT", b"\x08\x08\x08")))[0], BYTES, 255)
    exact(read(tmp_path, "png", png(DEEP * 0, 16, 0, chunk(b"sBIT", b"\x0c")))[0], DEEP * 0, 65535)
    message = refused(tmp_path, "png", png(DEEP >> 4, 16, 0, chunk(b"sBIT", b"\x0c")), shown=False)
    assert "16 bits of which 12 count, and no value above 4095" in message
    assert "8 bits of which 5" in refused(
        tmp_path, "png", png(BYTES >> 3, 8, 2, chunk(b"sBIT", b"\5\5\5")), shown=False
    )


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palettes_give_their_colours(tmp_path, depth):
    colours = RNG.integers(0, 256, (2**depth, 3), dtype=np.uint8)
    samples = GRAY >> (8 - depth)
    plte = chunk(b"PLTE", colours.tobytes())
    wide = tuple(int(value) * 257 for value in colours.T.reshape(-1))
    for suffix, content in (
        ("png", png(samples, depth, 3, plte)),
        ("png", png(samples, depth, 3, plte, chunk(b"tRNS", b"\xff"))),
        ("tif", tiff(samples, depth, photometric=3, map=wide)),
    ):
        pixels, words = read(tmp_path, suffix, content)
        exact(pixels, colours[samples], 255)
        assert words[0] == "palette of 8-bit RGB, divided by 255"
    message = refused(tmp_path, "png", png(samples, depth, 3, plte, chunk(b"tRNS", b"\x80" * 2**depth)), shown=False)
    assert "has transparent pixels; flatten it" in message
    fewer = chunk(b"PLTE", colours[: samples.max()].tobytes())
    message = refused(tmp_path, "png", png(samples, depth, 3, fewer), shown=False)
    assert f"it has colour {samples.max()} of a palette of {samples.max()}" in message


def test_palettes_of_other_formats(tmp_path):
    colours = RNG.integers(0, 256, (256, 3), dtype=np.uint8)
    image = Image.fromarray(GRAY).convert("L")
    image.putpalette(colours.tobytes())
    for kind in ("GIF", "BMP", "TIFF"):
        exact(read(tmp_path, kind[:4].lower(), saved(image, kind))[0], colours[GRAY], 255)
    gray = np.repeat(GRAY[..., None], 3, axis=2)  # a palette of grays
    exact(read(tmp_path, "gif", saved(GRAY, "GIF"))[0], gray, 255)
    deep = tuple(int(value) * 257 + 1 for value in colours.T.reshape(-1) // 2)
    assert "palette of 16 bits" in refused(tmp_path, "tif", tiff(GRAY, 8, photometric=3, map=deep))
    two = [(0, 0, 0), (255, 255, 255)]
    rows = bytes([0, 1, 1, 0, 1, 1, 0, 1])
    assert "misread at 8 bits" in refused(tmp_path, "bmp", bmp(4, 2, 8, rows, two))
    bits = np.array([[0, 1, 1, 0, 1], [1, 0, 0, 0, 1]])
    packed = b"".join(np.packbits(row).tobytes().ljust(4, b"\0") for row in bits[::-1])
    exact(read(tmp_path, "bmp", bmp(5, 2, 1, packed, two))[0], bits, 1)
    inverted = read(tmp_path, "bmp", bmp(5, 2, 1, packed, two[::-1]))[0]
    exact(inverted, np.repeat(1 - bits[..., None], 3, axis=2), 1)


OPAQUE = np.full((6, 9, 1), 255, np.uint8)
HOLED = OPAQUE.copy()
HOLED[3, 4] = 254


@pytest.mark.parametrize(("alpha", "passes"), [(OPAQUE, True), (HOLED, False)], ids=["opaque", "holed"])
def test_alpha_is_dropped_only_where_all_is_opaque(tmp_path, alpha, passes):
    rgba, la = np.concatenate([BYTES, alpha], axis=-1), np.concatenate([BYTES[..., :1], alpha], axis=-1)
    bottom_up = np.concatenate([BYTES[..., ::-1], alpha], axis=-1)[::-1].tobytes()
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    for suffix, content, samples in (
        ("png", png(rgba, 8, 6), BYTES),
        ("png", png(la, 8, 4), GRAY),
        ("webp", saved(rgba, "WEBP", lossless=True, exact=True), BYTES),
        ("tif", tiff(rgba, 8, photometric=2, extra=2), BYTES),
        ("tif", tiff(rgba, 8, photometric=2, extra=1), BYTES),
        ("tif", tiff(la, 8, extra=2), GRAY),
        ("tif", tiff(la, 8, extra=1), GRAY),
        ("bmp", bmp(9, 6, 32, bottom_up), BYTES),
        ("bmp", bmp(9, 6, 32, bottom_up, compression=3, tail=masks), BYTES),
    ):
        if passes:
            pixels, words = read(tmp_path, suffix, content)
            exact(pixels, samples, 255)
            assert len(words) == 1 or words[1:] == ["alpha, opaque or refused"]
        else:
            message = refused(
                tmp_path, suffix, content, shown=b"BM" in content[:2] and b"\xff\0\0\0" not in content[:70]
            )
            assert "transparent pixels" in message or "may be an alpha channel" in message


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_gray_value_that_stands_for_transparent(tmp_path, depth):
    samples = np.minimum(DEEP >> (16 - depth), 2**depth - 2)
    unused = chunk(b"tRNS", struct.pack(">H", 2**depth - 1))
    exact(read(tmp_path, "png", png(samples, depth, 0, unused))[0], samples, 2**depth - 1)
    clear = chunk(b"tRNS", struct.pack(">H", int(samples[3, 4])))
    assert "has transparent pixels" in refused(tmp_path, "png", png(samples, depth, 0, clear), shown=False)


def test_a_colour_that_stands_for_transparent(tmp_path):
    there, elsewhere = BYTES[3, 4], BYTES[3, 4] ^ np.array([0, 0, 1], np.uint8)
    content = png(BYTES, 8, 2, chunk(b"tRNS", struct.pack(">3H", *elsewhere)))
    exact(read(tmp_path, "png", content)[0], BYTES, 255)
    content = png(BYTES, 8, 2, chunk(b"tRNS", struct.pack(">3H", *there)))
    assert "has transparent pixels" in refused(tmp_path, "png", content, shown=False)
    image = Image.fromarray(GRAY).convert("P")
    assert "has transparent pixels" in refused(
        tmp_path, "gif", saved(image, "GIF", transparency=int(GRAY[0, 0])), shown=False
    )


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "YCbCr"])
def test_colours_that_are_not_rgb_are_refused(tmp_path, mode):
    count = len(Image.new(mode, (1, 1)).getbands())
    image = Image.frombytes(mode, (9, 6), RNG.bytes(54 * count))
    assert mode in refused(tmp_path, "tif", saved(image, "TIFF"))
    if mode == "CMYK":
        assert mode in refused(tmp_path, "jpg", saved(image, "JPEG"))


# How EXIF's orientations turn stored pixels upright.
UPRIGHT = {
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2),
    8: np.rot90,
}


def exif(orientation):
    found = Image.Exif()
    found[274] = orientation
    return found.tobytes()


@pytest.mark.parametrize("orientation", range(10))
def test_images_are_turned_as_exif_says(tmp_path, orientation):
    files = [
        ("png", saved(BYTES, "PNG", exif=exif(orientation)), BYTES),
        ("png", saved(DEEP, "PNG", exif=exif(orientation)), DEEP),
        ("webp", saved(BYTES, "WEBP", lossless=True, exif=exif(orientation)), BYTES),
        ("tif", tiff(BYTES, 8, photometric=2, orientation=orientation), BYTES),
        ("tif", tiff(DEEP, 16, ">", orientation=orientation), DEEP),
    ]
    if orientation in (1, *UPRIGHT):
        packed = saved(BYTES, "TIFF", compression="tiff_lzw", tiffinfo={274: orientation})
        files.append(("tif", packed, BYTES))
    for suffix, content, samples in files:
        if orientation == 9:
            assert "has an EXIF orientation of 9" in refused(tmp_path, suffix, content)
            continue
        pixels, words = read(tmp_path, suffix, content)
        exact(pixels, UPRIGHT.get(orientation, np.asarray)(samples), 255 if samples is BYTES else 65535)
        assert ("turned as EXIF says" in words) == (orientation in UPRIGHT)
    if orientation in UPRIGHT:
        smooth = np.repeat(np.arange(0, 240, 10, dtype=np.uint8)[:, None], 8, axis=1)
        pixels, words = read(tmp_path, "jpg", saved(smooth, "JPEG", quality=100, exif=exif(orientation)))
        assert np.abs(pixels[0] * 255 - UPRIGHT[orientation](smooth)).max() < 3
        assert words[1:] == ["turned as EXIF says"]


def icc_profile(space, gamma, **columns):
    """A profile of version 2, made by hand; columns of its matrix, adapted to D50."""

    def xyz(*values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"Hand-made"
    named = b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + bytes(1 + 4 + 4 + 2 + 1 + 67)
    tags = {b"desc": named + bytes(-len(named) % 4), b"wtpt": xyz(0.9642, 1, 0.8249)}
    for name, values in columns.items():
        tags |= {f"{name}XYZ".encode(): xyz(*values), f"{name}TRC".encode(): curve}
    tags = tags if columns else {**tags, b"kTRC": curve}
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s6H4s", size, b"", 0x02100000, b"mntr", space, b"XYZ ", 2024, 1, 1, 0, 0, 0, b"acsp")
    head += bytes(28) + xyz(0.9642, 1, 0.8249)[8:]
    return head.ljust(128, b"\0") + table + body


P3 = {"r": (0.51512, 0.24120, -0.00105), "g": (0.29198, 0.69225, 0.04189), "b": (0.15710, 0.06657, 0.78407)}


def p3_to_srgb(samples):
    """By the two spaces' definitions: gamma 2.2, P3's matrix into XYZ (D50), sRGB's out of it, sRGB's curve."""
    to_xyz = np.array(list(P3.values())).T
    srgb = np.array([[0.43607, 0.38515, 0.14308], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    linear = np.clip((samples / 255.0) ** 2.2 @ (np.linalg.inv(srgb) @ to_xyz).T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_colours_of_other_profiles_become_those_of_srgb(tmp_path):
    icc = icc_profile(b"RGB ", 2.2, **P3)
    middle = (BYTES // 2 + 64).astype(np.uint8)
    for suffix, kind in (("png", "PNG"), ("tif", "TIFF"), ("webp", "WEBP")):
        options = {"lossless": True} if kind == "WEBP" else {}
        pixels, words = read(tmp_path, suffix, saved(middle, kind, icc_profile=icc, **options))
        assert words == ["8-bit RGB, divided by 255", "colours taken from Hand-made to sRGB"]
        assert np.abs(np.moveaxis(pixels, 0, -1) - p3_to_srgb(middle)).max() < 2.5 / 255
        assert np.abs(np.moveaxis(pixels, 0, -1) - middle / 255.0).max() > 10 / 255
    pixels, words = read(tmp_path, "jpg", saved(middle, "JPEG", icc_profile=icc, quality=100, subsampling=0))
    assert words[1:] == ["colours taken from Hand-made to sRGB"]


def test_profiles_that_change_nothing_or_cannot_be_used(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for pixels, suffix in itertools.product((BYTES, GRAY), ("png", "tif")):
        kind = {"png": "PNG", "tif": "TIFF"}[suffix]
        found, words = read(tmp_path, suffix, saved(pixels, kind, icc_profile=srgb))
        exact(found, pixels, 255)
        assert len(words) == 1
    exact(read(tmp_path, "png", saved(DEEP, "PNG", icc_profile=icc_profile(b"GRAY", 2.2)))[0], DEEP, 65535)
    assert "gray scale that is not sRGB's" in refused(
        tmp_path, "png", saved(GRAY, "PNG", icc_profile=icc_profile(b"GRAY", 1.0))
    )
    assert "gray scale that is not sRGB's" in refused(
        tmp_path, "tif", saved(GRAY, "TIFF", icc_profile=icc_profile(b"GRAY", 1.8))
    )
    assert "profile for GRAY" in refused(tmp_path, "png", saved(BYTES, "PNG", icc_profile=icc_profile(b"GRAY", 2.2)))
    assert "ICC profile that cannot be read" in refused(tmp_path, "png", saved(BYTES, "PNG", icc_profile=b"no profile"))
    broken = png(BYTES, 8, 2, chunk(b"iCCP", b"name\0\0not compressed"))
    assert "ICC profile that cannot be read" in refused(tmp_path, "png", broken)
    adobe = Image.Exif()
    adobe[0x8769] = {0xA005: {1: "R03"}}
    assert "Adobe RGB" in refused(tmp_path, "jpg", saved(BYTES, "JPEG", exif=adobe.tobytes()))


def test_gammas_of_png_files(tmp_path):
    srgb, linear = chunk(b"gAMA", struct.pack(">I", 45455)), chunk(b"gAMA", struct.pack(">I", 100_000))
    exact(read(tmp_path, "png", png(BYTES, 8, 2, srgb))[0], BYTES, 255)
    exact(read(tmp_path, "png", png(BYTES, 8, 2, linear, chunk(b"sRGB", b"\0")))[0], BYTES, 255)
    assert "has a gamma of 1 (gAMA)" in refused(tmp_path, "png", png(BYTES, 8, 2, linear))
    assert "has a gamma of 1 (gAMA)" in refused(tmp_path, "png", png(DEEP, 16, 0, linear))
    usual = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    wide = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    exact(read(tmp_path, "png", png(BYTES, 8, 2, chunk(b"cHRM", struct.pack(">8I", *usual))))[0], BYTES, 255)
    assert "other primary colours" in refused(
        tmp_path, "png", png(BYTES, 8, 2, chunk(b"cHRM", struct.pack(">8I", *wide)))
    )
    exact(read(tmp_path, "png", png(BYTES, 8, 2, chunk(b"cICP", b"\1\x0d\0\1")))[0], BYTES, 255)
    assert "cICP (9, 16, 0, 1)" in refused(tmp_path, "png", png(BYTES, 8, 2, chunk(b"cICP", b"\x09\x10\0\1")))


def frames(kind, count):
    images = [Image.fromarray(np.full((6, 9, 3), 40 * i, np.uint8)) for i in range(1, count + 1)]
    return saved(images[0], kind, save_all=True, append_images=images[1:])


def test_more_than_one_frame_is_refused(tmp_path):
    for kind, suffix in (("GIF", "gif"), ("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tif"), ("MPO", "jpg")):
        assert "has 3 frames or pages, must have one" in refused(tmp_path, suffix, frames(kind, 3))
        assert read(tmp_path, suffix, frames(kind, 1))[0].shape == (3, 6, 9)
    part = bytearray(saved(GRAY, "GIF"))
    part[6:10] = struct.pack("<HH", 20, 20)
    assert "holds 54 of 20 x 20 pixels" in refused(tmp_path, "gif", bytes(part))
    rows = tiff(DEEP, 16, rows=2)  # the strips of the others are missing
    assert "holds 18 of 9 x 6 pixels" in refused(tmp_path, "tif", rows)
    planes = BYTES.transpose(2, 0, 1).reshape(6, 9, 3)
    assert "holds 18 of 9 x 6 pixels" in refused(tmp_path, "tif", tiff(planes, 8, photometric=2, planar=2))
    whole = tiff(planes, 8, photometric=2, planar=2, offsets=(8, 8 + 54, 8 + 2 * 54), counts=(54, 54, 54))
    exact(read(tmp_path, "tif", whole)[0], BYTES, 255)
    # A still image apart from the one frame of its animation.
    control = struct.pack(">IIIIIHHBB", 0, 9, 6, 0, 0, 1, 1, 0, 0)
    whole = png(BYTES, 8, 2, chunk(b"acTL", struct.pack(">II", 1, 0)))
    frame = chunk(b"fcTL", control) + chunk(b"fdAT", struct.pack(">I", 1) + zlib.compress(b"".join(lines(BYTES, 8))))
    assert "has 2 frames" in refused(tmp_path, "png", whole[:-12] + frame + whole[-12:])


def test_suffixes_must_be_the_formats(tmp_path):
    assert "is a JPEG file, though its name says PNG; rename it" in refused(tmp_path, "png", saved(BYTES, "JPEG"))
    assert "is a PNG file, though its name says TIFF" in refused(tmp_path, "tif", png(BYTES, 8, 2))
    assert "JPEG 2000, which is not read" in refused(tmp_path, "png", saved(BYTES, "JPEG2000"))
    assert "DICOM, which is not read" in refused(tmp_path, "tif", bytes(128) + b"DICM" + bytes(50))
    assert "a TIFF file, damaged or of a kind" in refused(tmp_path, "tif", tiff(DEEP, 16, format=3))


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_damage_is_seen(tmp_path):
    good = png(BYTES, 8, 2)
    for at in (20, 26, len(good) // 2, len(good) - 20, len(good) - 2):  # also where decoders do not look
        assert "cannot be read as an image" in refused(tmp_path, "png", flipped(good, at))
    assert "its last chunk is not there" in refused(tmp_path, "png", good[:-6])
    half = zlib.compress(b"".join(lines(BYTES, 8))[:60])
    assert "60 bytes of image data, must be 168" in refused(tmp_path, "png", png(BYTES, 8, 2, data=half), shown=False)
    stored = bytearray(zlib.compress(b"".join(lines(BYTES, 8)), 0))
    stored[20] ^= 1
    assert "cannot be read" in refused(tmp_path, "png", png(BYTES, 8, 2, data=bytes(stored)), shown=False)
    assert "must be understood" in refused(tmp_path, "png", png(BYTES, 8, 2, chunk(b"ABCD", b"")))
    assert "begin with a PNG header" in refused(tmp_path, "png", good[:8] + chunk(b"CgBI", bytes(4)) + good[8:])
    for kind, suffix in (("JPEG", "jpg"), ("GIF", "gif"), ("BMP", "bmp"), ("WEBP", "webp")):
        content = saved(np.kron(BYTES, np.ones((5, 5, 1), np.uint8)), kind)
        data = ImageFolder.of(folder(tmp_path, **{f"a__{suffix}": content[: len(content) * 2 // 3]}))
        with pytest.raises(ac.ArgumentError, match=rf"a.{suffix}': cannot be read as an image"):
            data[0]
    for content in (b"", b"\x89PNG\r\n\x1a\n", b"II*\0", b"BM", b"GIF89a"):
        for suffix in ("png", "tif"):
            assert "cannot be read as an image" in refused(tmp_path, suffix, content)


@pytest.mark.parametrize("content", [png(BYTES, 8, 2), png(DEEP, 16, 0)], ids=["colours", "deep"])
def test_no_bit_of_a_png_file_can_change(content):
    for at in range(len(content)):
        with pytest.raises(ac.IntegrityError):
            decoded(flipped(content, at), ".png", None)
    assert decoded(content, ".png", None)[0].size


def test_pillows_settings_do_not_matter_and_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    assert "decompression bomb" in refused(tmp_path, "png", bomb)
    jpeg = saved(np.kron(BYTES, np.ones((9, 9, 1), np.uint8)), "JPEG")
    assert "truncated" in refused(tmp_path, "jpg", jpeg[: len(jpeg) // 2], shown=False)
    exact(read(tmp_path, "png", png(BYTES, 8, 2))[0], BYTES, 255)
    assert Image.MAX_IMAGE_PIXELS is None
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True
    before = list(warnings.filters)
    refused(tmp_path, "png", bomb)
    assert warnings.filters == before


def test_what_is_not_read_is_named(tmp_path):
    place = folder(tmp_path, a__png=png(GRAY, 8, 0), c__heic=b"", b__npy=b"", d__dcm=b"", e__jp2=b"")
    (place / ".DS_Store").write_bytes(b"")
    (place / "Thumbs.db").write_bytes(b"")
    (place / "more").mkdir()
    reading = ImageFolder.of(place).survey().reading
    assert reading == {"8-bit gray, divided by 255": 1, "left out (b.npy, c.heic, d.dcm and 2 more)": 5}
    assert "left out (b.npy, c.heic, d.dcm and 2 more)" in ac.datasets.load_folder(place).reading
    (place / "a.png").unlink()
    with pytest.raises(ac.ArgumentError, match=r"holds no images \(.*\), but b.npy, c.heic, d.dcm and 2 more"):
        ImageFolder.of(place)


def test_data_in_memory_say_how_they_were_read(digits):
    assert digits.survey().reading == {"8-bit gray, divided by 255": 100}
    assert digits.slice(2, 5).survey().reading == {"8-bit gray, divided by 255": 3}
    assert digits.survey().sha256 == digits.digest()
    assert ac.datasets.load("cifar10", "sample").reading == "8-bit RGB, divided by 255"
    own = ac.datasets.Labelled(digits.images[:2], digits.labels[:2], ("a", "b"))
    assert own.survey().reading == {"numbers as they were given": 2}


DIGIT = np.eye(28, dtype=np.uint8) * 200
READ = {
    "16-bit gray, divided by 65535": 1,
    "8-bit gray, divided by 255": 2,
    "turned as EXIF says": 1,
    "8-bit RGB, divided by 255": 1,
    "alpha, opaque or refused": 1,
    "colours made gray": 1,
    "refused as their headers show": 2,
    "left out (notes.txt)": 1,
}


def mixed(tmp_path):
    """Three files that are read, two that are refused by their headers (the first among them), one by its pixels."""
    clear = np.full((28, 28, 4), 100, np.uint8)
    return folder(
        tmp_path,
        a__png=frames("PNG", 2),
        b__png=png(DIGIT.astype(np.uint16) * 257, 16, 0),
        c__png=saved(DIGIT, "PNG"),
        d__tif=saved(DIGIT, "TIFF", tiffinfo={274: 6}),
        e__png=png(clear, 8, 6),
        f__png=saved(BYTES, "JPEG"),
        notes__txt=b"",
    )


def test_a_run_over_good_and_bad_files(tmp_path, capsys):
    out = str(tmp_path / "run")
    command = ["certify", "--model", "mnist-standard", "--data", str(mixed(tmp_path)), "--out", out]
    assert main([*command, "--noise", "gaussian", "--sigma", "0.25", "--n_samples", "100", "--seed", "1"]) == 1
    told = "; ".join(f"{words}: {number}" for words, number in READ.items())
    said = capsys.readouterr().err
    assert f"attricert: data: {told}\n" in said
    store = runs.Store.open(tmp_path / "run")
    assert store.manifest.data_reading == READ
    assert f'"data": "{told}"' in (tmp_path / "run" / "log.jsonl").read_text()
    rows = {row.facts["id"]: row.facts for row in gather(store)}
    assert {name for name, row in rows.items() if row["status"] == "certified"} == {"b.png", "c.png", "d.tif"}
    assert len({rows[name]["input"] for name in ("b.png", "c.png")}) == 1  # 257 v / 65535 = v / 255
    for name, reason in {"a.png": "has 2 frames", "e.png": "has transparent pixels", "f.png": "is a JPEG"}.items():
        assert reason in rows[name]["reason"]
        assert f"{name} failed: " in said
    assert main(["status", out]) == 0
    assert f"data: {told}\n" in capsys.readouterr().out


def test_manifests_of_before_say_nothing_and_are_gone_on_with(tmp_path):
    data = folder(tmp_path, a__png=saved(DIGIT, "PNG"), b__png=saved(DIGIT, "PNG"))
    config = runs.Config(
        "mnist-standard", str(data), noise="gaussian", parameters={"sigma": 0.25}, n_samples=100, seed=1, maps="drop"
    )
    path = tmp_path / "run" / "manifest.json"
    store = runs.certify(config, tmp_path / "run", shard=runs.Shard(0, 2))
    new = store.manifest
    values = json.loads(path.read_text())
    assert values.pop("data_reading") == {"8-bit gray, divided by 255": 2}
    old = Manifest.from_json(json.dumps(values), "old")
    assert old == new
    assert old.differences(new) == new.differences(old) == []
    assert old.digest != new.digest  # of the file's own text
    for part in (tmp_path / "run" / "parts").iterdir():
        part.unlink()
    path.write_text(json.dumps(values, indent=1))
    store = runs.certify(config, tmp_path / "run")
    assert path.read_text() == json.dumps(values, indent=1)
    assert all(row.facts["status"] == "certified" for row in gather(store))
    for wrong in ([], {"a": -1}, {"a": True}, {"a": "b"}):
        with pytest.raises(ac.IntegrityError, match="data_reading"):
            Manifest.from_json(json.dumps({**values, "data_reading": wrong}), "here")


def test_tags_that_pillow_only_warns_of(tmp_path):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[270] = "a scan"
    exact(read(tmp_path, "tif", saved(BYTES, "TIFF", tiffinfo=info))[0], BYTES, 255)
    torn = saved(BYTES, "JPEG", exif=exif(6)[:-8])
    assert "cannot be read as an image" in refused(tmp_path, "jpg", torn)


def test_tiff_strips_that_are_short_and_values_by_a_curve(tmp_path):
    gray = np.arange(48, dtype=np.uint8).reshape(6, 8)
    exact(read(tmp_path, "tif", tiff(gray, 8))[0], gray, 255)
    assert "holds 20 of 48 bytes" in refused(tmp_path, "tif", tiff(gray, 8, counts=20))
    assert "by TransferFunction that its values are not sRGB's" in refused(
        tmp_path, "tif", tiff(gray, 8, transfer=(1, 2))
    )
    assert "by GrayResponseCurve" in refused(tmp_path, "tif", tiff(gray, 8, curve=(1, 2)))
    deep = gray.astype(np.uint16) * 80
    assert "has 16 bits of which 12 count" in refused(tmp_path, "tif", tiff(deep, 16, s_largest=4095), shown=False)


def test_png_with_exif_data_in_an_old_form(tmp_path):
    old = chunk(b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(b"\nexif\n  4\n45786966\n"))
    assert "EXIF data in an old form" in refused(tmp_path, "png", png(BYTES, 8, 2, old))
