"""Fourth moments of centered draws in all directions at once (theory 3e)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from attricert.sampling.eigen import largest_eigenvalue
from attricert.sampling.scatter import rounding

__all__ = ["CenteredFourth"]

_CHUNK = 3000  # rows of a Gram matrix: with fewer its largest eigenvalue is loose


@final
@dataclass(frozen=True)
class CenteredFourth:
    """Sums over chunks of the largest eigenvalue of the Gram matrix of F(q) = q (x) q - C, C a fixed matrix.

    mean (v.q)^4 = mean ((v.q)^2 - b)^2 + 2 b mean (v.q)^2 - b^2 with b = v.Cv, so its supremum over unit vectors v is
    at most that largest eigenvalue plus the square of the largest second moment. <F(q), F(q')> is
    (q.q')^2 - q.Cq - q'.Cq' + ||C||^2. C = P^T P / k with few rows P: no matrix of size d x d is made.

    Sixth moments, which bound the variance of fourth powers, come from the elementwise third power of the Gram matrix
    of the rows: mean (v.q)^6 is at most its largest eigenvalue, as (v.q)^3 is an inner product of third tensor powers.

    Args:
        root: P / sqrt(k), shape (k, d).
        square: ||C||^2.
        total: over closed chunks.
        sixth: likewise, of the third powers.
        count: rows seen, pending ones included.
        pending: rows of the chunk that is not closed yet.
    """

    root: Float[Tensor, "k d"]
    square: float
    total: float = 0.0
    sixth: float = 0.0
    count: int = 0
    pending: tuple[Tensor, ...] = ()

    @classmethod
    def around(cls, rows: Float[Tensor, "k d"]) -> CenteredFourth:
        """No rows yet; C is the second moment of these, which must not be among them."""
        root = rows / max(len(rows), 1) ** 0.5
        return cls(root, float(((root @ root.T) ** 2).sum()))

    def update(self, q: Float[Tensor, "n d"]) -> CenteredFourth:
        """These rows too; chunks close at fixed counts, whatever the sizes of the updates."""
        seen = self
        for rows in torch.split(q, _CHUNK):
            room = _CHUNK - sum(map(len, seen.pending))
            seen = replace(seen, count=seen.count + len(rows), pending=(*seen.pending, rows[:room]))
            if len(rows) >= room:
                seen = replace(seen._closed(), pending=(rows[room:],) if len(rows) > room else ())
        return seen

    def top(self, second: float) -> float:
        """At least sup_v mean (v.q)^4 over the rows seen, whose sup_v mean (v.q)^2 is at most ``second``."""
        return self._closed().total / max(self.count, 1) + second**2

    def top_sixth(self) -> float:
        """At least sup_v mean (v.q)^6 over the rows seen."""
        return self._closed().sixth / max(self.count, 1)

    def _closed(self) -> CenteredFourth:
        if not self.pending:
            return self
        parts = self.pending
        gram = torch.cat([torch.cat([a @ b.T for b in parts], dim=1) for a in parts])
        centers = torch.cat([((rows @ self.root.T) ** 2).sum(dim=1) for rows in parts])
        kernel = gram**2 - centers[:, None] - centers[None, :] + self.square
        trace = float((gram.diagonal() ** 2).sum()) + 2 * float(centers.sum()) + len(gram) * self.square
        # Terms of the kernel cancel: their rounding is relative to them, not to what is left.
        up = rounding(4 * len(gram) * parts[0].shape[1])
        total = self.total + largest_eigenvalue((kernel + kernel.T) / 2) + (up - 1) * trace
        sixth = self.sixth + up * largest_eigenvalue(((gram + gram.T) / 2) ** 3)
        return replace(self, total=total, sixth=sixth, pending=())
