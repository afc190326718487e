"""Files that are fetched once, checked against their SHA-256, and kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from attricert.datasets.sources import FAILURES, Archives, FileSource
from attricert.errors import IntegrityError, UnavailableError
from attricert.files import sha256, write_atomically
from attricert.text import one_line

__all__ = ["RemoteFile", "cache_folder", "obtain"]


@final
@dataclass(frozen=True)
class RemoteFile:
    """A file and where it can be had.

    Args:
        name: its name in the cache.
        sha256: of its content, unpacked.
        sources: tried in order.
    """

    name: str
    sha256: str
    sources: tuple[FileSource, ...]


def cache_folder() -> Path:
    """``ATTRICERT_DATA``, or a folder in the user's cache."""
    if chosen := os.environ.get("ATTRICERT_DATA"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "attricert"


def obtain(files: Sequence[RemoteFile], folder: Path, on_message: Callable[[str], None]) -> dict[str, bytes]:
    """The content of each file, from the cache or fetched, always checked before use.

    Raises:
        IntegrityError: a cached file is not what it should be.
        UnavailableError: no source gave a file with the right checksum.
    """
    found: dict[str, bytes] = {}
    with Archives() as archives:
        for file in files:
            path = folder / file.name
            if path.exists():
                found[file.name] = _cached(path, file)
            else:
                found[file.name] = _fetched(file, archives, on_message)
                write_atomically(path, found[file.name])
    return found


def _cached(path: Path, file: RemoteFile) -> bytes:
    content = path.read_bytes()
    if sha256(content) != file.sha256:
        raise IntegrityError(f"{path}: SHA-256 is {sha256(content)}, must be {file.sha256}; remove it to fetch it anew")
    return content


def _fetched(file: RemoteFile, archives: Archives, on_message: Callable[[str], None]) -> bytes:
    problems = []
    for source in file.sources:
        on_message(f"{file.name}: trying {source.where}")
        try:
            content = source.content(archives)
        except FAILURES as error:
            problems.append(f"{source.where}: {one_line(str(error)) or type(error).__name__}")
            continue
        if sha256(content) == file.sha256:
            return content
        problems.append(f"{source.where}: SHA-256 is {sha256(content)}, must be {file.sha256}")
    raise UnavailableError(f"{file.name}: no source has it ({'; '.join(problems)})")
