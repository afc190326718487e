"""What holds at each size of a grid: claims shrink as eps grows, so one number tells up to which size each holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import final

import numpy as np
import numpy.typing as npt

from attricert.certificates import Certificate
from attricert.certificates.ranking import Ranking
from attricert.report.layout import Layout

__all__ = ["NOTHING", "SCALE", "Entries", "Numbers", "Thousandths", "grid_of", "thousandths"]

SCALE = 1000
"""Shares and cosines are whole thousandths, rounded down."""

NOTHING = -32768
"""Where nothing is certified."""

_LEAST = 0.01  # a cosine that is as good as none
_FEWEST, _MOST = 8, 40  # sizes of a grid
_AT_ONCE = 2**15  # entries, which are cheaper together and fit memory
_WORK = 5e7  # entries times sizes, about ten minutes
_FACTORS = (1.0, 2.0, 2.5, 5.0, 10.0)
_ROUNDING = 1e-12  # relative; of a sum over channels

Thousandths = npt.NDArray[np.int16]
Array = npt.NDArray[np.float64]


def grid_of(certificate: Certificate, asked: Iterable[float] = (), entries: int = 0) -> tuple[float, ...]:
    """Round sizes from 0 to where nothing is certified any more, with those that are asked for.

    Args:
        certificate: of at least one input.
        asked: sizes that must be among them.
        entries: of all maps together; of many, fewer sizes are taken, as each costs time.
    """
    largest = float(certificate.max_eps(_LEAST).max(initial=0.0))
    found = {0.0, *asked}
    if largest > 0:
        count = int(np.clip(_WORK / max(entries, 1), _FEWEST, _MOST))
        power = 10.0 ** math.floor(math.log10(largest / count))
        step = next(power * factor for factor in _FACTORS if largest / (power * factor) <= count)
        found |= {float(f"{step * i:.6g}") for i in range(1, int(largest / step) + 2)}
    return tuple(sorted(found))


@final
@dataclass(frozen=True, eq=False)
class Numbers:
    """Of each input at each size: whole thousandths, shape (n, sizes); `NOTHING` where nothing is certified.

    Args:
        cosine: lower bounds.
        overlap: of the top k; None without bounds on entries, as are the others.
        tau: lower bounds on Kendall's tau-a.
        signs: the share of entries whose sign is certain.
    """

    cosine: Thousandths
    overlap: Thousandths | None = None
    tau: Thousandths | None = None
    signs: Thousandths | None = None


@final
@dataclass(frozen=True, eq=False)
class Entries:
    """Up to which size claims of single cells hold, n inputs; sizes are counted from 1, and 0 stands for none.

    Args:
        signs: s or -s: the sign, which is certain up to the s-th size; shape (n, cells).
        top: s: among the top k, for certain, up to the s-th size; shape (n, cells).
        low: lower bounds of every cell at every size, shape (n, sizes, cells); None for pictures.
        high: upper bounds.
    """

    signs: npt.NDArray[np.int8]
    top: npt.NDArray[np.uint8]
    low: Array | None = None
    high: Array | None = None

    @classmethod
    def of(
        cls,
        certificate: Certificate,
        eps: Sequence[float],
        layout: Layout,
        k: int,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> tuple[Numbers, Entries | None]:
        """Numbers too, as both come from the same intervals.

        Args:
            certificate: of n inputs.
            eps: sizes, rising, at most 127.
            layout: of their maps.
            k: size of the top set.
            on_progress: told of every input and size.
        """
        n, cosine = len(certificate), _cosines(certificate, eps)
        if certificate.evidence.entries is None:
            on_progress(n * len(eps))
            return Numbers(cosine), None
        overlap, tau, share = (np.zeros((n, len(eps)), np.int16) for _ in range(3))
        signs, top = np.zeros((n, layout.cells), np.int8), np.zeros((n, layout.cells), np.uint8)
        shown = layout.kind != "picture"
        low, high = (np.zeros((n, len(eps), layout.cells) if shown else (0,)) for _ in range(2))
        at_once = max(1, _AT_ONCE // certificate.terms.map_entries)
        for start in range(0, n, at_once):
            part = certificate[start : start + at_once]
            for j, size in enumerate(eps):
                for i, ranking in enumerate(part.rankings(size), start):
                    overlap[i, j] = SCALE * ranking.overlap(k) // k
                    tau[i, j] = thousandths(ranking.kendall_tau())
                    share[i, j] = SCALE * int(((ranking.least > 0) | (ranking.most < 0)).sum()) // ranking.least.size
                    least, most = _of_cells(ranking, layout)
                    held = np.where(least > 0, j + 1, np.where(most < 0, -j - 1, 0))
                    signs[i] = np.where((held != 0) & (np.abs(signs[i]) == j), held, signs[i])
                    kept = layout.least(layout.anywhere(ranking.stays(k))).reshape(-1)
                    top[i] = np.where(kept & (top[i] == j), j + 1, top[i])
                    if shown:
                        low[i, j], high[i, j] = least, most
                    on_progress(1)
        return Numbers(cosine, overlap, tau, share), cls(signs, top, low if shown else None, high if shown else None)


def _of_cells(ranking: Ranking, layout: Layout) -> tuple[Array, Array]:
    """Where the values of cells lie: all of a cell's pixels, and their channels' sums."""
    least, most = layout.total(ranking.least), layout.total(ranking.most)
    if layout.channels > 1:
        slack = _ROUNDING * layout.total(np.maximum(np.abs(ranking.least), np.abs(ranking.most)))
        least, most = least - slack, most + slack
    return layout.least(least).reshape(-1), layout.most(most).reshape(-1)


def thousandths(value: float) -> int:
    """Rounded down."""
    return int((Decimal(value) * SCALE).to_integral_value(ROUND_FLOOR))


def _cosines(certificate: Certificate, eps: Sequence[float]) -> Thousandths:
    found = certificate.cosine(list(eps))
    certain = certificate.certified(list(eps))
    cells = [thousandths(v) if c else NOTHING for v, c in zip(found.flat, certain.flat, strict=True)]
    return np.array(cells, np.int16).reshape(found.shape)
