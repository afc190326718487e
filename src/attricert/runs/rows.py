"""One input's results: a row of plain values, and arrays of the map's size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from torch import Tensor

from attricert.certificates import Certificate, Evidence, Terms, piece_classes
from attricert.certificates.legacy import NAMES
from attricert.certificates.legacy import evidence as legacy_evidence
from attricert.certificates.pieces import COUNT, MAP, NUMBER, NUMBERS, SHARED
from attricert.errors import IntegrityError
from attricert.streams import sample_key
from attricert.text import one_line

__all__ = ["CERTIFIED", "FAILED", "SCHEMA", "Row", "Unit", "evidence_of", "evidence_of_rows", "schema_of", "terms_of"]

CERTIFIED, FAILED = "certified", "failed"

Array = npt.NDArray[Any]

_NUMBERS = pa.list_(pa.float64())
_TYPES = {NUMBER: pa.float64(), COUNT: pa.int64(), NUMBERS: _NUMBERS, SHARED: _NUMBERS}
_ABOUT = [
    ("id", pa.string()),
    ("position", pa.int64()),
    ("status", pa.string()),
    ("reason", pa.string()),
    ("input", pa.string()),
    ("label", pa.int64()),
    ("prediction", pa.int64()),
    ("target", pa.int64()),
    ("outcome", pa.string()),
]

KINDS: Mapping[str, str] = {
    f"{piece}.{name}": rule["kind"]
    for piece, declared in piece_classes().items()
    for name, rule in declared.kinds().items()
}
"""What evidence is made of: a column each, or (those of the map's size) an array."""

SCHEMA = pa.schema(
    [
        *_ABOUT,
        *((name, _TYPES[kind]) for name, kind in KINDS.items() if kind != MAP),
        ("terms", pa.string()),
        ("digest", pa.string()),
    ]
)

# Version 0.1 named the columns otherwise, and its rows' digests are of those names.
_LEGACY_COLUMNS = {"label": "label_certified"}
_LEGACY_NUMBERS = ("functional_low", "functional_high", "functional_spread")
_LEGACY_COUNTS = ("n_samples", "n_pilot", "zeros", "nonfinite")
LEGACY_SCHEMA = pa.schema(
    [
        *_ABOUT,
        ("norm", pa.float64()),
        *((name, pa.int64()) for name in _LEGACY_COUNTS),
        ("spread", pa.float64()),
        ("reach", pa.float64()),
        ("moments", _NUMBERS),
        ("tail", pa.float64()),
        *((name, _NUMBERS) for name in _LEGACY_NUMBERS),
        ("label_certified", pa.int64()),
        ("label_mass", pa.float64()),
        ("functional_bound", _NUMBERS),
        ("statement", pa.string()),
        ("digest", pa.string()),
    ]
)


@final
@dataclass(frozen=True, eq=False)
class Unit:
    """One input to certify.

    Args:
        position: its place in the data.
        id: its name, which keys its draws.
        image: shape (channels, height, width).
        label: its class; -1 if unknown.
    """

    position: int
    id: str
    image: Tensor
    label: int


@final
@dataclass(frozen=True, eq=False)
class Row:
    """What is known of one input after its turn.

    Args:
        facts: a value for each column of its schema but those that are null, and ``digest``.
        arrays: those of the map's size that are kept, by name.
    """

    facts: Mapping[str, Any]
    arrays: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def certified(cls, unit: Unit, prediction: int, target: int, certificate: Certificate, keep: bool) -> Row:
        """From the certificate of this input alone."""
        e = certificate.evidence if keep else certificate.evidence.without_maps()
        facts: dict[str, Any] = {
            "id": unit.id,
            "position": unit.position,
            "status": CERTIFIED,
            "reason": "",
            "input": sample_key(unit.image),
            "label": unit.label,
            "prediction": prediction,
            "target": target,
            "outcome": e.outcome[0],
            "terms": e.terms.to_json(),
        }
        arrays = {}
        for name, array in e.arrays().items():
            if KINDS[name] == MAP:
                arrays[name] = array[0]
            else:
                facts[name] = (array if KINDS[name] == SHARED else array[0]).tolist()
        return cls(facts, arrays)

    @classmethod
    def failed(cls, position: int, name: str, reason: str) -> Row:
        """An input for which there is no evidence, and why."""
        facts = {"id": name, "position": position, "status": FAILED, "reason": one_line(reason)[:500]}
        return cls(facts)

    def digest(self, run: str) -> str:
        """SHA-256 over everything, and the run it belongs to."""
        facts = {name: value for name, value in self.facts.items() if value is not None and name != "digest"}
        whole = hashlib.sha256(f"{run}\x1f{json.dumps(facts, sort_keys=True)}".encode())
        for name in sorted(self.arrays):
            array = np.ascontiguousarray(self.arrays[name])
            whole.update(f"{name}{array.dtype}{array.shape}".encode() + array.tobytes())
        return whole.hexdigest()


def schema_of(rows: Sequence[Row]) -> pa.Schema:
    """That of the version that made the rows."""
    return LEGACY_SCHEMA if any("statement" in row.facts for row in rows) else SCHEMA


def terms_of(facts: Mapping[str, Sequence[Any]]) -> Terms:
    """The terms of certified rows, at least one, from columns.

    Raises:
        IntegrityError: the rows are not of one run.
    """
    legacy = "statement" in facts
    texts = {text for text in facts["statement" if legacy else "terms"] if text is not None}
    if len(texts) != 1:
        raise IntegrityError(f"rows have {len(texts)} different terms; those of a run have the same")
    if not legacy:
        return Terms.from_json(texts.pop())
    shared = _column(facts, "functional_bound")
    arrays = {} if shared is None else {"functional_bound": np.array(shared[0])}
    return legacy_evidence(texts.pop(), arrays)[0]


def evidence_of(facts: Mapping[str, Sequence[Any]], arrays: Sequence[Mapping[str, Array]]) -> Evidence:
    """What certified rows show, at least one; their scalars alone where arrays are empty.

    Args:
        facts: columns of `SCHEMA`, or of version 0.1.
        arrays: each row's, or nothing.

    Raises:
        IntegrityError: the rows are not of one run, or hold what cannot be evidence.
    """
    terms = terms_of(facts)
    stacked = {name: _stack([row[name] for row in arrays], name) for name in (arrays[0] if arrays else ())}
    if "statement" in facts:
        columns = {name: _column(facts, _LEGACY_COLUMNS.get(name, name)) for name in NAMES}
        found = {name: _stack(values, name) for name, values in columns.items() if values is not None}
        if "functional_bound" in found:
            found["functional_bound"] = found["functional_bound"][0]
        terms, all_arrays = legacy_evidence(facts["statement"][0], {**found, **stacked})
    else:
        all_arrays = dict(stacked)
        for name, kind in KINDS.items():
            values = _column(facts, name)
            if kind != MAP and values is not None:
                all_arrays[name] = np.array(values[0], float) if kind == SHARED else _stack(values, name)
    return Evidence.of(terms, tuple(facts["outcome"]), all_arrays)


def evidence_of_rows(rows: Sequence[Row]) -> Evidence:
    """What certified rows show, at least one, in this order; a run that version 0.1 began may hold both kinds.

    Raises:
        IntegrityError: as `evidence_of`.
    """
    kinds: dict[bool, list[int]] = {}
    for i, row in enumerate(rows):
        kinds.setdefault("statement" in row.facts, []).append(i)
    parts = []
    for indices in kinds.values():
        some = [rows[i] for i in indices]
        parts.append(
            evidence_of(
                {name: [row.facts.get(name) for row in some] for name in some[0].facts}, [row.arrays for row in some]
            )
        )
    if len(parts) == 1:
        return parts[0]
    first, second = parts
    if first.terms != replace(second.terms, version=first.terms.version):
        raise IntegrityError("rows have 2 different terms; those of a run have the same")
    order = np.argsort(np.concatenate([*kinds.values()]))
    one, two = first.arrays(), second.arrays()
    arrays = {
        name: one[name] if KINDS[name] == SHARED else np.concatenate([one[name], two[name]])[order]
        for name in one
        if name in two
    }
    outcome = np.array(first.outcome + second.outcome)[order]
    return Evidence.of(first.terms, tuple(outcome.tolist()), arrays)


def _column(facts: Mapping[str, Sequence[Any]], name: str) -> Sequence[Any] | None:
    """None where nothing was proven."""
    values = facts.get(name)
    return None if values is None or values[0] is None else values


def _stack(values: Sequence[Any], name: str) -> Array:
    try:
        return np.stack([np.asarray(value) for value in values])
    except ValueError as error:
        raise IntegrityError(f"{name}: rows do not go together ({error})") from None
