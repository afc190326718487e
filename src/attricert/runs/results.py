"""From stored evidence to certificates, without the model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from attricert.certificates import Certificate, PaperCertificate, Terms
from attricert.errors import ArgumentError, IntegrityError
from attricert.files import write_atomically
from attricert.report import ABSTENTION, MAX_EPS, rows_of, to_parquet
from attricert.runs.asked import Asked
from attricert.runs.rows import CERTIFIED, Row, evidence_of, evidence_of_rows, terms_of
from attricert.runs.store import RESULTS, Part, Store

__all__ = [
    "Summary",
    "certificates",
    "certified",
    "gather",
    "load",
    "merge",
    "stream",
    "summary",
    "terms",
    "write_results",
]

_ABOUT = ("id", "status", "reason", "label", "prediction", "target")
_CHUNK_BYTES = 256 * 2**20  # of maps in memory at once


def load(folder: str | Path) -> Certificate:
    """The certificate of all certified inputs of a run, in the order of its data.

    Raises:
        ArgumentError: there is no run, or nothing in it is certified.
    """
    return certified(Store.open(Path(folder)))[1]


def certified(store: Store) -> tuple[list[Row], Certificate]:
    """The certified rows, and the certificate that they make."""
    rows = [row for row in gather(store) if row.facts["status"] == CERTIFIED]
    if not rows:
        raise ArgumentError("run", str(store.folder), "has certified nothing yet")
    return rows, Certificate(evidence_of_rows(rows))


def certificates(store: Store, asked: Asked, *, entries: bool = True) -> list[dict[str, Any]]:
    """One row an input, in the order of the data, as `attricert.report.rows_of` has them; failed ones too.

    Args:
        store: the run.
        asked: at which sizes and thresholds.
        entries: also what is said of single entries, where maps were kept; takes far longer.
    """
    found: dict[int, dict[str, Any]] = {}
    for table, arrays in _chunks(store, entries):
        good = np.array([status == CERTIFIED for status in table["status"].to_pylist()])
        for row in table.select([*_ABOUT, "position"]).filter(~good).to_pylist():
            found[row.pop("position")] = row
        if good.any():
            facts = table.filter(good).to_pydict()
            kept = [row for row, is_good in zip(arrays, good, strict=True) if is_good] if arrays else []
            evidence = evidence_of(facts, kept)
            about = {name: facts[name] for name in _ABOUT}
            claims = PaperCertificate(evidence) if store.manifest.config.method == "printed" else Certificate(evidence)
            rows = rows_of(claims, about, asked.eps, asked.cosine, asked.top(evidence.terms.dimension))
            found.update(zip(facts["position"], rows, strict=True))
    return [found[position] for position in sorted(found)]


def _chunks(store: Store, entries: bool) -> Iterator[tuple[pa.Table, list[Mapping[str, npt.NDArray[Any]]]]]:
    """All rows of one version at once where numbers suffice, else as many parts as fit memory."""
    groups: dict[bool, list[Part]] = {}
    for part in store.parts():
        groups.setdefault(part.legacy, []).append(part)
    for parts in groups.values():
        if not (entries and any(part.maps.exists() for part in parts)):
            yield pa.concat_tables([part.table() for part in parts]), []
            continue
        while parts:
            some, size = [parts.pop(0)], 0
            while parts and (size := size + _size(some[-1])) < _CHUNK_BYTES:
                some.append(parts.pop(0))
            rows = [row for part in some for row in part.rows()]
            yield pa.concat_tables([part.table() for part in some]), [row.arrays for row in rows]


def _size(part: Part) -> int:
    return part.maps.stat().st_size if part.maps.exists() else 0


def terms(store: Store) -> Terms | None:
    """The terms of the run's claims; None while nothing is certified."""
    for part in store.parts():
        table = part.table()
        good = [status == CERTIFIED for status in table["status"].to_pylist()]
        if any(good):
            return terms_of(table.filter(np.array(good)).slice(0, 1).to_pydict())
    return None


