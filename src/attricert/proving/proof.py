"""One thing that is proven along the main stream: an immutable state that takes in draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from attricert.certificates.pieces import Piece
from attricert.sampling import Draws

__all__ = ["ROUNDING", "Proof"]

ROUNDING = 1e-12  # relative; covers the float64 arithmetic between a draw and a bound


class Proof(ABC):
    """One thing that is proven."""

    @abstractmethod
    def update(self, draws: Draws) -> Proof:
        """After these draws too."""

    @abstractmethod
    def pieces(self) -> Mapping[str, Piece]:
        """Pieces of evidence about one input, by their names in `Evidence`; arrays without an axis of inputs."""
