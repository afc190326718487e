"""From stored evidence to certificates, without the model."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from attricert.certificates import Certificate, Meaning, PaperCertificate, Terms
from attricert.datasets import Form
from attricert.errors import ArgumentError, IntegrityError
from attricert.files import write_atomically
from attricert.report import ABSTENTION, MAX_EPS, rows_of, to_parquet
from attricert.report.share_claims import SHARES, ShareClaim, shares_as_json, shares_of
from attricert.runs.asked import Asked
from attricert.runs.reasons import grouped
from attricert.runs.rows import CERTIFIED, EXPLAINED, Row, evidence_of_rows
from attricert.runs.store import RESULTS, Store
from attricert.units import InputUnits

__all__ = [
    "Summary",
    "certificates",
    "certified",
    "gather",
    "input_units",
    "load",
    "meaning",
    "positions",
    "results_as_parquet",
    "results_of",
    "shares",
    "stream",
    "summary",
    "terms",
    "units_of",
    "write_results",
]

_ABOUT = ("id", "status", "reason", "label", "prediction", "target")
_CHUNK_BYTES = 256 * 2**20  # of maps in memory at once


def load(folder: str | Path) -> Certificate:
    """The certificate of all certified inputs of a run, in the order of its data.

    Raises:
        ArgumentError: there is no run, or nothing in it is certified.
    """
    return certified(Store.open(folder))[1]


def certified(store: Store) -> tuple[list[Row], Certificate]:
    """The certified rows, and the certificate that they make."""
    rows = [row for row in gather(store) if row.facts["status"] == CERTIFIED]
    if not rows:
        raise ArgumentError("run", str(store.folder), "has certified nothing yet")
    return rows, Certificate(evidence_of_rows(rows))


def certificates(
    store: Store, asked: Asked, *, entries: bool = True, problems: list[str] | None = None
) -> list[dict[str, Any]]:
    """One row an input, in the order of the data, as `attricert.report.rows_of` has them; failed ones too.

    Args:
        store: the run.
        asked: at which sizes and thresholds.
        entries: also what is said of single entries, where maps were kept; takes far longer.
        problems: as `stream`.
    """
    return results_of(store, stream(store, problems=problems), asked, entries=entries)


def results_of(store: Store, rows: Iterable[Row], asked: Asked, *, entries: bool) -> list[dict[str, Any]]:
    """The same of rows that are given.

    Args:
        store: their run.
        rows: in any order; without arrays, unless entries are wanted.
        asked: at which sizes and thresholds.
        entries: also what is said of single entries.
    """
    found: dict[int, dict[str, Any]] = {}
    for group in _grouped(rows, entries):
        good = [row for row in group if row.facts["status"] == CERTIFIED]
        for row in group:
            found[row.facts["position"]] = {name: row.facts.get(name) for name in _ABOUT}
        if good:
            evidence = evidence_of_rows(good)
            about = {name: [row.facts[name] for row in good] for name in _ABOUT}
            claims = PaperCertificate(evidence) if store.manifest.config.method == "printed" else Certificate(evidence)
            top = asked.top(evidence.terms.map_entries)
            results = rows_of(claims, about, asked.sizes(evidence.terms), asked.cosine, top)
            found.update(zip((row.facts["position"] for row in good), results, strict=True))
    return [found[position] for position in sorted(found)]


def _grouped(rows: Iterable[Row], entries: bool) -> Iterator[list[Row]]:
    """All rows of one version at once where numbers suffice, else as many as fit memory."""
    groups: dict[tuple[bool, bool], list[Row]] = {}
    size = 0
    for row in rows:
        groups.setdefault((row.legacy, row.tells_class), []).append(row if entries else Row(row.facts))
        size += sum(array.nbytes for array in row.arrays.values()) if entries else 0
        if size >= _CHUNK_BYTES:
            yield from groups.values()
            groups, size = {}, 0
    yield from groups.values()


def terms(store: Store) -> Terms | None:
    """The terms of the run's claims; None while nothing is certified."""
    first = next((row for row in stream(store) if row.facts["status"] == CERTIFIED), None)
    return None if first is None else evidence_of_rows([first]).terms


def input_units(store: Store, found: Terms) -> InputUnits:
    """Of the input of a run: levels of images in [0, 1], standard deviations of columns, or its own units.

    Args:
        store: the run.
        found: its terms.
    """
    return units_of(store.manifest.data_form, found.dimension)


def units_of(form: Form, shape: int | tuple[int, ...]) -> InputUnits:
    """The same, of data that are in no run.

    Args:
        form: what they are.
        shape: of one input, or how many values it has.
    """
    dimension = shape if isinstance(shape, int) else math.prod(shape)
    if form.free:
        return InputUnits("columns", form.free)
    if form.kind == "columns" and len(form.deviations) == dimension:
        return InputUnits("columns", shape, deviations=form.deviations)
    return InputUnits("image" if form.kind == "image" else "other", shape)


def meaning(store: Store, problems: list[str] | None = None) -> Meaning:
    """Explained and smoothed classes of the run; nothing is counted of rows that do not tell them.

    Args:
        store: the run.
        problems: as `stream`.
    """
    names = (EXPLAINED, "prediction.label")
    pairs = [tuple(row.facts.get(name) for name in names) for row in stream(store, problems=problems)]
    told = [pair for pair in pairs if None not in pair]
    return Meaning.of(*zip(*told, strict=True)) if told else Meaning()


