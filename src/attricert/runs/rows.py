"""One input's results: a row of plain values, and arrays of the map's size."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Hashable, Mapping, Sequence
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

__all__ = [
    "CERTIFIED",
    "EXPLAINED",
    "FAILED",
    "SCHEMA",
    "Row",
    "Unit",
    "check_facts",
    "evidence_of",
    "evidence_of_rows",
    "is_schema",
    "map_names",
    "schema_of",
]

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


EXPLAINED = "explained.target"
"""The column that says again, as evidence, which class was explained; rows of earlier versions lack it."""

_NEEDED = {name.partition(".")[0] for name, _ in _ABOUT} | {"sampling", "norm", "terms", "statement", "digest"}
_DIGEST, _KEY = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{32}")


@final
@dataclass(frozen=True, eq=False)
class Unit:
    """One input to certify.

    Args:
        position: its place in the data.
        id: its name, which keys its draws.
        image: the input, of any shape: (channels, height, width), (columns,), (channels, length), ...
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

    @property
    def legacy(self) -> bool:
        """Whether version 0.1 has written it."""
        return "statement" in self.facts

    @property
    def kind(self) -> Hashable:
        """What rows of one part must have alike: the version that made them, and what is known of them."""
        told = frozenset(name for name, value in self.facts.items() if value is not None)
        return self.legacy, told, frozenset(self.arrays)

    @property
    def nbytes(self) -> int:
        """What it takes in a file, about."""
        values = sum(len(value) if isinstance(value, list) else 1 for value in self.facts.values())
        return 8 * values + sum(array.nbytes for array in self.arrays.values())

    @property
    def tells_class(self) -> bool:
        """Whether its evidence says which class was explained; not that of earlier versions."""
        return self.facts.get(EXPLAINED) is not None

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
    return LEGACY_SCHEMA if any(row.legacy for row in rows) else SCHEMA


def is_schema(schema: pa.Schema) -> bool:
    """Whether it is that of rows: of this version, but for pieces that it may not have known yet, or of 0.1."""
    if len(set(schema.names)) < len(schema.names):
        return False
    known = LEGACY_SCHEMA if "statement" in schema.names else SCHEMA
    if any(name not in known.names or schema.field(name).type != known.field(name).type for name in schema.names):
        return False
    absent = {name.partition(".")[0] for name in known.names if name not in schema.names}
    return not absent & {*_NEEDED, *(name.partition(".")[0] for name in schema.names)}


def map_names(facts: Sequence[Mapping[str, Any]]) -> set[str]:
    """Names that arrays of these rows can have."""
    now = {name for name, kind in KINDS.items() if kind == MAP}
    return {old for old, name in NAMES.items() if name in now} if "statement" in facts[0] else now


def check_facts(facts: Mapping[str, Any], inputs: int, path: str) -> None:
    """That a row says what rows say, whatever its evidence is.

    Raises:
        IntegrityError: it does not.
    """
    status, digest = facts["status"], facts["digest"]
    where = f"{path}: row {facts['id']!r} at position {facts['position']!r}"
    if not facts["id"] or facts["position"] is None or not 0 <= facts["position"] < inputs:
        raise IntegrityError(f"{where}: must have a name, and be one of {inputs} inputs")
    if status not in (CERTIFIED, FAILED) or digest is None or not _DIGEST.fullmatch(digest):
        raise IntegrityError(f"{where}: must be {CERTIFIED} or {FAILED}, and have a digest")
    needed = {name for name, _ in _ABOUT} if status == CERTIFIED else {"id", "position", "status", "reason"}
    if lacking := sorted(name for name in needed if facts[name] is None):
        raise IntegrityError(f"{where}: lacks {', '.join(lacking)}")
    if status == FAILED:
        if more := sorted(name for name in set(facts) - needed - {"digest"} if facts[name] is not None):
            raise IntegrityError(f"{where}: has {', '.join(more)}, though it has failed")
    elif not _KEY.fullmatch(facts["input"]) or not _are_classes(facts):
        raise IntegrityError(f"{where}: must have the digest of an input, and classes")
    elif facts.get(EXPLAINED) not in (None, facts["target"]):
        raise IntegrityError(f"{where}: must explain its target, {facts['target']}, not {facts[EXPLAINED]}")


