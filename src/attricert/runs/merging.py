"""Rows of one run from many folders, and many files of one."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path

from attricert import checks
from attricert.errors import ArgumentError, AttricertError, IntegrityError
from attricert.runs.parts import Part
from attricert.runs.results import positions, stream
from attricert.runs.rows import Row
from attricert.runs.store import Store

__all__ = ["compact", "merge"]

_CHUNK_BYTES = 256 * 2**20  # in a file


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
    """Put the parts of a finished run together: one, or as few as files may hold.

    Rows stay as they were written, and are read back before any old part goes. What is cut short leaves rows twice, and
    those are read once.

    Raises:
        ArgumentError: inputs are missing, or somebody is working on the run.
        IntegrityError: rows are not as they were written.
    """
    missing = store.manifest.inputs - len(positions(store))
    if missing:
        rule = f"lacks {missing} of {store.manifest.inputs} inputs; only finished runs are made compact"
        raise ArgumentError("run", str(store.folder), rule)
    if len(store.parts()) < 2 and not store.strays():
        return
    with contextlib.ExitStack() as alone:
        alone.enter_context(store.rewriting())
        for shard in sorted({part.shard for part in store.parts()}):
            alone.enter_context(store.writing(shard))
        before, made = store.parts(), list[Part]()
        try:
            for group in _in_chunks(stream(store)):
                rows = sorted(group, key=lambda row: int(row.facts["position"]))
                made.append(store.append(rows, before[0].shard))
                if _digests(made[-1].rows()) != _digests(rows):
                    raise IntegrityError(f"{made[-1].path}: is not what was written")
        except (AttricertError, OSError):
            for part in made:
                part.remove()
            raise
        for part in before:
            part.remove()
        for stray in store.strays():
            stray.unlink(missing_ok=True)


def _digests(rows: Iterable[Row]) -> list[tuple[int, str]]:
    return [(row.facts["position"], row.facts["digest"]) for row in rows]


def _in_chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """As many at once as a file may hold, of one kind."""
    groups, sizes = dict[Hashable, list[Row]](), dict[Hashable, int]()
    for row in rows:
        groups.setdefault(row.kind, []).append(row)
        sizes[row.kind] = sizes.get(row.kind, 0) + row.nbytes
        if sizes[row.kind] >= _CHUNK_BYTES:
            yield groups.pop(row.kind)
            del sizes[row.kind]
    yield from groups.values()
