"""Descriptions of data that name a slice of them; reading them needs no torch."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["FILES", "beyond", "exists", "sliced"]

FILES = (".csv", ".parquet", ".npy", ".npz")
"""Suffixes of tables and arrays."""

_SLICE = re.compile(r"(?P<whole>.+)\[(?P<start>\d{0,18}):(?P<stop>\d{0,18})\]", re.DOTALL)


def sliced(spec: str) -> tuple[str, int | None, int | None]:
    """What a description is of without its slice, from where, and to where; a path that exists has no slice."""
    match = None if exists(spec) else _SLICE.fullmatch(spec)
    if match is None:
        return spec, None, None
    start, stop = (int(match[key]) if match[key] else None for key in ("start", "stop"))
    return match["whole"], start, stop


def beyond(spec: str, count: int) -> str | None:
    """The description of the same data without the first ``count`` inputs; None of a folder, or if none are left.

    Args:
        spec: as `parse` takes it.
        count: how many to leave out.
    """
    whole, start, stop = sliced(spec)
    if ":" not in whole and Path(whole).suffix.lower() not in FILES:
        return None
    first = (start or 0) + count
    return None if stop is not None and first >= stop else f"{whole}[{first}:{'' if stop is None else stop}]"


def exists(spec: str) -> bool:
    """Whether there is a file or folder of this name."""
    try:
        return Path(spec).exists()
    except (OSError, ValueError):  # too long for a path, or with a NUL
        return False
