"""Running mean and variance of rows: pure, mergeable, free of cancellation (Chan, Golub, LeVeque 1979)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor
else:  # certificates are read without torch
    Tensor = Any

__all__ = ["Moments", "no_moments"]

A = TypeVar("A", Tensor, npt.NDArray[np.float64])


@final
@dataclass(frozen=True)
class Moments(Generic[A]):
    """Count, mean and (where asked for) sum of squared deviations of the rows seen so far, in float64.

    Args:
        count: rows seen.
        mean: their mean, shape (m,); a tensor or an array, as the rows are.
        squares: sum over rows of (row - mean)^2, shape (m,), or None when variances are not kept.
    """

    count: int
    mean: A
    squares: A | None = None

    @classmethod
    def of(cls, rows: A, *, variances: bool) -> Moments[A]:
        """Moments of these rows, shape (n, m), n >= 1."""
        mean = rows.mean(0)
        return cls(len(rows), mean, ((rows - mean) ** 2).sum(0) if variances else None)

    def update(self, rows: A) -> Moments[A]:
        """These rows too."""
        return self.merge(Moments.of(rows, variances=self.squares is not None))

    def merge(self, other: Moments[A]) -> Moments[A]:
        """The rows of both."""
        count = self.count + other.count
        step = other.mean - self.mean
        mean = self.mean + step * (other.count / count)
        if self.squares is None or other.squares is None:
            return Moments(count, mean)
        between = step**2 * (self.count * other.count / count)
        return Moments(count, mean, self.squares + other.squares + between)

    @property
    def variance(self) -> A:
        """Unbiased variance of each entry; needs ``variances=True`` and two rows."""
        if self.squares is None:
            raise AttributeError("variances were not kept")
        return self.squares / (self.count - 1)


def no_moments(like: Tensor, *, variances: bool = False) -> Moments[Tensor]:
    """No rows yet, for rows with as many entries as ``like``, on its device (on the CPU where that has no float64)."""
    like = like.cpu() if like.device.type == "mps" else like
    zero = like.double().new_zeros(like.numel())
    return Moments(0, zero, zero if variances else None)
