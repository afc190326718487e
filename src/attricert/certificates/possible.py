"""What evidence can be: rules between its pieces and its terms. What breaks one was forged, or damaged.

No rule may refuse what draws have shown: each follows from how the numbers are made (theory 3 to 5), and leaves room
for rounding. Ranges of single fields are declared with them (`pieces.column`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from attricert.certificates.pieces import (
    COUNT,
    MAP,
    NUMBER,
    NUMBERS,
    SHARED,
    Cone,
    EntryBounds,
    FourthMoment,
    FunctionalBounds,
    Maps,
    Norm,
    Piece,
    Sampling,
    TopVariance,
)
from attricert.certificates.terms import Terms
from attricert.errors import IntegrityError

__all__ = ["OUTCOMES", "check_possible"]

OUTCOMES = ("", "proven", "refuted", "open")
"""Of an early stop; empty where there was none."""

_ROOM = 1 + 1e-9  # relative; for the rounding of draws, of their sums and of the bounds
_DRIFT = 1e4  # of M; 2 M and Bernstein's width, which alpha and few draws make large, but not so large
_AXES = {NUMBER: 1, COUNT: 1, NUMBERS: 2, SHARED: 1}

Array = npt.NDArray[Any]
Rule = tuple[str, Array, Array, str]
"""A field, its values, where they can be, and what they must be."""


def check_possible(terms: Terms, outcomes: Sequence[str], pieces: Mapping[str, Piece]) -> None:
    """Refuse what no draws can show.

    Args:
        terms: the terms.
        outcomes: one an input.
        pieces: by name.

    Raises:
        IntegrityError: with the field, a value, and what it must be.
    """
    for outcome in outcomes:
        if outcome not in OUTCOMES:
            raise IntegrityError(f"outcome={outcome!r}: must be one of {', '.join(map(repr, OUTCOMES))}")
    _shapes(terms, len(outcomes), pieces)
    _shares(terms, pieces)
    for name, values, possible, must in _rules(terms, pieces):
        holds = np.broadcast_to(possible, np.shape(values))
        if not holds.all():
            raise IntegrityError(f"{name}={np.asarray(values)[~holds].flat[0].item()!r}: must be {must}")


def _shapes(t: Terms, inputs: int, pieces: Mapping[str, Piece]) -> None:
    """A row an input; maps of one shape, as large as the terms say; lists of a piece of one length."""
    maps, lists = dict[str, tuple[int, ...]](), dict[str, dict[str, int]]()
    for name, piece in pieces.items():
        for field, array in piece.arrays().items():
            kind, full = piece.kinds()[field]["kind"], f"{name}.{field}"
            if kind == MAP:
                maps[full] = array.shape
            elif array.ndim != _AXES[kind]:
                raise IntegrityError(f"{full} of shape {array.shape}: must have {_AXES[kind]} axes")
            if kind != SHARED and len(array) != inputs:
                raise IntegrityError(f"{full} of shape {array.shape}: must have a row for each of {inputs} inputs")
            if kind in (NUMBERS, SHARED):
                lists.setdefault(name, {})[full] = array.shape[-1]
    for shape in maps.values():
        if len(set(maps.values())) > 1 or len(shape) < 2 or np.prod(shape[1:], dtype=object) != t.map_entries:
            text = f"must be of one shape, with {t.map_entries} entries an input"
            raise IntegrityError(f"{', '.join(maps)} of shapes {sorted(set(maps.values()))}: {text}")
    for lengths in lists.values():
        if len(set(lengths.values())) > 1 or 0 in lengths.values():
            raise IntegrityError(f"{', '.join(lengths)}: must be of one length, not {sorted(set(lengths.values()))}")


def _shares(t: Terms, pieces: Mapping[str, Piece]) -> None:
    """Whatever is proven has its part of alpha."""
    events = 0
    for name, piece in pieces.items():
        if missing := [share for share in piece.charged() if share not in t.ledger]:
            raise IntegrityError(f"ledger has no share for {', '.join(missing)}, which {name} needs")
        if isinstance(piece, EntryBounds):
            events += t.map_entries
        if isinstance(piece, FunctionalBounds):
            events += len(piece.bound)
    if t.ledger.entries < events:
        raise IntegrityError(f"ledger.entries={t.ledger.entries}: must be at least {events}, as many as are proven")


def _rules(t: Terms, pieces: Mapping[str, Piece]) -> Iterator[Rule]:
    cone = next((piece for piece in pieces.values() if isinstance(piece, Cone)), None)
    for piece in pieces.values():
        match piece:
            case Sampling():
                yield from _sampling(piece)
            case Norm(lower=norm):
                yield "norm.lower", norm, norm <= t.max_norm, f"at most the attribution's bound, {t.max_norm!r}"
            case Maps():
                yield from _maps(piece, t)
            case TopVariance():
                yield from _top_variance(piece, t)
            case Cone():
                yield from _cone(piece, t)
            case FourthMoment(upper=fourth):
                most = np.array(-1.0) if cone is None else _largest_square(cone, t) ** 2 * _ROOM
                yield (
                    "fourth.upper",
                    fourth,
                    fourth <= most,
                    "with a cone, and at most the largest square inside, squared",
                )
            case EntryBounds():
                yield from _entries(piece, t)
            case FunctionalBounds():
                yield from _functionals(piece)


def _sampling(s: Sampling) -> Iterator[Rule]:
    # In this order, as sums of forged counts may overflow.
    yield "sampling.zeros", s.zeros, s.zeros <= s.n_samples, "at most n_samples"
    yield "sampling.nonfinite", s.nonfinite, s.nonfinite <= s.n_samples - s.zeros, "at most n_samples less zeros"


def _maps(m: Maps, t: Terms) -> Iterator[Rule]:
    yield from _inside("maps.mean", m.mean, *_ends(t))
    size = np.sqrt(((m.mean / t.max_norm) ** 2).sum(axis=tuple(range(1, m.mean.ndim))))
    yield "maps.mean, of norm", size * t.max_norm, size <= _ROOM, f"at most {t.max_norm!r}"


def _top_variance(v: TopVariance, t: Terms) -> Iterator[Rule]:
    # B is M + ||m||, or the hypotenuse of both, and ||m|| at most M.
    least, most = t.max_norm / _ROOM, 2 * t.max_norm * _ROOM
    inside = (v.max_deviation >= least) & (v.max_deviation <= most)
    yield "top_variance.max_deviation", v.max_deviation, inside, f"from {least!r} to {most!r}"
    yield "top_variance.upper", v.upper, v.upper <= v.max_deviation**2 * _ROOM, "at most max_deviation^2"


def _cone(c: Cone, t: Terms) -> Iterator[Rule]:
    m, room = t.max_norm, t.max_norm * (_ROOM - 1)
    yield "cone.center", c.center, c.center <= m * _ROOM, f"at most {m!r}"
    yield "cone.along", c.along, c.along <= m * _ROOM, f"at most {m!r}"
    yield "cone.across", c.across, c.across <= m * _ROOM, f"at most {m!r}"
    yield "cone.drift", c.drift, c.drift <= _DRIFT * m, f"at most {_DRIFT * m!r}"
    for name, steps, slack in (
        ("cone.along", -np.diff(c.along), room),
        ("cone.across", np.diff(c.across), room),
        ("cone.outside", -np.diff(c.outside), _ROOM - 1),
    ):
        way = "rising" if name == "cone.across" else "falling"
        yield f"{name}, by steps that are", steps, steps >= -slack, f"{way} from region to region"
    yield "cone.variance", c.variance, c.variance <= _largest_square(c, t), "at most the largest square inside"


def _largest_square(c: Cone, t: Terms) -> Array:
    """Of ||q|| in the outermost region, q stretched along m."""
    away = np.maximum(np.abs(c.along[:, -1] - c.center), np.abs(t.max_norm - c.center))
    return np.asarray(((c.stretch * away) ** 2 + c.across[:, -1] ** 2) * _ROOM)


def _entries(b: EntryBounds, t: Terms) -> Iterator[Rule]:
    low, high = _ends(t)
    yield from _interval("entries", b.low, b.high, np.array(low), np.array(high))
    yield from _inside("entries.center", b.center, low, high)
    most = (high - low) ** 2
    yield "entries.second", b.second, b.second <= most, f"at most {most!r}"


def _functionals(f: FunctionalBounds) -> Iterator[Rule]:
    bound = f.bound * _ROOM
    yield from _interval("functionals", f.low, f.high, -bound, bound)
    known = np.isnan(f.center) | (np.abs(f.center) <= bound)
    yield "functionals.center", f.center, known, "at most the functional's bound, in absolute value"
    yield "functionals.second", f.second, f.second <= (2 * bound) ** 2, "at most the square of twice the bound"


def _interval(name: str, low: Array, high: Array, least: Array, most: Array) -> Iterator[Rule]:
    slack = most * (_ROOM - 1)
    yield f"{name}.low", low, low <= high + slack, "at most high"
    yield f"{name}.low", low, low >= least, "at least what an attribution can have there"
    yield f"{name}.high", high, high <= most, "at most what an attribution can have there"


def _inside(name: str, values: Array, low: float, high: float) -> Iterator[Rule]:
    yield name, values, np.isnan(values) | (values >= low) & (values <= high), f"from {low!r} to {high!r}"


def _ends(t: Terms) -> tuple[float, float]:
    """Of an entry of the attribution."""
    most = t.max_entry * _ROOM
    return (-t.max_entry * (_ROOM - 1) if t.nonnegative else -most), most
