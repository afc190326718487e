"""A file of results that only grows: what is in it was measured, and is not measured again."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import filelock

from attricert.errors import ArgumentError, IntegrityError

__all__ = ["Journal"]


@final
@dataclass(frozen=True)
class Journal:
    """One JSON line a result: ``job``, everything that decides it, and what was ``found``.

    Args:
        path: of the file; need not exist.
    """

    path: Path

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other processes from it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.parent / f".lock-{self.path.stem}"
        try:
            with filelock.FileLock(lock, timeout=0):
                yield
        except filelock.Timeout:
            raise ArgumentError("out", str(self.path), "another process is measuring this") from None

    def read(self) -> dict[str, dict[str, Any]]:
        """What was found, by job; a last line that was cut off is taken away."""
        if not self.path.exists():
            return {}
        content = self.path.read_bytes()
        whole, _, rest = content.rpartition(b"\n")
        if rest:
            os.truncate(self.path, len(content) - len(rest))
        return dict(self._entry(number, line) for number, line in enumerate(whole.splitlines(), 1))

    def append(self, job: str, found: dict[str, Any]) -> None:
        """One result more, on disk when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"job": json.loads(job), "found": found}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _entry(self, number: int, line: bytes) -> tuple[str, dict[str, Any]]:
        try:
            entry = json.loads(line)
            return json.dumps(entry["job"], sort_keys=True), entry["found"]
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(f"{self.path}, line {number}: not a result ({error})") from None