def shares(store: Store, rows: Sequence[Mapping[str, Any]]) -> tuple[ShareClaim, ...]:
    """What the results say of the inputs' source, one claim for each threshold and eps; none where nothing is proven.

    Args:
        store: the run.
        rows: as `certificates` gives them.
    """
    stated = None if store.manifest.config.method == "printed" else terms(store)
    if stated is None or stated.confidence == "asymptotic":
        return ()
    return shares_of(rows, store.manifest.inputs, stated)


def results_as_parquet(store: Store, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A Parquet file's content, with the run's manifest and what `shares` says in its metadata."""
    return to_parquet(rows, store.manifest.to_json(), {SHARES: shares_as_json(shares(store, rows))})


def write_results(store: Store, rows: Sequence[Mapping[str, Any]]) -> None:
    """``results.parquet``; and in words how many inputs are certified."""
    write_atomically(store.folder / RESULTS, results_as_parquet(store, rows))
    state(store, [row["status"] for row in rows])


def state(store: Store, statuses: Sequence[str] | None = None) -> None:
    """``claim.txt``: in words what is claimed, and of how many inputs, once all are there.

    Args:
        store: the run.
        statuses: one a row, if they are known.
    """
    known = [row.facts["status"] for row in stream(store)] if statuses is None else statuses
    certified, found = sum(status == CERTIFIED for status in known), terms(store)
    counts = (certified, len(known) - certified) if len(known) == store.manifest.inputs else None
    store.state_claim(counts, None if found is None else input_units(store, found), found)


def stream(store: Store, positions: Collection[int] | None = None, problems: list[str] | None = None) -> Iterator[Row]:
    """Rows, each input once, as they were written; part by part, so that not all need to fit memory.

    Args:
        store: the run.
        positions: of the rows; all if None.
        problems: where to say what is wrong with rows, which are then left out.

    Raises:
        IntegrityError: a row is not as it was written, or an input has rows that differ, and no list was given.
    """
    found: dict[int, str] = {}
    for part in store.parts():
        rows, wrong = part.read(positions)
        fresh = [row for row in rows if row.facts["position"] not in found]
        for row in rows:
            if found.setdefault(row.facts["position"], row.facts["digest"]) != row.facts["digest"]:
                wrong.append(f"{part.path}: {row.facts['id']} has two different rows")
        if wrong and problems is None:
            raise IntegrityError(wrong[0])
        if problems is not None:
            problems += wrong
        yield from fresh


def positions(store: Store) -> set[int]:
    """Of the inputs that have a row."""
    return {row.facts["position"] for row in stream(store)}


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
        failed: without, and why: reason to count; reasons that differ in numbers alone are one, with the range of each.
        missing: not done yet.
        curve: for each threshold, pairs of eps and the share of all inputs that are done whose certificate reaches it.
        abstentions: for each eps, the same of those about which nothing can be said.
        classes: explained and smoothed classes of those certified; nothing is counted where they are not known.
        class_kept: on how many of these the explained class is certified to be the smoothed classifier's.
        shares: for each threshold and eps, at least which share of the inputs' source keeps the cosine.
    """

    inputs: int
    certified: int
    failed: Mapping[str, int]
    missing: int
    curve: Mapping[float, Sequence[tuple[float, float]]]
    abstentions: Mapping[float, Mapping[str, int]]
    classes: Meaning
    class_kept: int
    shares: tuple[ShareClaim, ...] = ()


def summary(store: Store, rows: Sequence[Mapping[str, Any]], asked: Asked) -> Summary:
    """From rows as `certificates` gives them.

    An input that failed reaches nothing.
    """
    good = [row for row in rows if row["status"] == CERTIFIED]
    failed = grouped(row["reason"] for row in rows if row["status"] != CERTIFIED)
    curve = {}
    for t in asked.cosine:
        reached = np.array([row[f"{MAX_EPS}{t!r}"] for row in good] + [0.0] * (len(rows) - len(good)))
        curve[t] = [(e, float((reached >= e).mean())) for e in _grid(reached)]
    # The paper's formula never abstains.
    reasons = {e: [row.get(f"{ABSTENTION}{e!r}") for row in good] for e in asked.sizes(terms(store))}
    abstentions = {e: grouped(reason for reason in found if reason) for e, found in reasons.items()}
    total = store.manifest.inputs
    told = [(row["explained_class"], row["certified_prediction"]) for row in good if row.get("class_kept") is not None]
    kept = sum(bool(row.get("class_kept")) for row in good)
    classes = Meaning.of(*zip(*told, strict=True)) if told else Meaning()
    missing, claims = total - len(rows), shares(store, rows)
    return Summary(total, len(good), failed, missing, curve, abstentions, classes, kept, claims)


def _grid(reached: npt.NDArray[np.float64]) -> list[float]:
    """Round sizes up to the largest."""
    most = float(reached.max(initial=0.0))
    if most == 0:
        return []
    step = 10.0 ** np.floor(np.log10(most / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if most / (step * factor) <= 10)
    return [float(f"{step * (i + 1):.6g}") for i in range(int(most / step))]
