"""Distances between the directions of maps, each an increasing function of the chord ||u - v||_2 of their unit vectors.

The chord has no cancellation where two maps are nearly alike, unlike 1 - cos and arccos(cos). As all distances grow
with it, medians and quantiles can be taken of chords.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["DISTANCES", "WORST_CHORD", "AngularDistance", "ChordDistance", "CosineDistance", "Distance", "chords"]

Array = npt.NDArray[np.float64]

WORST_CHORD = 2.0
"""Between opposite directions; what a map without a direction counts for."""


def chords(rows: Float[Tensor, "n m"], others: Float[Tensor, "k m"]) -> Float[Tensor, "n k"]:
    """||u - v||_2 for rows of norm 1; the worst, 2, to and from rows that are zero.

    With that every triangle inequality that holds for directions holds for all maps: where a zero takes part, its
    right side is at least the worst distance.
    """
    # By differences: 2 - 2 u.v, as matrix products have it, would lose half the digits of small chords.
    between = torch.cdist(rows, others, compute_mode="donot_use_mm_for_euclid_dist").clamp_(max=WORST_CHORD)
    for zero in ((rows == 0).all(dim=1)[:, None], (others == 0).all(dim=1)[None, :]):
        between.masked_fill_(zero, WORST_CHORD)
    return between


class Distance(ABC):
    """A symmetric distance d with d(a, c) <= gamma (d(a, b) + d(b, c))."""

    @property
    @abstractmethod
    def gamma(self) -> float:
        """Factor of the relaxed triangle inequality; 1 for a metric."""

    @abstractmethod
    def of_chord(self, chord: Array) -> Array:
        """The distance at a chord from 0 to 2."""

    @abstractmethod
    def cosine(self, distance: Array) -> Array:
        """The cosine at a distance >= 0; -1 from the worst distance on."""


@final
class AngularDistance(Distance):
    """arccos(cos) / pi, in [0, 1]: arc length, a metric."""

    @property
    def gamma(self) -> float:
        """1."""
        return 1.0

    def of_chord(self, chord: Array) -> Array:
        """2 arcsin(chord / 2) / pi."""
        return np.asarray(2 / np.pi * np.arcsin(chord / 2))

    def cosine(self, distance: Array) -> Array:
        """cos(pi distance)."""
        return np.asarray(np.cos(np.pi * np.minimum(distance, 1.0)))


@final
class CosineDistance(Distance):
    """1 - cos, in [0, 2]: half the squared chord, and (s + t)^2 <= 2 s^2 + 2 t^2, with equality at s = t."""

    @property
    def gamma(self) -> float:
        """2."""
        return 2.0

    def of_chord(self, chord: Array) -> Array:
        """chord^2 / 2."""
        return np.asarray(chord**2 / 2)

    def cosine(self, distance: Array) -> Array:
        """1 - distance."""
        return np.asarray(1 - np.minimum(distance, 2.0))


@final
class ChordDistance(Distance):
    """||u - v||_2 of the unit vectors, in [0, 2]: a metric."""

    @property
    def gamma(self) -> float:
        """1."""
        return 1.0

    def of_chord(self, chord: Array) -> Array:
        """The chord itself."""
        return chord

    def cosine(self, distance: Array) -> Array:
        """1 - distance^2 / 2."""
        return np.asarray(1 - np.minimum(distance, WORST_CHORD) ** 2 / 2)


DISTANCES: dict[str, Distance] = {"angular": AngularDistance(), "cosine": CosineDistance(), "l2": ChordDistance()}
