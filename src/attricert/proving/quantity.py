"""One thing that is proven along the main stream: an immutable state that takes in draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from attricert.sampling import Draws

__all__ = ["ROUNDING", "Quantity"]

ROUNDING = 1e-12  # relative; covers the float64 arithmetic between a draw and a bound


class Quantity(ABC):
    """One thing that is proven."""

    @abstractmethod
    def update(self, draws: Draws) -> Quantity:
        """After these draws too."""

    @abstractmethod
    def evidence(self) -> Mapping[str, Any]:
        """Fields of `Evidence` and one input's values for them."""
