"""One input's results: a row of plain values, and arrays of the map's size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from torch import Tensor

from attricert.certificates import Certificate, Evidence, Statement
from attricert.errors import IntegrityError
from attricert.streams import sample_key

__all__ = ["CERTIFIED", "FAILED", "MAPS", "SCHEMA", "Row", "Unit", "certificate_of"]

CERTIFIED, FAILED = "certified", "failed"

Array = npt.NDArray[Any]

_NUMBER, _COUNT, _NUMBERS = pa.float64(), pa.int64(), pa.list_(pa.float64())
# Columns of the evidence, and their names in it.
_EVIDENCE = {
    "norm": (_NUMBER, "norm"),
    "n_samples": (_COUNT, "n_samples"),
    "n_pilot": (_COUNT, "n_pilot"),
    "zeros": (_COUNT, "zeros"),
    "nonfinite": (_COUNT, "nonfinite"),
    "spread": (_NUMBER, "spread"),
    "reach": (_NUMBER, "reach"),
    "moments": (_NUMBERS, "moments"),
    "tail": (_NUMBER, "tail"),
    "functional_low": (_NUMBERS, "functional_low"),
    "functional_high": (_NUMBERS, "functional_high"),
    "functional_spread": (_NUMBERS, "functional_spread"),
    "label_certified": (_COUNT, "label"),
    "label_mass": (_NUMBER, "label_mass"),
}
_SHARED = "functional_bound"  # the same for all inputs
MAPS = ("maps", "feature_low", "feature_high", "feature_spread")

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("position", _COUNT),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("input", pa.string()),
        ("label", _COUNT),
        ("prediction", _COUNT),
        ("target", _COUNT),
        ("outcome", pa.string()),
        *((name, kind) for name, (kind, _) in _EVIDENCE.items()),
        (_SHARED, _NUMBERS),
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
        facts: a value for each column of `SCHEMA` but those that are null, and ``digest``.
        arrays: those of `MAPS` that are kept.
    """

    facts: Mapping[str, Any]
    arrays: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def certified(cls, unit: Unit, prediction: int, target: int, certificate: Certificate, keep: bool) -> Row:
        """From the certificate of this input alone."""
        e = certificate.evidence
        facts = {
            "id": unit.id,
            "position": unit.position,
            "status": CERTIFIED,
            "reason": "",
            "input": sample_key(unit.image),
            "label": unit.label,
            "prediction": prediction,
            "target": target,
            "outcome": e.outcome[0],
            "statement": e.statement.to_json(),
        }
        for column, (_, name) in _EVIDENCE.items():
            value = getattr(e, name)
            if value is not None:
                facts[column] = value[0].tolist()
        if e.functional_bound is not None:
            facts[_SHARED] = e.functional_bound.tolist()
        arrays = {name: getattr(e, name)[0] for name in MAPS if keep and getattr(e, name) is not None}
        return cls(facts, arrays)

    @classmethod
    def failed(cls, position: int, name: str, reason: str) -> Row:
        """An input for which there is no evidence, and why."""
        facts = {"id": name, "position": position, "status": FAILED, "reason": " ".join(reason.split())[:500]}
        return cls(facts)

    def digest(self, run: str) -> str:
        """SHA-256 over everything, and the run it belongs to."""
        facts = {name: value for name, value in self.facts.items() if value is not None and name != "digest"}
        whole = hashlib.sha256(f"{run}\x1f{json.dumps(facts, sort_keys=True)}".encode())
        for name in sorted(self.arrays):
            array = np.ascontiguousarray(self.arrays[name])
            whole.update(f"{name}{array.dtype}{array.shape}".encode() + array.tobytes())
        return whole.hexdigest()


def certificate_of(
    facts: Mapping[str, Sequence[Any]], arrays: Sequence[Mapping[str, Array]], method: str
) -> Certificate:
    """The certificate of certified rows, at least one; of their scalars alone where arrays are empty.

    Args:
        facts: columns of `SCHEMA`.
        arrays: each row's, or nothing.
        method: as in `Certificate`.

    Raises:
        IntegrityError: the rows are not of one run.
    """
    statements = set(facts["statement"])
    if len(statements) != 1:
        raise IntegrityError(f"rows make {len(statements)} different statements; a run makes one")
    fields: dict[str, Any] = {
        name: np.array(facts[column]) for column, (_, name) in _EVIDENCE.items() if facts[column][0] is not None
    }
    if facts[_SHARED][0] is not None:
        fields[_SHARED] = np.array(facts[_SHARED][0], dtype=np.float64)
    for name in MAPS if arrays else ():
        if name in arrays[0]:
            fields[name] = np.stack([row[name] for row in arrays])
    evidence = Evidence(Statement.from_json(statements.pop()), outcome=tuple(facts["outcome"]), **fields)
    return Certificate(evidence, method)
