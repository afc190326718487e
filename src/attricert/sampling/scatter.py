"""Second and higher moments of centered draws in all directions at once: pure, mergeable, never too small (theory 5).

Both forms give upper bounds of sup_v mean (v.q_i)^2k over unit vectors v, for the q_i seen. `Exact` keeps a d x
d matrix. `Gram` keeps a few numbers: it cuts the rows into chunks and adds up the chunks' largest eigenvalues, which is
at least the largest eigenvalue of the sum. A chunk's comes from its matrix of inner products: sum_i (v.q_i)^2k is at
most the largest eigenvalue of the elementwise k-th power of (q_i.q_j). The larger the chunk, the tighter the sum, at a
cost of chunk * d multiplications a row and chunk^3 / 3 a chunk; memory is chunk * d.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from attricert.sampling.eigen import largest_eigenvalue

__all__ = ["Exact", "Gram", "Scatter"]


class Scatter(ABC):
    """Immutable state; `update` gives the next one, and two states of one class `merge`."""

    @abstractmethod
    def update(self, q: Float[Tensor, "n d"]) -> Scatter:
        """These centered rows too."""

    @abstractmethod
    def tops(self) -> Mapping[int, float]:
        """For each k that is kept, at least sup_v mean (v.q)^2k over the rows seen."""

    @property
    @abstractmethod
    def largest(self) -> float:
        """The largest ||q||^2 seen."""


@final
@dataclass(frozen=True)
class Exact(Scatter):
    """The sum of qq^T: second moments only.

    Args:
        count: rows seen.
        second: sum of qq^T, shape (d, d).
        largest_seen: largest ||q||^2.
    """

    count: int
    second: Float[Tensor, "d d"]
    largest_seen: float

    @classmethod
    def start(cls, like: Float[Tensor, " d"]) -> Exact:
        """No rows yet, for rows on this tensor's device."""
        zero = torch.zeros(len(like), len(like), dtype=torch.float64, device=like.device)
        return cls(0, zero, 0.0)

    def update(self, q: Float[Tensor, "n d"]) -> Exact:
        """These rows too."""
        largest = max(self.largest_seen, float((q**2).sum(dim=1).max()))
        return Exact(self.count + len(q), torch.addmm(self.second, q.T, q), largest)

    def merge(self, other: Exact) -> Exact:
        """The rows of both."""
        largest = max(self.largest_seen, other.largest_seen)
        return Exact(self.count + other.count, self.second + other.second, largest)

    def tops(self) -> Mapping[int, float]:
        """Second moments."""
        d = len(self.second)
        top = largest_eigenvalue((self.second + self.second.T) / 2)
        return {1: top * _rounding((self.count + d) * d) / max(self.count, 1)}

    @property
    def largest(self) -> float:
        """The largest ||q||^2 seen."""
        return self.largest_seen


@final
@dataclass(frozen=True)
class Gram(Scatter):
    """Sums over chunks of the largest eigenvalue of powers of the Gram matrix.

    Args:
        chunk: rows in a chunk.
        radius: rows with ||q|| beyond it count as zero, inf for none.
        sums: for each k, the sum over closed chunks.
        count: rows seen, pending ones included.
        outside: how many were beyond the radius.
        largest_seen: largest ||q||^2 within the radius.
        pending: rows of the chunk that is not closed yet.
    """

    chunk: int
    radius: float
    sums: Mapping[int, float]
    count: int = 0
    outside: int = 0
    largest_seen: float = 0.0
    pending: tuple[Tensor, ...] = ()

    @classmethod
    def start(cls, powers: tuple[int, ...], chunk: int, radius: float = float("inf")) -> Gram:
        """No rows yet."""
        return cls(chunk, radius, dict.fromkeys(powers, 0.0))

    def update(self, q: Float[Tensor, "n d"]) -> Gram:
        """These rows too; chunks close at fixed counts, whatever the sizes of the updates."""
        squares = (q**2).sum(dim=1)
        inside = squares <= self.radius**2
        seen = replace(
            self,
            outside=self.outside + int((~inside).sum()),
            largest_seen=max(self.largest_seen, float(torch.where(inside, squares, 0.0).max())),
        )
        for part in torch.split(torch.where(inside[:, None], q, 0.0), self.chunk):
            seen = seen._add(part)
        return seen

    def merge(self, other: Gram) -> Gram:
        """The rows of both; chunks that are not full are closed as they are."""
        a, b = self._closed(), other._closed()
        return replace(
            a,
            sums={k: a.sums[k] + b.sums[k] for k in a.sums},
            count=a.count + b.count,
            outside=a.outside + b.outside,
            largest_seen=max(a.largest_seen, b.largest_seen),
        )

    def tops(self) -> Mapping[int, float]:
        """Sums over chunks, divided by the number of rows."""
        return {k: total / max(self.count, 1) for k, total in self._closed().sums.items()}

    @property
    def largest(self) -> float:
        """The largest ||q||^2 seen within the radius."""
        return self.largest_seen

    def _add(self, part: Tensor) -> Gram:
        room = self.chunk - sum(map(len, self.pending))
        state = replace(self, count=self.count + len(part), pending=(*self.pending, part[:room]))
        if len(part) < room:
            return state
        closed = state._closed()
        return replace(closed, pending=(part[room:],) if len(part) > room else ())

    def _closed(self) -> Gram:
        if not self.pending:
            return self
        # Block by block: joining the rows would copy them.
        gram = torch.cat([torch.cat([a @ b.T for b in self.pending], dim=1) for a in self.pending])
        gram = (gram + gram.T) / 2
        up = {k: _rounding(k * len(gram) * self.pending[0].shape[1]) for k in self.sums}
        sums = {k: total + up[k] * largest_eigenvalue(gram**k) for k, total in self.sums.items()}
        return replace(self, sums=sums, pending=())


def _rounding(operations: int) -> float:
    """Covers the rounding of sums of so many products, relative to the trace and so, times the size, to the top."""
    return 1 + 2 * operations * torch.finfo(torch.float64).eps
