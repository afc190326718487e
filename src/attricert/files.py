"""Writing files so that a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["create", "sha256", "write_atomically"]


def write_atomically(path: Path, content: bytes) -> None:
    """Write aside, flush to disk, rename."""
    with _aside(path, content) as name:
        os.replace(name, path)


def create(path: Path, content: bytes) -> bool:
    """The same for a file that must not exist yet; False, and nothing done, if it does. One of many callers wins."""
    with _aside(path, content) as name:
        try:
            os.link(name, path)
        except FileExistsError:
            return False
    return True


@contextmanager
def _aside(path: Path, content: bytes) -> Iterator[str]:
    """A whole copy beside the path, which is gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        yield name
    finally:
        Path(name).unlink(missing_ok=True)


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()
