"""A user's own code before it is run: which files it is, and whether they are those that a run was made with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from attricert.files import sha256
from attricert.runs.code import sources
from attricert.runs.config import Config
from attricert.runs.loading import load_array
from attricert.runs.manifest import code_fingerprint
from attricert.runs.store import Store

__all__ = ["code_files", "refuse_other_code"]


def code_files(names: Iterable[str]) -> dict[str, str]:
    """The files behind names such as ``path.py:factory``, read and not run: path to SHA-256; none for other names."""
    return {path: sha256(content) for name in names for path, content in sources(name).items()}


def refuse_other_code(config: Config, folder: Path) -> None:
    """See that a folder's run, if it holds one, was made with the code that the config names; nothing is run.

    Raises:
        ArgumentError: it is of something else; the message shows the difference.
    """
    Store.refuse_other(folder, config, code_fingerprint(config, load_array("functionals", config.functionals)))
