"""Folders of images, one a class: every file right, by arithmetic on the samples that were put into it, or named."""

import io
import json
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

import attricert as ac
from attricert import runs
from attricert.cli.main import main
from attricert.datasets import ImageFolder, load_folder
from attricert.runs.results import gather

RNG = np.random.default_rng(3)
SIDE = 12
RGB = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
GRAY = RGB[..., 0]
PALETTE = RNG.integers(0, 256, (5, 3), dtype=np.uint8)
INDEX = RNG.integers(0, 5, (SIDE, SIDE), dtype=np.uint8)
DEEP = RNG.integers(0, 2**16, (SIDE, SIDE), dtype=np.uint16)
DEEP[0, :2] = 0, 65535
TALL = RNG.integers(0, 256, (SIDE + 7, SIDE, 3), dtype=np.uint8)


def saved(pixels, kind="PNG", **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def palette():
    image = Image.frombytes("P", (SIDE, SIDE), INDEX.tobytes())
    image.putpalette(PALETTE.tobytes())
    return image


def rotated():
    exif = Image.Exif()
    exif[274] = 6  # upright once turned by 90 degrees clockwise
    return saved(np.ascontiguousarray(np.rot90(RGB)), "PNG", exif=exif)


def with_alpha(opaque):
    alpha = np.full((SIDE, SIDE, 1), 255, np.uint8)
    alpha[3, 3] = 255 if opaque else 254
    return saved(np.concatenate([RGB, alpha], axis=2))


def deep_rgb():
    """A PNG file of 16 bits a channel, which Pillow cannot write."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + np.repeat(row[:, None], 3, axis=1).astype(">u2").tobytes() for row in DEEP)
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def animated():
    frames = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def three(gray):
    """Gray in three channels."""
    return np.repeat(np.asarray(gray, np.float64)[None], 3, axis=0)


def first(image):
    return np.moveaxis(np.asarray(image, np.float64), -1, 0)


def jpeg():
    """Its pixels are what its decoder says: all blocks of one level each come through to the bit in gray."""
    return np.kron(RNG.integers(0, 256, (2, 2), dtype=np.uint8), np.ones((8, 8), np.uint8))[:SIDE, :SIDE]


LEVELS = jpeg()
RIGHT = {  # file: content, pixels
    "cat/gray.png": (saved(GRAY), three(GRAY / 255)),
    "cat/one_bit.png": (saved(Image.fromarray(GRAY > 99)), three(GRAY > 99)),
    "cat/opaque.png": (with_alpha(opaque=True), first(RGB / 255)),
    "cat/palette.png": (saved(palette()), first(PALETTE[INDEX] / 255)),
    "dog/flat.jpg": (saved(LEVELS, "JPEG", quality=100), three(LEVELS / 255)),
    "dog/deep.png": (saved(DEEP), three(DEEP / 65535)),
    "dog/turned.png": (rotated(), first(RGB / 255)),
    "dog/plain.bmp": (saved(RGB, "BMP"), first(RGB / 255)),
    "emu/plain.png": (saved(RGB), first(RGB / 255)),
    "emu/plain.webp": (saved(RGB, "WEBP", lossless=True), first(RGB / 255)),
}
NAMED = {  # file: content, why
    "cat/clear.png": (with_alpha(opaque=False), "has transparent pixels"),
    "cat/deep_rgb.png": (deep_rgb(), "16 bits"),
    "dog/cmyk.jpg": (saved(Image.fromarray(RGB).convert("CMYK"), "JPEG"), "CMYK"),
    "dog/wrong.png": (saved(RGB, "JPEG"), "is a JPEG file, though its name says PNG"),
    "dog/cut.png": (saved(RGB)[:-40], "cannot be read as an image"),
    "emu/moving.gif": (animated(), "has 2 frames"),
    "emu/tall.png": (saved(TALL), "that of the first input (3, 12, 12); --size gives images one size"),
}
CLASSES = ("cat", "dog", "emu")
MODEL = """
import torch
def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 12 * 12, 3))
"""


@pytest.fixture
def animals(tmp_path):
    root = tmp_path / "animals"
    for name, (content, _) in {**RIGHT, **NAMED}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "notes.txt").write_text("of three animals")
    (root / "emu" / "notes.txt").write_text("of emus")
    (root / ".thumbnails").mkdir()
    (root / ".thumbnails" / "a.png").write_bytes(saved(GRAY))
    return root


def test_every_file_is_right_or_named(animals, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MODEL)
    data = ImageFolder.of("animals", channels=3)
    assert data.classes == CLASSES
    assert data.ids == tuple(sorted({**RIGHT, **NAMED}))
    assert data.left_out == ("notes.txt", "emu/notes.txt")
    for index, name in enumerate(data.ids):
        if name in RIGHT or name == "emu/tall.png":
            pixels, label = data[index]
            assert label == CLASSES.index(name.partition("/")[0])
            wanted = first(TALL / 255) if name == "emu/tall.png" else RIGHT[name][1]
            np.testing.assert_allclose(pixels, wanted, rtol=0, atol=1e-7, err_msg=name)
        else:
            with pytest.raises(ac.ArgumentError) as error:
                data[index]
            assert NAMED[name][1] in str(error.value)
            assert name in str(error.value)


def test_a_run_certifies_the_others(animals, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MODEL)
    for name in ("cat/gray.png", "cat/one_bit.png", "dog/flat.jpg", "dog/deep.png"):
        (animals / name).unlink()  # of one channel, which this model does not take
    command = ["certify", "--model", "mine.py:model", "--data", "animals", "--target", "label", "--out", "run"]
    command += ["--noise", "gaussian", "--sigma", "0.25", "--n_samples", "150", "--seed", "1", "--pictures", "0"]
    assert main(command) == 1
    said = capsys.readouterr()
    rows = {row.facts["id"]: row.facts for row in gather(runs.Store.open(tmp_path / "run"))}
    for name, row in rows.items():
        if name in RIGHT:
            assert (row["status"], row["label"]) == ("certified", CLASSES.index(name.partition("/")[0]))
            assert row["target"] == row["label"]
        else:
            assert row["status"] == "failed"
            assert NAMED[name][1] in row["reason"]
            assert f"{name} failed: " in said.err
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["data_form"] == {"classes": list(CLASSES)}
    assert manifest["data_reading"]["labels from the names of their folders"] == len(rows)
    assert main(["verify", "run", "--trust-code", "--sample", "2"]) == 0
    assert main(["report", "run"]) == 0
    assert "0 cat, 1 dog, 2 emu" in (tmp_path / "run" / "report.html").read_text()
    (animals / "cat").rename(animals / "cow")
    assert main(["verify", "run", "--trust-code", "--sample", "0"]) == 1


def test_sizes_are_those_of_pillow(tmp_path):
    """Its filter of the same name, on floats, is an implementation of its own."""
    floats = TALL.astype(np.float32) / 255

    def pillow(height, width):
        planes = [Image.fromarray(floats[..., c]).resize((width, height), Image.Resampling.BILINEAR) for c in range(3)]
        return np.stack([np.asarray(plane) for plane in planes])

    (tmp_path / "tall.png").write_bytes(saved(TALL))
    for side in (5, 12, 31):
        found = load_folder(tmp_path, size=(side,)).inputs[0].numpy()
        whole = pillow(side * 19 // 12, side)
        top = round((whole.shape[1] - side) / 2)
        np.testing.assert_allclose(found, whole[:, top : top + side], atol=2e-6)
    exact = load_folder(tmp_path, size=(7, 20))
    np.testing.assert_allclose(exact.inputs[0], pillow(7, 20), atol=2e-6)
    assert "stretched to 7 x 20" in exact.reading
    assert torch.equal(load_folder(tmp_path, size=(19, 12)).inputs, load_folder(tmp_path).inputs)
    digests = {ImageFolder.of(tmp_path, size=size).digest() for size in (None, (5,), (7, 20))}
    assert len(digests) == 3


def test_mixed_sizes_are_one_line_that_names_the_way_out(tmp_path):
    (tmp_path / "a.png").write_bytes(saved(RGB))
    (tmp_path / "b.png").write_bytes(saved(TALL))
    with pytest.raises(ac.ArgumentError, match=r"^b.png=\(3, 19, 12\): all images must have the size .*; --size 224"):
        load_folder(tmp_path)
    assert load_folder(tmp_path, size=(8,)).inputs.shape == (2, 3, 8, 8)
    for size in ((), (1, 2, 3), (0,), (8, 99_999)):
        with pytest.raises(ac.ArgumentError, match="size"):
            runs.Config.of({"model": "mnist-standard", "data": str(tmp_path), "sigma": 1.0, "size": size})


def test_what_the_labels_are_is_no_guess(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(saved(RGB))
    assert ImageFolder.of(tmp_path).ids == ("cat/a.png",)
    (tmp_path / "dog").mkdir()
    with pytest.raises(ac.ArgumentError, match=r"holds a folder without images \(dog\) beside cat; is it a class"):
        ImageFolder.of(tmp_path)
    (tmp_path / "dog").rmdir()
    (tmp_path / "b.png").write_bytes(saved(RGB))
    with pytest.raises(ac.ArgumentError, match=r"holds images \(b.png\) beside folders of images \(cat\)"):
        ImageFolder.of(tmp_path)
    (tmp_path / "cat" / "a.png").unlink()
    flat = ImageFolder.of(tmp_path)
    assert (flat.ids, flat.left_out, flat.classes, flat[0][1]) == (("b.png",), ("cat",), (), -1)
