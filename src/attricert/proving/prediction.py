"""The class of the smoothed classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from attricert.certificates import Terms
from attricert.certificates.pieces import Piece, Prediction
from attricert.confidence import lower_proportion
from attricert.proving.pilot import Pilot
from attricert.proving.proof import Beginning, Proof, proves
from attricert.sampling import Centered

__all__ = ["PredictionProof", "majority"]


@final
@dataclass(frozen=True)
class PredictionProof(Proof):
    """The probability of the smoothed classifier's class, which the pilot chose (theory 4).

    Args:
        label: the class.
        alpha: probability of failure.
        slip: the probability that a draw is not computed as it should be.
        hits: draws of that class.
        draws: draws seen.
    """

    label: int
    alpha: float
    slip: float
    hits: int = 0
    draws: int = 0

    @classmethod
    def start(cls, pilot: Pilot, terms: Terms) -> PredictionProof:
        """No draws yet."""
        if pilot.votes is None:
            raise AttributeError("there was no classifier")
        share = terms.share("prediction") / (1 if terms.observed is None else 3)
        return cls(majority(pilot.votes), share, terms.slip)

    def update(self, draws: Centered) -> PredictionProof:
        """After these draws too."""
        votes = draws.votes
        hits = int((votes == self.label).sum()) if self.label >= 0 else 0
        return replace(self, hits=self.hits + hits, draws=self.draws + len(votes))

    def pieces(self) -> Mapping[str, Piece]:
        """The class and its probability."""
        return {"prediction": self.piece()}

    def piece(self) -> Prediction:
        """The same, as the piece that it is."""
        p_lower = max(lower_proportion(self.hits, self.draws, self.alpha) - self.slip, 0.0)
        return Prediction(np.array(self.label), np.array(p_lower))


def majority(votes: Int[Tensor, " n"]) -> int:
    """The most frequent class; -1 if no vote is for one."""
    known = votes[votes >= 0]
    return int(torch.mode(known).values) if len(known) else -1


@proves("prediction")
def _begin(at: Beginning) -> list[Proof]:
    return [PredictionProof.start(at.pilot, at.terms)]
