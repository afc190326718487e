"""One thing that is proven along the main stream: an immutable state that takes in draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from attricert.certificates import Terms
from attricert.certificates.pieces import Piece
from attricert.proving.pilot import Pilot
from attricert.sampling import Centered

__all__ = ["PROOFS", "ROUNDING", "Beginning", "Proof", "proves"]

ROUNDING = 1e-12  # relative; covers the float64 arithmetic between a draw and a bound


class Proof(ABC):
    """One thing that is proven."""

    @abstractmethod
    def update(self, draws: Centered) -> Proof:
        """After these draws too, about the pilot's center, and along its direction first."""

    @abstractmethod
    def pieces(self) -> Mapping[str, Piece]:
        """Pieces of evidence about one input, by their names in `Evidence`; arrays without an axis of inputs."""


@final
@dataclass(frozen=True)
class Beginning:
    """What is known of an input before its main stream.

    Args:
        pilot: what the pilot saw.
        terms: the terms.
        draws: independent draws that the main stream will have.
        shape: of the map.
        functionals: vectors v whose v.h is bounded too, or None.
        stops: whether the stream may end sooner.
    """

    pilot: Pilot
    terms: Terms
    draws: int
    shape: tuple[int, ...]
    functionals: Float[Tensor, "r d"] | None
    stops: bool


Begin = Callable[[Beginning], "list[Proof]"]

PROOFS: dict[str, Begin] = {}
"""Proofs beside those of norm and spread, by the share of alpha with which each is begun."""


def proves(share: str) -> Callable[[Begin], Begin]:
    """Register a function that begins proofs; it is called where the ledger has this share."""

    def add(begin: Begin) -> Begin:
        PROOFS[share] = begin
        return begin

    return add
