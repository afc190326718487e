"""Structural guarantees ||g(x)||_2 <= M, part of the function that is certified (docs/theory.md 1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, cast, final

import torch
from jaxtyping import Float
from torch import Tensor

from attricert import checks
from attricert.errors import ArgumentError

__all__ = ["Bound", "Clip", "Normalize"]

# Below TINY the square of an entry underflows and a computed norm may be too small; above HUGE it overflows.
_TINY, _HUGE = 1e-140, 1e140


class Bound(ABC):
    """Maps each attribution g to a vector of l2 norm at most `limit`; what is not finite becomes zero."""

    @property
    @abstractmethod
    def limit(self) -> float:
        """M, the guaranteed l2 bound, in units of the bounded attribution."""

    @property
    @abstractmethod
    def max_entry(self) -> float | None:
        """What every entry is clipped to, in absolute value; None for no clipping."""

    @property
    def entry_limit(self) -> float:
        """The guaranteed bound of every entry, in absolute value."""
        return self.limit if self.max_entry is None else min(self.limit, self.max_entry)

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
            return self._clipped(attributions * self.factor(norm)[:, None]), norm
        safe = torch.where(usable, norm, 1.0)
        values = self._clipped(torch.where(usable[:, None], attributions, 0.0) * self.factor(safe)[:, None])
        return values, torch.where(norm < _TINY, 0.0, torch.where(norm <= _HUGE, norm, torch.inf))

    def _clipped(self, values: Tensor) -> Tensor:
        return values if self.max_entry is None else values.clamp_(-self.max_entry, self.max_entry)

    def __repr__(self) -> str:
        settings = {field.name: getattr(self, field.name) for field in fields(cast("Any", self))}
        inside = ", ".join(f"{name}={value!r}" for name, value in settings.items() if value is not None)
        return f"{type(self).__name__}({inside})"


@final
@dataclass(frozen=True, repr=False)
class Normalize(Bound):
    """g / ||g||, and zero stays zero: M = 1. Only the direction of each sampled map counts.

    Args:
        max_entry: clip each entry to [-max_entry, max_entry] afterwards, > 0; part of the certified function, and a
            constant of the model. Few draws then suffice for sharp per-feature certificates. None: no clipping.
    """

    max_entry: float | None = None

    def __post_init__(self) -> None:
        _check_entry(self.max_entry)

    @property
    def limit(self) -> float:
        """Always 1."""
        return 1.0

    def factor(self, norm: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """1 / ||g||."""
        return 1.0 / norm


@final
@dataclass(frozen=True, repr=False)
class Clip(Bound):
    """g * min(1, M/||g||).

    Args:
        max_norm: M > 0, a constant of the model; choosing it from the input under test voids the certificate.
        max_entry: as for `Normalize`.
    """

    max_norm: float
    max_entry: float | None = None

    def __post_init__(self) -> None:
        if not 1e-60 <= checks.positive("max_norm", self.max_norm) <= 1e60:
            raise ArgumentError("max_norm", self.max_norm, "must be from 1e-60 to 1e60; rescale the attribution")
        _check_entry(self.max_entry)

    @property
    def limit(self) -> float:
        """M."""
        return self.max_norm

    def factor(self, norm: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """min(1, M/||g||)."""
        return torch.clamp(self.max_norm / norm, max=1.0)


def _check_entry(max_entry: float | None) -> None:
    if max_entry is not None:
        checks.positive("max_entry", max_entry)
