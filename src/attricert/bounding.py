"""Structural guarantees ||g(x)||_2 <= M, part of the function that is certified (docs/theory.md 1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, final

from jaxtyping import Float

from attricert import checks
from attricert.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor
else:  # readable annotations without torch, which bounds need when called
    Tensor = Any

__all__ = ["BOUNDS", "Bound", "Clip", "Normalize"]

# Below TINY the square of an entry underflows and a computed norm may be too small; above HUGE it overflows.
_TINY, _HUGE = 1e-140, 1e140


@dataclass(frozen=True, repr=False)
class Bound(ABC):
    """Maps each attribution g to a vector of l2 norm at most M; what is not finite becomes zero.

    Args:
        max_norm: M > 0, the guaranteed l2 bound, in units of the bounded attribution. A constant of the model: choosing
            it from the input under test voids the certificate.
        max_entry: clip each entry to [-max_entry, max_entry] afterwards, > 0; part of the certified function, and a
            constant of the model. Few draws then suffice for sharp per-feature certificates. None: no clipping.
    """

    max_norm: float
    max_entry: float | None = None

    def __post_init__(self) -> None:
        max_entry = None if self.max_entry is None else checks.size("max_entry", self.max_entry)
        checks.keep(self, max_norm=checks.size("max_norm", self.max_norm), max_entry=max_entry)

    @property
    def entry_bound(self) -> float:
        """The guaranteed bound of every entry, in absolute value."""
        return self.max_norm if self.max_entry is None else min(self.max_norm, self.max_entry)

    @abstractmethod
    def factor(self, norm: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The factor for an attribution of this norm, TINY <= norm <= HUGE."""

    def __call__(self, attributions: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """Bound each row. A row that is zero (or below 1e-140) or not finite (or above 1e140) gives zero."""
        return self.with_norms(attributions.clone())[0]

    def with_norms(self, attributions: Float[Tensor, "n m"]) -> tuple[Float[Tensor, "n m"], Float[Tensor, " n"]]:
        """The bounded rows, in the memory of those given, and the norms that they had.

        Norms are 0 where taken as zero, inf where not finite or too large.
        """
        import torch

        norm = torch.linalg.vector_norm(attributions, dim=1)
        usable = (norm >= _TINY) & (norm <= _HUGE)
        # To ask an accelerator whether all are usable is to wait for it.
        if norm.device.type == "cpu" and bool(usable.all()):
            return self._clipped(attributions.mul_(self.factor(norm)[:, None])), norm
        attributions.masked_fill_(~usable[:, None], 0.0)  # NaN times 0 is none
        values = self._clipped(attributions.mul_(self.factor(torch.where(usable, norm, 1.0))[:, None]))
        return values, torch.where(norm < _TINY, 0.0, torch.where(norm <= _HUGE, norm, torch.inf))

    def _clipped(self, values: Tensor) -> Tensor:
        return values if self.max_entry is None else values.clamp_(-self.max_entry, self.max_entry)

    def __repr__(self) -> str:
        settings = {field.name: getattr(self, field.name) for field in fields(self) if field.repr}
        inside = ", ".join(f"{name}={value!r}" for name, value in settings.items() if value is not None)
        return f"{type(self).__name__}({inside})"


BOUNDS: Registry[Bound] = Registry("bound")
"""Words for structural bounds; the first is the default."""


@BOUNDS.register("normalize")
@final
@dataclass(frozen=True, repr=False)
class Normalize(Bound):
    """g / ||g||, and zero stays zero: M = 1. Only the direction of each sampled map counts."""

    max_norm: float = field(default=1.0, init=False, repr=False)

    def factor(self, norm: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """1 / ||g||."""
        return 1.0 / norm


@BOUNDS.register("clip")
@final
@dataclass(frozen=True, repr=False)
class Clip(Bound):
    """g * min(1, M/||g||)."""

    def factor(self, norm: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """min(1, M/||g||)."""
        return (self.max_norm / norm).clamp(max=1.0)