def write_results(store: Store, rows: Sequence[Mapping[str, Any]]) -> None:
    """``results.parquet``; the run's manifest is in its metadata."""
    write_atomically(store.folder / RESULTS, to_parquet(rows, store.manifest.to_json()))


def merge(store: Store, sources: Sequence[Path]) -> None:
    """Take over the parts of other folders with the same run; what is here already is left as it is.

    Raises:
        ArgumentError: another folder holds something else, or somebody is working on such a shard here.
    """
    for folder in sources:
        other = Store.open(folder)
        if changed := store.manifest.differences(other.manifest):
            raise ArgumentError("merge", str(folder), f"is a run of something else ({'; '.join(changed)})")
        known = set(store.table(["position"])["position"].to_pylist())
        for part in other.parts():
            rows = [row for row in part.rows() if row.facts["position"] not in known]
            if rows:
                shard = part.path.stem.rpartition("-")[0]
                with store.writing(shard):
                    store.append(rows, shard)
                known |= {row.facts["position"] for row in rows}


def stream(store: Store, positions: Collection[int] | None = None) -> Iterator[Row]:
    """Rows, all or those at the positions, each input once; part by part, so that not all need to fit memory.

    Raises:
        IntegrityError: an input has rows that differ.
    """
    found: dict[int, str] = {}
    for row in (row for part in store.parts() for row in part.rows(positions)):
        position, digest = row.facts["position"], row.facts["digest"]
        if position not in found:
            yield row
        if found.setdefault(position, digest) != digest:
            raise IntegrityError(f"{store.folder}: {row.facts['id']} has two different rows")


def gather(store: Store) -> list[Row]:
    """All rows in the order of the data."""
    return sorted(stream(store), key=lambda row: int(row.facts["position"]))


@final
@dataclass(frozen=True)
class Summary:
    """A run at a glance.

    Args:
        inputs: in the data.
        certified: with evidence.
        failed: without, and why: reason to count.
        missing: not done yet.
        curve: for each threshold, pairs of eps and the share of all inputs that are done whose certificate reaches it.
        abstentions: for each eps, reason to count.
    """

    inputs: int
    certified: int
    failed: Mapping[str, int]
    missing: int
    curve: Mapping[float, Sequence[tuple[float, float]]]
    abstentions: Mapping[float, Mapping[str, int]]


def summary(store: Store, rows: Sequence[Mapping[str, Any]], asked: Asked) -> Summary:
    """From rows as `certificates` gives them.

    An input that failed reaches nothing.
    """
    good = [row for row in rows if row["status"] == CERTIFIED]
    failed = Counter(_kind(row["reason"]) for row in rows if row["status"] != CERTIFIED)
    curve = {}
    for t in asked.cosine:
        reached = np.array([row[f"{MAX_EPS}{t!r}"] for row in good] + [0.0] * (len(rows) - len(good)))
        curve[t] = [(e, float((reached >= e).mean())) for e in _grid(reached)]
    # The paper's formula never abstains.
    reasons = {e: [row.get(f"{ABSTENTION}{e!r}") for row in good] for e in asked.eps}
    abstentions = {e: dict(Counter(_kind(reason) for reason in found if reason)) for e, found in reasons.items()}
    total = store.manifest.inputs
    return Summary(total, len(good), dict(failed), total - len(rows), curve, abstentions)


def _grid(reached: npt.NDArray[np.float64]) -> list[float]:
    """Round sizes up to the largest."""
    most = float(reached.max(initial=0.0))
    if most == 0:
        return []
    step = 10.0 ** np.floor(np.log10(most / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if most / (step * factor) <= 10)
    return [float(f"{step * (i + 1):.6g}") for i in range(int(most / step))]


def _kind(reason: str) -> str:
    """A reason without its figures."""
    return re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", reason)
