"""What sampling has shown: the numbers from which every certificate is computed, without the model."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from attricert.certificates.statement import Statement
from attricert.errors import IntegrityError
from attricert.files import write_atomically

__all__ = ["Evidence"]

_FORMAT = "attricert-evidence-1"


@final
@dataclass(frozen=True)
class Evidence:
    """Per input, in arrays of shape (batch,) unless said otherwise; arrays are read-only.

    Args:
        statement: the terms.
        norm: c, a lower confidence bound on ||h||; 0 where nothing is known.
        n_samples: attributions computed for the proof (the main stream).
        n_pilot: attributions computed for the pilot.
        zeros: sampled attributions that were zero (main stream).
        nonfinite: sampled attributions with NaN or inf, counted as zero (main stream).
        outcome: for an early-stopped call ``"proven"``, ``"refuted"`` or ``"open"``; else ``""``.
        maps: the smoothed attributions estimated from the main stream, shape (batch, ...).
    """

    statement: Statement
    norm: npt.NDArray[np.float64]
    n_samples: npt.NDArray[np.int64]
    n_pilot: npt.NDArray[np.int64]
    zeros: npt.NDArray[np.int64]
    nonfinite: npt.NDArray[np.int64]
    outcome: tuple[str, ...]
    maps: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        for array in self._arrays().values():
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.norm)

    def save(self, path: str | Path) -> None:
        """Write to one safetensors file."""
        metadata = {"format": _FORMAT, "statement": self.statement.to_json(), "outcome": json.dumps(self.outcome)}
        write_atomically(Path(path), save(self._arrays(), metadata=metadata))

    @classmethod
    def load(cls, path: str | Path) -> Evidence:
        """Read what `save` wrote."""
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != _FORMAT:
                    raise IntegrityError(f"{path}: not a saved certificate (format {metadata.get('format')!r})")
                names = file.keys()
                arrays = {name: file.get_tensor(name) for name in names}
        except SafetensorError as error:
            raise IntegrityError(f"{path}: not a saved certificate ({error})") from None
        outcome = tuple(json.loads(metadata["outcome"]))
        return cls(statement=Statement.from_json(metadata["statement"]), outcome=outcome, **arrays)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