def _are_classes(facts: Mapping[str, Any]) -> bool:
    """A label may be unknown; prediction and target both are -1 where the model's output is a number and no class."""
    prediction, target = facts["prediction"], facts["target"]
    return bool(facts["label"] >= -1 and (min(prediction, target) >= 0 or prediction == target == -1))


def _terms_text(facts: Mapping[str, Sequence[Any]]) -> str:
    """The text of the terms of certified rows, at least one, from columns."""
    texts = set(facts["statement" if "statement" in facts else "terms"])
    if None in texts:
        raise IntegrityError("terms: a row has none")
    if len(texts) != 1:
        raise IntegrityError(f"rows have {len(texts)} different terms; those of a run have the same")
    return str(texts.pop())


def evidence_of(facts: Mapping[str, Sequence[Any]], arrays: Sequence[Mapping[str, Array]]) -> Evidence:
    """What certified rows show, at least one; their scalars alone where arrays are empty.

    Args:
        facts: columns of `SCHEMA`, or of version 0.1.
        arrays: each row's, or nothing.

    Raises:
        IntegrityError: the rows are not of one run, or hold what cannot be evidence.
    """
    text = _terms_text(facts)
    if len({frozenset(row) for row in arrays}) > 1:
        raise IntegrityError("some rows have maps that others lack")
    stacked = {name: _stack([row[name] for row in arrays], name) for name in (arrays[0] if arrays else ())}
    if "statement" in facts:
        columns = {name: _column(facts, _LEGACY_COLUMNS.get(name, name)) for name in NAMES}
        found = {name: _stack(values, name) for name, values in columns.items() if values is not None}
        if "functional_bound" in found:
            found["functional_bound"] = _shared(found["functional_bound"], "functional_bound")
        terms, all_arrays = legacy_evidence(text, {**found, **stacked})
        if (explained := _column(facts, EXPLAINED)) is not None:
            all_arrays[EXPLAINED] = _stack(explained, EXPLAINED)
    else:
        terms, all_arrays = Terms.from_json(text), dict(stacked)
        for name, kind in KINDS.items():
            values = _column(facts, name)
            if kind != MAP and values is not None:
                array = _stack(values, name)
                all_arrays[name] = _shared(array, name) if kind == SHARED else array
    return Evidence.of(terms, tuple(facts["outcome"]), all_arrays)


def evidence_of_rows(rows: Sequence[Row]) -> Evidence:
    """What certified rows show, at least one, in this order; a run that version 0.1 began may hold both kinds.

    Where some rows tell which class was explained, those of earlier versions do by their target, which is the same.

    Raises:
        IntegrityError: as `evidence_of`.
    """
    if any(row.tells_class for row in rows):
        rows = [Row({**row.facts, EXPLAINED: row.facts["target"]}, row.arrays) for row in rows]
    kinds: dict[bool, list[int]] = {}
    for i, row in enumerate(rows):
        kinds.setdefault(row.legacy, []).append(i)
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
    if values is None or all(value is None for value in values):
        return None
    if any(value is None for value in values):
        raise IntegrityError(f"{name}: some rows have it, others lack it")
    return values


def _shared(rows: Array, name: str) -> Array:
    """What all rows have alike."""
    if not (rows == rows[0]).all():
        raise IntegrityError(f"{name}: must be the same in all rows")
    return np.asarray(rows[0])


def _stack(values: Sequence[Any], name: str) -> Array:
    try:
        return np.stack([np.asarray(value) for value in values])
    except ValueError as error:
        raise IntegrityError(f"{name}: rows do not go together ({error})") from None
