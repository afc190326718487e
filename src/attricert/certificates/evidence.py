"""What sampling has shown: the numbers from which every certificate is computed, without the model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from attricert import checks
from attricert.certificates import legacy
from attricert.certificates.pieces import (
    MAP,
    Cone,
    EntryBounds,
    Explained,
    FourthMoment,
    FunctionalBounds,
    Maps,
    Norm,
    Piece,
    Prediction,
    Sampling,
    TopVariance,
)
from attricert.certificates.possible import check_possible
from attricert.certificates.terms import Terms
from attricert.errors import ArgumentError, IntegrityError, RowError
from attricert.files import parse_json, read_tensors, write_atomically

__all__ = ["Evidence", "piece_classes"]

_FORMAT = "attricert-evidence-3"

Rows = int | slice | Sequence[int] | npt.NDArray[Any]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Evidence:
    """The terms, and a piece for everything that was proven; None where it was not.

    Args:
        terms: the terms.
        sampling: what was drawn.
        norm: of the smoothed map.
        outcome: for an early-stopped call ``"proven"``, ``"refuted"`` or ``"open"``, one an input; else ``""``.
        maps: the smoothed attributions, estimated.
        top_variance: how far sampled maps spread.
        cone: where they lie around the pilot's direction.
        fourth: their fourth moment.
        entries: every entry of the smoothed map.
        functionals: linear functionals of it.
        prediction: the smoothed classifier's class.
        explained: the class that the maps explain.
    """

    terms: Terms
    sampling: Sampling
    norm: Norm
    outcome: tuple[str, ...]
    maps: Maps | None = None
    top_variance: TopVariance | None = None
    cone: Cone | None = None
    fourth: FourthMoment | None = None
    entries: EntryBounds | None = None
    functionals: FunctionalBounds | None = None
    prediction: Prediction | None = None
    explained: Explained | None = None

    def __post_init__(self) -> None:
        check_possible(self.terms, self.outcome, self.pieces())

    def __repr__(self) -> str:
        """In a line: how many inputs, of what, and what was proven."""
        return f"Evidence({self.about}: {', '.join(self.pieces())})"

    def __len__(self) -> int:
        return len(self.outcome)

    @property
    def about(self) -> str:
        """How many inputs, and the terms that matter most, in a line."""
        return f"{len(self)} input{'' if len(self) == 1 else 's'}, {self.terms.about}"

    def __getitem__(self, rows: Rows) -> Evidence:
        """That of one or some of the inputs: a number, a slice, numbers, or a mask; one input stays a batch of one."""
        part = np.arange(len(self))[rows] if isinstance(rows, slice) else _indices(rows, len(self))
        pieces: dict[str, Any] = {name: piece.select(part) for name, piece in self.pieces().items()}
        return dataclasses.replace(self, outcome=tuple(self.outcome[i] for i in part), **pieces)

    def pieces(self) -> dict[str, Piece]:
        """Those that are there, by name."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: piece for name, piece in found.items() if isinstance(piece, Piece)}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All of them, by ``piece.field``."""
        return {f"{n}.{f}": array for n, piece in self.pieces().items() for f, array in piece.arrays().items()}

    def without_maps(self) -> Evidence:
        """Without what is as large as the maps."""
        large = [n for n, p in self.pieces().items() if any(rule["kind"] == MAP for rule in p.kinds().values())]
        nothing: dict[str, Any] = dict.fromkeys(large)
        return dataclasses.replace(self, **nothing)

    @classmethod
    def of(cls, terms: Terms, outcome: Sequence[str], arrays: Mapping[str, npt.NDArray[Any]]) -> Evidence:
        """From arrays by ``piece.field``, as `arrays` gives them.

        Raises:
            IntegrityError: a field is missing, unknown, or cannot be.
        """
        fields: dict[str, dict[str, npt.NDArray[Any]]] = {}
        for key, array in arrays.items():
            name, _, field = key.partition(".")
            fields.setdefault(name, {})[field] = array
        known, pieces = piece_classes(), dict[str, Any]()
        for name, values in fields.items():
            if name not in known or set(values) != set(known[name].kinds()):
                raise IntegrityError(f"evidence has {name} with {', '.join(sorted(values))}: not what is proven here")
            pieces[name] = known[name](**values)
        if missing := {"sampling", "norm"} - set(pieces):
            raise IntegrityError(f"evidence lacks {', '.join(sorted(missing))}")
        return cls(terms=terms, outcome=tuple(outcome), **pieces)

    def save(self, path: str | Path) -> None:
        """Write to one safetensors file."""
        metadata = {"format": _FORMAT, "terms": self.terms.to_json(), "outcome": json.dumps(self.outcome)}
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays().items()}
        write_atomically(checks.path("path", path), save(arrays, metadata=metadata))

    @classmethod
    def load(cls, path: str | Path) -> Evidence:
        """Read what `save` wrote, or what version 0.1 did.

        Raises:
            ArgumentError: there is no such file.
            IntegrityError: the file is something else, damaged, or holds what cannot be evidence.
        """
        file = checks.path("path", path)
        if not file.is_file():
            raise ArgumentError("path", str(path), "must be a file that save has written")
        try:
            metadata, arrays = read_tensors(file.resolve())  # a link that the caller names is the caller's
            kind = metadata.pop("format", None)
            known = {legacy.FORMAT: "statement", _FORMAT: "terms"}
            if kind not in known or set(metadata) != {known[kind], "outcome"}:
                raise IntegrityError(f"not a saved certificate (format {kind!r})")
            text, outcome = metadata[known[kind]], parse_json(metadata["outcome"])
            if not isinstance(outcome, list):
                raise IntegrityError("outcome: must be a list")
            if kind == legacy.FORMAT:
                terms, arrays = legacy.evidence(text, arrays)
            else:
                terms = Terms.from_json(text)
            return cls.of(terms, outcome, arrays)
        except (IntegrityError, ValueError, OSError) as error:
            raise IntegrityError(f"{path}: {error}") from None


def piece_classes() -> dict[str, type[Piece]]:
    """The pieces that evidence may have, by name."""
    found = {}
    for name, hint in get_type_hints(Evidence).items():
        for kind in (hint, *get_args(hint)):
            if isinstance(kind, type) and issubclass(kind, Piece):
                found[name] = kind
    return found


def _indices(rows: int | Sequence[int] | npt.NDArray[Any], count: int) -> npt.NDArray[np.int64]:
    """Numbers, or a mask, as numbers."""
    chosen = np.atleast_1d(np.asarray(rows))
    if chosen.size == 0:
        chosen = chosen.astype(np.int64)
    if chosen.dtype.kind not in "iub" or chosen.ndim > 1 or (chosen.dtype.kind == "b" and len(chosen) != count):
        raise ArgumentError("rows", rows, f"must be numbers, a slice, or a mask of {count} inputs")
    try:
        return np.asarray(np.arange(count)[chosen])
    except IndexError:
        raise RowError("rows", rows, f"there are {count} inputs") from None
