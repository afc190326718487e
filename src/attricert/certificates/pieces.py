"""Pieces of evidence: what sampling has shown of one batch of inputs, one small dataclass each.

A field is an array with an entry an input, unless it is shared by all of them. What is stored, in files and in columns,
follows from these declarations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast, final

import numpy as np
import numpy.typing as npt

from attricert.errors import IntegrityError

__all__ = [
    "Cone",
    "EntryBounds",
    "Explained",
    "FourthMoment",
    "FunctionalBounds",
    "Maps",
    "Norm",
    "Piece",
    "Prediction",
    "Provable",
    "Sampling",
    "TopVariance",
]

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

P = TypeVar("P", bound="Piece")

NUMBER, COUNT, NUMBERS, MAP, SHARED = "number", "count", "numbers", "map", "shared"


def column(kind: str, low: float = -np.inf, high: float = np.inf, *, optional: bool = False) -> Any:
    """A field of this kind: one number or count an input, several numbers, one an entry of the map, or shared ones.

    Values outside [low, high] are no evidence, nor is what is not finite; but NaN may stand for what was not kept.
    """
    return dataclasses.field(metadata={"kind": kind, "low": low, "high": high, "optional": optional})


@final
@dataclass(frozen=True)
class Provable:
    """What `certify(prove=[...])` needs to know of a piece that can be asked for by its name in `Evidence`.

    Args:
        shares: of alpha, by name, with their weights.
        anytime: whether its bounds hold at all draw counts at once, so that it goes with ``stop_at``.
        by_default: whether it is proven where nothing is asked for.
        rests_on: the pieces without which it says nothing; they are proven with it.
    """

    shares: Mapping[str, float]
    anytime: bool = False
    by_default: bool = False
    rests_on: tuple[str, ...] = ()


class Piece:
    """Frozen arrays; subclasses are frozen dataclasses whose fields are made by `column`."""

    provable: ClassVar[Provable | None] = None
    """None: it cannot be asked for, but comes with others."""

    share: ClassVar[str | None] = None
    """Of alpha, where it cannot be asked for and yet rests on one."""

    def __post_init__(self) -> None:
        for name, array in self.arrays().items():
            array.flags.writeable = False
            rule = self.kinds()[name]
            where, whole = f"{type(self).__name__}.{name}", rule["kind"] == COUNT
            if array.dtype.kind != "i" if whole else array.dtype != np.float64:
                text = f"must be {'whole numbers' if whole else 'float64'}"
                raise IntegrityError(f"{where} of dtype {array.dtype}: {text}")
            inside = np.isfinite(array) & (array >= rule["low"]) & (array <= rule["high"])
            inside |= rule["optional"] & np.isnan(array)
            if not bool(inside.all()):
                text = f"must be from {rule['low']:g} to {rule['high']:g}, and finite"
                raise IntegrityError(f"{where}={array[~inside].flat[0]!r}: {text}")

    @classmethod
    def charged(cls) -> tuple[str, ...]:
        """The shares of alpha that it rests on."""
        return (*(cls.provable.shares if cls.provable else ()), *((cls.share,) if cls.share else ()))

    @classmethod
    def kinds(cls) -> dict[str, Any]:
        """What is declared of each field: its kind, its lowest and its highest value."""
        return {field.name: field.metadata for field in dataclasses.fields(cast("Any", cls))}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """By name."""
        return {name: getattr(self, name) for name in self.kinds()}

    def select(self: P, rows: npt.NDArray[np.int64]) -> P:
        """That of some of the inputs."""
        kinds = self.kinds()
        return type(self)(**{n: a if kinds[n]["kind"] == SHARED else a[rows] for n, a in self.arrays().items()})

    @classmethod
    def stack(cls: type[P], rows: Sequence[P]) -> P:
        """One piece of the pieces of single inputs, whose arrays have no axis of inputs."""
        values = {
            name: getattr(rows[0], name)
            if rule["kind"] == SHARED
            else np.stack([np.asarray(getattr(row, name)) for row in rows])
            for name, rule in cls.kinds().items()
        }
        return cls(**values)


@final
@dataclass(frozen=True)
class Sampling(Piece):
    """What was drawn.

    Args:
        n_samples: attributions computed for the proof (the main stream).
        n_pilot: attributions computed for the pilot.
        zeros: sampled attributions that were zero (main stream).
        nonfinite: sampled attributions with NaN or inf, counted as zero (main stream).
    """

    n_samples: Counts = column(COUNT, 1)
    n_pilot: Counts = column(COUNT, 0)
    zeros: Counts = column(COUNT, 0)
    nonfinite: Counts = column(COUNT, 0)


@final
@dataclass(frozen=True)
class Norm(Piece):
    """The norm of the smoothed map.

    Args:
        lower: c, a lower confidence bound on u.h, u the pilot's direction, and so on ||h||; 0 where nothing is known.
    """

    share: ClassVar[str | None] = "norm"
    lower: Array = column(NUMBER, 0)


@final
@dataclass(frozen=True)
class Maps(Piece):
    """The smoothed attributions as the main stream estimates them.

    Args:
        mean: shape (batch, ...).
    """

    mean: Array = column(MAP)


@final
@dataclass(frozen=True)
class TopVariance(Piece):
    """How far sampled maps spread (theory 3b).

    Args:
        upper: lambda, an upper confidence bound on the largest eigenvalue of E (g-m)(g-m)^T, m the pilot's mean.
        max_deviation: B, an upper bound on every ||g - m||.
    """

    provable: ClassVar[Provable | None] = Provable({"top_variance": 0.1}, anytime=True, by_default=True)
    upper: Array = column(NUMBER, 0)
    max_deviation: Array = column(NUMBER, 0)


@final
@dataclass(frozen=True)
class Cone(Piece):
    """Where sampled maps lie around the pilot's direction u = m/||m|| (theory 4, cosine by cones).

    Region j holds the maps g with u.g >= along_j and ||g - (u.g) u|| <= across_j; each lies in the next one.

    Args:
        center: ||m||, m the pilot's mean.
        drift: an upper confidence bound on ||h - m||.
        stretch: s, by which deviations along u are stretched in the next one.
        variance: an upper confidence bound on the largest eigenvalue of E q q^T over the outermost region, q = g - m
            with its part along u stretched.
        along: shape (batch, regions), falling.
        across: shape (batch, regions), rising.
        outside: upper confidence bounds on the probability of a draw outside; shape (batch, regions), falling.
    """

    provable: ClassVar[Provable | None] = Provable(
        {"inside_variance": 0.6, "drift": 0.1, "regions": 2.0}, by_default=True, rests_on=("top_variance",)
    )
    center: Array = column(NUMBER, 0)
    drift: Array = column(NUMBER, 0)
    stretch: Array = column(NUMBER, 1, 1e6)
    variance: Array = column(NUMBER, 0)
    along: Array = column(NUMBERS, 0)
    across: Array = column(NUMBERS, 0)
    outside: Array = column(NUMBERS, 0, 1)


@final
@dataclass(frozen=True)
class FourthMoment(Piece):
    """The fourth moment of the stretched deviations over the outermost region (theory 3e).

    Args:
        upper: an upper confidence bound on sup over unit vectors v of E (v.q)^4.
    """

    provable: ClassVar[Provable | None] = Provable({"fourth": 1.0}, rests_on=("cone",))
    upper: Array = column(NUMBER, 0)


@final
@dataclass(frozen=True)
class EntryBounds(Piece):
    """Every entry of the smoothed map (theory 3d): shape (batch, ...) each.

    Args:
        low: lower confidence bounds of h_i.
        high: upper ones.
        second: upper confidence bounds on E (g_i - m_i)^2.
        center: m_i, the pilot's mean; NaN where it was not kept.
    """

    provable: ClassVar[Provable | None] = Provable({"entries": 0.3}, anytime=True, by_default=True)
    low: Array = column(MAP)
    high: Array = column(MAP)
    second: Array = column(MAP, 0)
    center: Array = column(MAP, optional=True)


@final
@dataclass(frozen=True)
class FunctionalBounds(Piece):
    """Linear functionals v.h of the smoothed map: shape (batch, functionals).

    Args:
        low: lower confidence bounds.
        high: upper ones.
        second: upper confidence bounds on E (v.(g - m))^2.
        center: v.m; NaN where it was not kept.
        bound: structural bounds of |v.g|, shape (functionals,), the same for all inputs.
    """

    share: ClassVar[str | None] = "entries"
    low: Array = column(NUMBERS)
    high: Array = column(NUMBERS)
    second: Array = column(NUMBERS, 0)
    center: Array = column(NUMBERS, optional=True)
    bound: Array = column(SHARED, 0, 1e150)


@final
@dataclass(frozen=True)
class Explained(Piece):
    """What the maps explain. Evidence of earlier versions does not have it.

    Args:
        target: the class; -1 where none was given.
    """

    target: Counts = column(COUNT, -1)


@final
@dataclass(frozen=True)
class Prediction(Piece):
    """The class of the smoothed classifier.

    Args:
        label: chosen by the pilot; -1 if none.
        p_lower: pA, a lower confidence bound on the probability of that class under the noise.
    """

    provable: ClassVar[Provable | None] = Provable({"prediction": 0.05}, by_default=True)
    label: Counts = column(COUNT, -1)
    p_lower: Array = column(NUMBER, 0, np.nextafter(1, 0))
