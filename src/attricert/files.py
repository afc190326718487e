"""Writing files so that a reader sees the old one or the new one, never a part; reading what others have written.

What others have written may be anything: links, pipes and devices are not opened, sizes are limited, JSON is taken
strictly, and whatever is wrong with a file is an IntegrityError that names it.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
import numpy.lib.format as npy
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from attricert.errors import IntegrityError

__all__ = [
    "append_regular",
    "create",
    "parse_array",
    "parse_json",
    "read_regular",
    "read_tensors",
    "refuse_link",
    "refuse_special",
    "sha256",
    "write_atomically",
]

_HEADER = 16 * 2**20  # bytes of a safetensors header that are read
_NPY_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def write_atomically(path: Path, content: bytes) -> None:
    """Write aside, flush to disk, rename, flush the folder."""
    try:
        with _aside(path, content) as name:
            os.replace(name, path)
            _settle(path.parent)
    except OSError as error:
        if error.filename is None:
            raise
        # It names the copy, of which nobody knows.
        raise type(error)(error.errno, error.strerror, str(path)) from None


def create(path: Path, content: bytes) -> bool:
    """The same for a file that must not exist yet; False, and nothing done, if it does. One of many callers wins."""
    with _aside(path, content) as name:
        try:
            os.link(name, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            return _created(path, content)
        _settle(path.parent)
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
    _settle(path.parent)
    return True


@contextmanager
def _aside(path: Path, content: bytes) -> Iterator[str]:
    """A whole copy beside the path, which is gone afterwards."""
    _make(path.parent)
    aside = path.parent / f".{path.name}.{secrets.token_hex(8)}"
    try:
        # Made as any file is: with the permissions that the user's umask leaves, which need no chmod.
        with aside.open("xb") as file:
            _put(file, content)
        yield str(aside)
    finally:
        aside.unlink(missing_ok=True)


def _make(folder: Path) -> None:
    """A folder, and those that it is in."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        _settle(folder.parent)


def _settle(folder: Path) -> None:
    """What has its name in a folder now has it after a loss of power too, where the system can promise that."""
    with suppress(OSError):  # Windows opens no folders; some file systems refuse
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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
    refuse_special(path)
    handle = os.open(path, os.O_RDONLY | _CAREFUL)
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


def append_regular(path: Path, content: bytes) -> None:
    """Append to a regular file, made if it is not there; nothing else is opened.

    Raises:
        OSError: it cannot be opened.
        IntegrityError: it is something else.
    """
    refuse_special(path)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _CAREFUL, 0o666), "ab") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise IntegrityError(f"{path}: is not a regular file")
        file.write(content)


def refuse_link(path: Path) -> None:
    """What is a link may lead anywhere.

    Raises:
        IntegrityError: it is one.
    """
    if path.is_symlink():
        raise IntegrityError(f"{path}: is a link, which is not followed")


def refuse_special(path: Path) -> None:
    """What is there and no file.

    Raises:
        IntegrityError: it is a link, a folder, a pipe, a device.
    """
    refuse_link(path)
    if path.exists() and not path.is_file():
        raise IntegrityError(f"{path}: is not a regular file")


# Where the system has them: a link that takes the path's place fails, and a pipe does not wait.
_CAREFUL = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"))


def parse_json(text: str) -> Any:
    """What JSON says, taken strictly: no key twice, no NaN or infinity, not too deep.

    Raises:
        ValueError: it says nothing, or not strictly.
    """
    try:
        return json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_key_twice(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def read_tensors(path: Path, most: int | None = None) -> tuple[dict[str, str], dict[str, npt.NDArray[Any]]]:
    """The metadata and the arrays of a safetensors file, the order of which is that of their names.

    Args:
        path: a regular file.
        most: bytes that it may have.

    Raises:
        OSError: it cannot be opened.
        IntegrityError: it is something else.
    """
    content = read_regular(path, most)
    try:
        size = int.from_bytes(content[:8], "little")
        if size > min(_HEADER, len(content) - 8):
            raise ValueError(f"a header of {size} bytes")
        metadata = parse_json(content[8 : 8 + size].decode()).get("__metadata__", {})
        arrays = load(content)
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("metadata must be text")
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, MemoryError) as error:
        raise IntegrityError(f"{path}: not a readable safetensors file ({error})") from None
    return metadata, {name: np.asarray(arrays[name]) for name in sorted(arrays)}


def parse_array(content: bytes) -> npt.NDArray[Any]:
    """What the content of a .npy file holds, which says no larger a shape than it has bytes for; never an object.

    Raises:
        ValueError: it holds no array.
    """
    try:
        file = io.BytesIO(content)
        shape, _, dtype = _NPY_HEADERS[npy.read_magic(file)](file)
        if math.prod(shape) * dtype.itemsize > len(content):
            raise ValueError(f"too short for an array of shape {shape}")
        file.seek(0)
        array: npt.NDArray[Any] = npy.read_array(file, allow_pickle=False)
    except (EOFError, KeyError, MemoryError) as error:
        raise ValueError(str(error) or type(error).__name__) from None
    return array


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()
