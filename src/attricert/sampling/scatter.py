"""Second moments of centered draws in all directions at once: pure states, never too small (theory 5).

Both forms give upper bounds of sup_v mean (v.q_i)^2 over unit vectors v, of all q_i seen, and of those inside a region
with their part along a direction u stretched. `Exact` keeps d x d matrices. `Gram` keeps a few numbers: it cuts the
rows into chunks and adds up the chunks' largest eigenvalues, which is at least the largest eigenvalue of the sum. The
larger the chunk, the tighter the sum, at a cost of chunk * d / 2 multiplications a row and chunk^3 / 3 a chunk; memory
is chunk * d numbers in float32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attricert.precision import full_precision
from attricert.sampling.arriving import Arriving
from attricert.sampling.eigen import largest_eigenvalue

__all__ = ["Exact", "Gram", "Scatter", "rounding"]


_BLOCKS = 4  # of columns: of a symmetric matrix 10 of 16 blocks are computed
_COLUMNS = 1024  # whose products are summed up in float32
_AT_ONCE = 32  # such products on a GPU
_ROUNDING = 2.0**-24  # of float32
_UNDERFLOW = 2.0**-123  # of the product of two entries of size <= 1, or one of these, in float32


class Scatter(ABC):
    """Immutable state; `update` gives the next one."""

    @abstractmethod
    def update(self, q: Float[Tensor, "n d"], inside: Bool[Tensor, " n"] | None = None) -> Scatter:
        """These centered rows too, and which of them lie in the region, on the host; None if all do."""

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

    def update(self, q: Float[Tensor, "n d"], inside: Bool[Tensor, " n"] | None = None) -> Exact:
        """These rows too."""
        outside = self.outside
        if inside is not None:  # those outside are few; a GPU need not be asked how many
            outside = _plus(outside, q[(~inside).nonzero()[:, 0].to(q.device, non_blocking=True)])
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
    """Sums over chunks of the largest eigenvalue of the Gram matrix, of products in float32 (theory 5).

    Args:
        chunk: rows in a chunk.
        farthest: B >= ||q||, of every row; rows are kept in units of it, so that no square underflows.
        direction: u.
        stretch: of the parts along it.
        regions: whether those inside are asked for.
        sums: of all rows, and of those inside with the stretch; over closed chunks.
        count: rows seen, pending ones included.
        pending: rows of the chunk that is not closed yet.
        closed: the matrices of a chunk that is, one for each sum, until they are looked at: at the next rows, when a
            GPU has work again.
    """

    chunk: int
    farthest: float
    direction: Float[Tensor, " d"]
    stretch: float
    regions: bool
    sums: tuple[float, float] = (0.0, 0.0)
    count: int = 0
    pending: tuple[_Kept, ...] = ()
    closed: Arriving | None = None

    def update(self, q: Float[Tensor, "n d"], inside: Bool[Tensor, " n"] | None = None) -> Gram:
        """These rows too; chunks close at fixed counts, whatever the sizes of the updates."""
        along = q @ self.direction if self.regions else q[:, 0]
        flags = torch.ones_like(along) if inside is None else inside.to(along, non_blocking=True)
        kept = _Kept((q * (1 / self.farthest)).float(), along / self.farthest, flags)
        seen, start = self._summed(), 0
        while start < len(kept):
            room = self.chunk - sum(map(len, seen.pending))
            part = kept.part(start, start + room)
            seen = replace(seen, count=seen.count + len(part), pending=(*seen.pending, part))
            seen = seen._closed() if len(part) == room else seen
            start += len(part)
        return seen

    def top(self) -> float:
        """Sums over chunks, divided by the number of rows."""
        return self._closed()._summed().sums[0] / max(self.count, 1)

    def top_inside(self) -> float:
        """Likewise."""
        return self._closed()._summed().sums[1] / max(self.count, 1)

    def _closed(self) -> Gram:
        if not self.pending:
            return self
        gram = _products([part.rows for part in self.pending])
        found = [gram]
        if self.regions:
            along = torch.cat([part.along for part in self.pending])
            inside = torch.cat([part.inside for part in self.pending])
            found.append((gram + (self.stretch**2 - 1) * torch.outer(along, along)) * torch.outer(inside, inside))
        return replace(self._summed(), closed=Arriving(torch.stack(found)), pending=())

    def _summed(self) -> Gram:
        if self.closed is None:
            return self
        matrices, d = self.closed.get(), len(self.direction)
        lost = _lost(matrices[0], d)
        up = rounding(matrices.shape[1] * d) * self.farthest**2
        tops = [up * (largest_eigenvalue(matrix) + lost) for matrix in matrices]
        return replace(self, sums=(self.sums[0] + tops[0], self.sums[1] + sum(tops[1:])), closed=None)


@final
@dataclass(frozen=True)
class _Kept:
    """Rows of a chunk, in float32; their parts along u, and whether they lie inside, in float64."""

    rows: Float[Tensor, "n d"]
    along: Float[Tensor, " n"]
    inside: Float[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, start: int, stop: int) -> _Kept:
        return _Kept(self.rows[start:stop], self.along[start:stop], self.inside[start:stop])


def _products(parts: list[Tensor]) -> Tensor:
    """The inner products of rows of norm <= 1 in float32, in float64.

    Columns are taken some at a time, and their products are summed up in float64; `_lost` tells by how much the matrix
    may be off. A GPU is given many such products at a time: what it does is done before the next one is asked for.
    """
    n, d = sum(map(len, parts)), parts[0].shape[1]
    gram = torch.zeros(n, n, dtype=torch.float64, device=parts[0].device)
    with full_precision(gram.device.type):
        if gram.device.type == "cuda":
            rows = nn.functional.pad(torch.cat(parts), (0, -d % _COLUMNS)).reshape(n, -1, _COLUMNS).transpose(0, 1)
            for blocks in torch.split(rows, _AT_ONCE):
                gram += (blocks @ blocks.mT).sum(0, dtype=torch.float64)
            return gram
        ends = [n * i // _BLOCKS for i in range(_BLOCKS + 1)]
        for first in range(0, d, _COLUMNS):
            columns = torch.cat([part[:, first : first + _COLUMNS] for part in parts])
            for start, end in pairwise(ends):  # a symmetric matrix: its lower blocks will do
                gram[start:end, :end] += columns[start:end] @ columns[:end].T
    return _whole(gram)


def _lost(gram: Tensor, d: int) -> float:
    """By how much such products of rows with d columns may be off, as a matrix in the spectral norm (theory 5).

    A product of k columns is off by at most an allowance times the product of the two norms, in whatever order its
    terms are summed up: each is rounded at most k times, and its two factors were. So the matrix is off by at most that
    allowance times its trace. What underflows is below `_UNDERFLOW` an entry.
    """
    allowance = 1.01 * (min(d, _COLUMNS) + 4) * _ROUNDING
    trace = float(gram.trace()) / (1 - allowance)
    return allowance * trace + len(gram) * d * _UNDERFLOW


def rounding(operations: int) -> float:
    """Covers the rounding of sums of so many products, relative to the trace and so, times the size, to the top."""
    return 1 + 2 * operations * torch.finfo(torch.float64).eps
