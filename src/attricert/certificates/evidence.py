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

from attricert.certificates.movement import Facts
from attricert.certificates.statement import Statement
from attricert.errors import IntegrityError
from attricert.files import write_atomically

__all__ = ["Evidence"]

_FORMAT = "attricert-evidence-2"


@final
@dataclass(frozen=True)
class Evidence:
    """Per input, in arrays of shape (batch,) unless said otherwise; arrays are read-only. None: not collected.

    Args:
        statement: the terms.
        norm: c, a lower confidence bound on ||h||; 0 where nothing is known.
        n_samples: attributions computed for the proof (the main stream).
        n_pilot: attributions computed for the pilot.
        zeros: sampled attributions that were zero (main stream).
        nonfinite: sampled attributions with NaN or inf, counted as zero (main stream).
        outcome: for an early-stopped call ``"proven"``, ``"refuted"`` or ``"open"``; else ``""``.
        maps: the smoothed attributions estimated from the main stream, shape (batch, ...).
        spread: lambda, an upper confidence bound on the largest eigenvalue of E (g-m)(g-m)^T, m the pilot's mean.
        reach: B, an upper bound on every ||g - m||.
        moments: upper confidence bounds on sup_v (E (v.(g-m))^order)^(1/order) for ``statement.moments``, over the
            draws within a radius; shape (batch, orders).
        tail: upper confidence bound on the probability of a draw beyond that radius.
        feature_low: lower confidence bound on each entry of h, shape (batch, ...).
        feature_high: the upper one.
        feature_spread: upper confidence bound on E (g_i - m_i)^2, shape (batch, ...).
        functional_low: lower confidence bounds on the functionals of h, shape (batch, functionals).
        functional_high: the upper ones.
        functional_spread: upper confidence bounds on the functionals' second moments around the pilot's mean.
        functional_bound: structural bound of each functional of g in absolute value, shape (functionals,).
        label: top class of the smoothed classifier, chosen by the pilot; -1 if none.
        label_mass: pA, a lower confidence bound on the probability of that class under the noise.
    """

    statement: Statement
    norm: npt.NDArray[np.float64]
    n_samples: npt.NDArray[np.int64]
    n_pilot: npt.NDArray[np.int64]
    zeros: npt.NDArray[np.int64]
    nonfinite: npt.NDArray[np.int64]
    outcome: tuple[str, ...]
    maps: npt.NDArray[np.float64] | None = None
    spread: npt.NDArray[np.float64] | None = None
    reach: npt.NDArray[np.float64] | None = None
    moments: npt.NDArray[np.float64] | None = None
    tail: npt.NDArray[np.float64] | None = None
    feature_low: npt.NDArray[np.float64] | None = None
    feature_high: npt.NDArray[np.float64] | None = None
    feature_spread: npt.NDArray[np.float64] | None = None
    functional_low: npt.NDArray[np.float64] | None = None
    functional_high: npt.NDArray[np.float64] | None = None
    functional_spread: npt.NDArray[np.float64] | None = None
    functional_bound: npt.NDArray[np.float64] | None = None
    label: npt.NDArray[np.int64] | None = None
    label_mass: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for array in self._arrays().values():
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.norm)

    def __getitem__(self, rows: slice) -> Evidence:
        """That of some of the inputs."""
        shared = ("functional_bound",)
        arrays: dict[str, Any] = {
            name: array if name in shared else array[rows] for name, array in self._arrays().items()
        }
        return dataclasses.replace(self, outcome=self.outcome[rows], **arrays)

    def facts(self) -> Facts:
        """What bounds the displacement, as columns."""
        spread = np.full_like(self.norm, np.inf) if self.spread is None else self.spread
        reach = np.full_like(self.norm, np.inf) if self.reach is None else self.reach
        moments = () if self.moments is None else tuple(column[:, None] for column in self.moments.T)
        tail = None if self.tail is None else self.tail[:, None]
        return Facts(self.norm[:, None], spread[:, None], reach[:, None], moments, tail)

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
