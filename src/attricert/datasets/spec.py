"""Descriptions of data that name a slice of them; reading them needs no torch."""

from __future__ import annotations

import re
from pathlib import Path

from attricert.errors import ArgumentError

__all__ = ["FILES", "beyond", "check_slice", "exists", "sliced"]

FILES = (".csv", ".parquet", ".npy", ".npz")
"""Suffixes of tables and arrays."""

_SLICE = re.compile(r"(?P<whole>.+)\[(?P<start>\d{0,18}):(?P<stop>\d{0,18})\]", re.DOTALL)
_LIKE_A_SLICE = re.compile(r"(?P<whole>.+)\[[^\[\]]*\]", re.DOTALL)


def sliced(spec: str) -> tuple[str, int | None, int | None]:
    """What a description is of without its slice, from where, and to where; a path that exists has no slice."""
    match = None if exists(spec) else _SLICE.fullmatch(spec)
    if match is None:
        return spec, None, None
    start, stop = (int(match[key]) if match[key] else None for key in ("start", "stop"))
    return match["whole"], start, stop


def check_slice(spec: str) -> None:
    """That what stands in brackets at the end of a description is a slice.

    Raises:
        ArgumentError: it is not, and no file has this name.
    """
    match = _LIKE_A_SLICE.fullmatch(spec)
    if match is not None and not _SLICE.fullmatch(spec) and not exists(spec):
        whole = match["whole"]
        rule = f"a slice is written [start:stop], such as {whole}[0:100], {whole}[:100] or {whole}[100:]"
        raise ArgumentError("data", spec, rule)


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
