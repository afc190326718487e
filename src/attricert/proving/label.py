"""The class of the smoothed classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import torch

from attricert.certificates import Statement
from attricert.confidence import lower_proportion
from attricert.proving.pilot import Pilot
from attricert.proving.quantity import Quantity
from attricert.sampling import Draws

__all__ = ["Label"]


@final
@dataclass(frozen=True)
class Label(Quantity):
    """The probability of the smoothed classifier's class, which the pilot chose (theory 4).

    Args:
        label: the class.
        alpha: probability of failure.
        hits: draws of that class.
        draws: draws seen.
    """

    label: int
    alpha: float
    hits: int = 0
    draws: int = 0

    @classmethod
    def start(cls, pilot: Pilot, statement: Statement) -> Label:
        """No draws yet."""
        if pilot.votes is None:
            raise AttributeError("there was no classifier")
        votes = pilot.votes[pilot.votes >= 0]
        share = statement.share("label") / (3 if statement.observed else 1)
        return cls(int(torch.mode(votes).values) if len(votes) else -1, share)

    def update(self, draws: Draws) -> Label:
        """After these draws too."""
        votes = draws.votes
        hits = int((votes == self.label).sum()) if self.label >= 0 else 0
        return replace(self, hits=self.hits + hits, draws=self.draws + len(votes))

    def evidence(self) -> Mapping[str, Any]:
        """The class and its probability."""
        return {"label": self.label, "label_mass": lower_proportion(self.hits, self.draws, self.alpha)}
