"""Rows of one run from many folders, and many files of one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from attricert import checks
from attricert.errors import ArgumentError
from attricert.runs.results import positions, stream
from attricert.runs.rows import Row
from attricert.runs.store import Store

__all__ = ["compact", "merge"]

_CHUNK_BYTES = 256 * 2**20  # of maps in memory at once


def merge(store: Store, sources: Sequence[str | Path]) -> None:
    """Take over the parts of other folders with the same run; what is here already is left as it is.

    Raises:
        ArgumentError: another folder holds something else, or somebody is working on such a shard here.
        IntegrityError: rows, here or there, are not as they were written.
    """
    known = {row.facts["position"] for row in stream(store)}
    for folder in [checks.path("sources", source) for source in sources]:
        other = Store.open(folder)
        if changed := store.manifest.differences(other.manifest):
            raise ArgumentError("merge", str(folder), f"is a run of something else ({'; '.join(changed)})")
        if other.manifest.digest != store.manifest.digest:  # which rows carry in theirs
            raise ArgumentError("merge", str(folder), "has a manifest that is written otherwise; merge into that run")
        for part in other.parts():
            rows = [row for row in part.rows() if row.facts["position"] not in known]
            if rows:
                with store.writing(part.shard):
                    store.append(rows, part.shard)
                known |= {row.facts["position"] for row in rows}


def compact(store: Store) -> None:
    """Put the parts of a finished run together: one, or as few as memory allows where maps were kept.

    Rows stay as they were written. What is cut short leaves rows twice, and those are read once.

    Raises:
        ArgumentError: inputs are missing, or somebody is working on the run.
        IntegrityError: rows are not as they were written.
    """
    missing = store.manifest.inputs - len(positions(store))
    if missing:
        rule = f"lacks {missing} of {store.manifest.inputs} inputs; only finished runs are made compact"
        raise ArgumentError("run", str(store.folder), rule)
    if len(store.parts()) < 2:
        return
    with contextlib.ExitStack() as alone:
        for shard in sorted({part.shard for part in store.parts()}):
            alone.enter_context(store.writing(shard))
        before = store.parts()
        for group in _in_chunks(stream(store)):
            store.append(sorted(group, key=lambda row: int(row.facts["position"])), before[0].shard)
        for part in before:
            part.remove()


def _in_chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """As many at once as fit memory."""
    group, size = list[Row](), 0
    for row in rows:
        group.append(row)
        size += sum(array.nbytes for array in row.arrays.values())
        if size >= _CHUNK_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
