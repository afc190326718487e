"""First two moments and the range of many scalars: pure, mergeable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Columns"]


@final
@dataclass(frozen=True)
class Columns:
    """Of each column of the rows seen.

    Args:
        count: rows seen.
        total: sums, shape (r,).
        squares: sums of squares.
        low: smallest entries.
        high: largest entries.
    """

    count: int
    total: Float[Tensor, " r"]
    squares: Float[Tensor, " r"]
    low: Float[Tensor, " r"]
    high: Float[Tensor, " r"]

    @classmethod
    def of(cls, rows: Float[Tensor, "n r"], total: Float[Tensor, " r"]) -> Columns:
        """Of these rows, n >= 1, and their sum. Their entries should be centered: squares are summed as they are."""
        low, high = torch.aminmax(rows, dim=0)
        return cls(len(rows), total, (rows**2).sum(0), low, high)

    def merge(self, other: Columns) -> Columns:
        """The rows of both."""
        return Columns(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
            torch.minimum(self.low, other.low),
            torch.maximum(self.high, other.high),
        )
