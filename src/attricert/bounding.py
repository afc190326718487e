"""Structural guarantees ||g(x)||_2 <= M, part of the function that is certified (docs/theory.md 1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from attricert import checks

__all__ = ["Bound", "Clip", "Normalize"]

# Below TINY the square of an entry underflows and a computed norm may be too small; above HUGE it overflows.
_TINY, _HUGE = 1e-140, 1e140


class Bound(ABC):
    """Maps each attribution g to a vector of l2 norm at most `limit`; what is not finite becomes zero."""

    @property
    @abstractmethod
    def limit(self) -> float:
        """M, the guaranteed l2 bound, in units of the bounded attribution."""

    @abstractmethod
    def factor(self, norm: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The factor for an attribution of this norm, TINY <= norm <= HUGE."""

    def __call__(self, attributions: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """Bound each row. A row that is zero (or below 1e-140) or not finite (or above 1e140) gives zero."""
        return self.with_norms(attributions)[0]

    def with_norms(self, attributions: Float[Tensor, "n m"]) -> tuple[Float[Tensor, "n m"], Float[Tensor, " n"]]:
        """The bounded rows, and the norms that they had: 0 where taken as zero, inf where not finite or too large."""
        norm = torch.linalg.vector_norm(attributions, dim=1)
        usable = (norm >= _TINY) & (norm <= _HUGE)
        if bool(usable.all()):
            return attributions * self.factor(norm)[:, None], norm
        safe = torch.where(usable, norm, 1.0)
        values = torch.where(usable[:, None], attributions, 0.0) * self.factor(safe)[:, None]
        return values, torch.where(norm < _TINY, 0.0, torch.where(norm <= _HUGE, norm, torch.inf))


@final
@dataclass(frozen=True)
class Normalize(Bound):
    """g / ||g||, and zero stays zero: M = 1. Only the direction of each sampled map counts."""

    @property
    def limit(self) -> float:
        """Always 1."""
        return 1.0

    def factor(self, norm: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """1 / ||g||."""
        return 1.0 / norm


@final
@dataclass(frozen=True)
class Clip(Bound):
    """g * min(1, M/||g||).

    Args:
        max_norm: M > 0, a constant of the model; choosing it from the input under test voids the certificate.
    """

    max_norm: float

    def __post_init__(self) -> None:
        checks.positive("max_norm", self.max_norm)

    @property
    def limit(self) -> float:
        """M."""
        return self.max_norm

    def factor(self, norm: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """min(1, M/||g||)."""
        return torch.clamp(self.max_norm / norm, max=1.0)
