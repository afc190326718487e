"""A user's own code: ``path.py:factory``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

from attricert.errors import ArgumentError
from attricert.files import sha256

__all__ = ["code_digest", "factory", "is_code", "sources"]


def is_code(name: str) -> bool:
    """Whether a model's or attribution's name stands for a user's own code."""
    return ".py:" in name


def sources(name: str) -> dict[str, bytes]:
    """The files that the code is made of, read and not run: path to content; none for names of the library's own."""
    if not is_code(name):
        return {}
    path = name.rpartition(":")[0]
    return {path: Path(path).read_bytes()}


def code_digest(name: str) -> str:
    """SHA-256 of the code, without running it."""
    return sha256(b"".join(sources(name).values()))


class _SourceAlone(SourceFileLoader):
    """Runs what the file says, whose digest is known, and nothing that is compiled beside it in ``__pycache__``."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def factory(argument: str, name: str) -> Callable[..., Any]:
    """The function that ``path.py:factory`` names; runs the file."""
    path, _, attribute = name.rpartition(":")
    if not Path(path).is_file():
        raise ArgumentError(argument, name, f"there is no file {path}")
    loader = _SourceAlone(Path(path).stem, path)
    spec = importlib.util.spec_from_file_location(loader.name, path, loader=loader)
    if spec is None or spec.loader is None:
        raise ArgumentError(argument, name, "cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, attribute, None)
    if not callable(found):
        raise ArgumentError(argument, name, f"{path} has no function {attribute!r}")
    result: Callable[..., Any] = found
    return result
