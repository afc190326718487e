"""Writing files so that a reader sees the old one or the new one, never a part; reading what others have written."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from attricert.errors import IntegrityError

__all__ = ["create", "read_regular", "sha256", "write_atomically"]


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
        except OSError:  # a file system without hard links
            return _created(path, content)
    return True


def _created(path: Path, content: bytes) -> bool:
    """The same without links: one caller still wins, but a reader may see a part while it is written."""
    try:
        with path.open("xb") as file:
            _put(file, content)
    except FileExistsError:
        return False
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return True


@contextmanager
def _aside(path: Path, content: bytes) -> Iterator[str]:
    """A whole copy beside the path, which is gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    try:
        # Made as any file is: with the permissions that the user's umask leaves, which need no chmod.
        with aside.open("xb") as file:
            _put(file, content)
        yield str(aside)
    finally:
        aside.unlink(missing_ok=True)


def _put(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def read_regular(path: Path, most: int | None = None) -> bytes:
    """The content of a regular file: no link, pipe or device is opened or waited for.

    Args:
        path: the file; its last component must not be a link.
        most: bytes that it may have.

    Raises:
        OSError: it cannot be opened.
        IntegrityError: it is something else, or larger.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if path.is_symlink():
        raise IntegrityError(f"{path}: is a link, which is not followed")
    handle = os.open(path, flags)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise IntegrityError(f"{path}: is not a regular file")
        if most is not None and found.st_size > most:
            raise IntegrityError(f"{path}: has {found.st_size} bytes, more than the {most} that are read")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()
