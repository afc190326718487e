"""Second moments of centered draws in all directions at once: pure states, never too small (theory 5).

Both forms give upper bounds of sup_v mean (v.q_i)^2 over unit vectors v, of all q_i seen, and of those inside a region
with their part along a direction u stretched. `Exact` keeps d x d matrices. `Gram` keeps a few numbers: it cuts the
rows into chunks and adds up the chunks' largest eigenvalues, which is at least the largest eigenvalue of the sum. The
larger the chunk, the tighter the sum, at a cost of chunk * d multiplications a row and chunk^3 / 3 a chunk; memory is
chunk * d.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attricert.sampling.eigen import largest_eigenvalue

__all__ = ["Exact", "Gram", "Scatter", "rounding"]


_BLOCKS = 4  # of columns: of a symmetric matrix 10 of 16 blocks are computed


class Scatter(ABC):
    """Immutable state; `update` gives the next one."""

    @abstractmethod
    def update(self, q: Float[Tensor, "n d"], inside: Bool[Tensor, " n"]) -> Scatter:
        """These centered rows too, and which of them lie in the region."""

    @abstractmethod
    def top(self) -> float:
        """At least sup_v mean (v.q)^2 over all rows seen."""

    @abstractmethod
    def top_inside(self) -> float:
        """At least sup_v mean (v.q')^2, q' a row with its part along u stretched; zero for rows outside the region."""


@final
@dataclass(frozen=True)
class Exact(Scatter):
    """Sums of qq^T, of which the lower triangle is kept.

    Args:
        count: rows seen.
        second: of all rows, shape (d, d).
        outside: of those outside the region.
        direction: u.
        stretch: of the parts along it.
    """

    count: int
    second: Float[Tensor, "d d"]
    outside: Float[Tensor, "d d"]
    direction: Float[Tensor, " d"]
    stretch: float

    @classmethod
    def start(cls, direction: Float[Tensor, " d"], stretch: float) -> Exact:
        """No rows yet, for rows on this tensor's device."""
        zero = torch.zeros(len(direction), len(direction), dtype=torch.float64, device=direction.device)
        return cls(0, zero, zero, direction, stretch)

    def update(self, q: Float[Tensor, "n d"], inside: Bool[Tensor, " n"]) -> Exact:
        """These rows too."""
        far = q[~inside]  # few, if any
        outside = _plus(self.outside, far) if len(far) else self.outside
        return replace(self, count=self.count + len(q), second=_plus(self.second, q), outside=outside)

    def top(self) -> float:
        """Of the whole sum."""
        return self._top(_whole(self.second), 0.0)

    def top_inside(self) -> float:
        """Stretching acts on the sum as it does on the rows."""
        more = (self.stretch - 1) * self.direction
        inside = _whole(self.second - self.outside)
        inside.addr_(more, self.direction @ inside)
        inside.addr_(inside @ self.direction, more)
        # What the difference has lost in rounding, as much as the stretch can make of it.
        lost = 4 * self.stretch**2 * len(more) * torch.finfo(torch.float64).eps * float(self.second.diagonal().sum())
        return self._top(inside, lost)

    def _top(self, matrix: Tensor, lost: float) -> float:
        d, count = len(matrix), max(self.count, 1)
        return (largest_eigenvalue(matrix) * rounding((count + d) * d) + lost) / count


def _plus(total: Float[Tensor, "d d"], rows: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """With the lower triangle of the sum of the rows' qq^T added: not all of it needs to be computed."""
    found, d = total.clone(), len(total)
    ends = [d * i // _BLOCKS for i in range(_BLOCKS + 1)]
    for start, end in pairwise(ends):
        found[start:end, :end].addmm_(rows[:, start:end].T, rows[:, :end])
    return found


def _whole(lower: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    """The symmetric matrix of this lower triangle."""
    return torch.tril(lower) + torch.tril(lower, -1).T


@final
@dataclass(frozen=True)
class Gram(Scatter):
    """Sums over chunks of the largest eigenvalue of the Gram matrix.

    Args:
        chunk: rows in a chunk.
        direction: u.
        stretch: of the parts along it.
        regions: whether those inside are asked for.
        sums: of all rows, and of those inside with the stretch; over closed chunks.
        count: rows seen, pending ones included.
        pending: rows of the chunk that is not closed yet, and which of them lie inside.
    """

    chunk: int
    direction: Float[Tensor, " d"]
    stretch: float
    regions: bool
    sums: tuple[float, float] = (0.0, 0.0)
    count: int = 0
    pending: tuple[tuple[Tensor, Tensor], ...] = ()

    def update(self, q: Float[Tensor, "n d"], inside: Bool[Tensor, " n"]) -> Gram:
        """These rows too; chunks close at fixed counts, whatever the sizes of the updates."""
        seen = self
        for rows, flags in zip(torch.split(q, self.chunk), torch.split(inside, self.chunk), strict=True):
            seen = seen._add(rows, flags)
        return seen

    def top(self) -> float:
        """Sums over chunks, divided by the number of rows."""
        return self._closed().sums[0] / max(self.count, 1)

    def top_inside(self) -> float:
        """Likewise."""
        return self._closed().sums[1] / max(self.count, 1)

    def _add(self, rows: Tensor, inside: Tensor) -> Gram:
        room = self.chunk - sum(len(part) for part, _ in self.pending)
        part = (rows[:room], inside[:room])
        state = replace(self, count=self.count + len(rows), pending=(*self.pending, part))
        if len(rows) < room:
            return state
        closed = state._closed()
        return replace(closed, pending=((rows[room:], inside[room:]),) if len(rows) > room else ())

    def _closed(self) -> Gram:
        if not self.pending:
            return self
        parts = [rows for rows, _ in self.pending]
        # Block by block: joining the rows would copy them.
        gram = torch.cat([torch.cat([a @ b.T for b in parts], dim=1) for a in parts])
        gram = (gram + gram.T) / 2
        up = rounding(len(gram) * parts[0].shape[1])
        sums = (self.sums[0] + up * largest_eigenvalue(gram), self.sums[1])
        if not self.regions:
            return replace(self, sums=sums, pending=())
        along = torch.cat([rows @ self.direction for rows in parts])
        inside = torch.cat([flags for _, flags in self.pending]).to(gram.dtype)
        stretched = (gram + (self.stretch**2 - 1) * torch.outer(along, along)) * torch.outer(inside, inside)
        return replace(self, sums=(sums[0], sums[1] + up * largest_eigenvalue(stretched)), pending=())


def rounding(operations: int) -> float:
    """Covers the rounding of sums of so many products, relative to the trace and so, times the size, to the top."""
    return 1 + 2 * operations * torch.finfo(torch.float64).eps
