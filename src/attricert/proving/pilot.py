"""The pilot: a few draws that prove nothing but tell where to look."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attricert.moments import Moments, no_moments
from attricert.progress import ProgressCallback
from attricert.sampling import Draws, Sampler
from attricert.streams import Stream

__all__ = ["Pilot", "Source", "across_of", "explore"]

_SCALE_SHARE = 4  # one pilot draw in so many estimates scales, around the center that the others gave
_SAMPLE_BYTES = 16 * 2**20
_ROUNDING = 1e-12


@final
@dataclass(frozen=True)
class Source:
    """The draws of one input, whose map has this shape."""

    sampler: Sampler
    x: Tensor
    target: Tensor | None
    shape: tuple[int, ...]
    seed: int
    key: str
    tick: ProgressCallback

    @property
    def blank(self) -> Tensor:
        """A map of zeros."""
        return self.x.new_zeros(self.shape)

    def draws(self, stage: str, start: int, stop: int) -> Iterator[Draws]:
        """Draws number ``start`` to ``stop`` of a stage."""
        for draws in self.sampler.draws(self.x, self.target, Stream(self.seed, self.key, stage), start, stop):
            yield draws
            self.tick(draws.calls)


@final
@dataclass(frozen=True)
class Pilot:
    """What the proof may rely on for its choices, never for its validity.

    Args:
        draws: independent draws in all.
        center: m, the mean of the first part, shape (entries,).
        center_draws: how many draws it comes from.
        direction: m / ||m||, zero where m is.
        along: mean and variance of u.g over the second part.
        sample: some rows g - m of the second part.
        around: u.g and ||g - (u.g) u|| of all rows of the second part.
        votes: predicted classes of all draws, or None without a classifier.
    """

    draws: int
    center: Float[Tensor, " d"]
    center_draws: int
    direction: Float[Tensor, " d"]
    along: Moments[Tensor]
    sample: Float[Tensor, "n d"]
    around: Float[Tensor, "rows 2"]
    votes: Int[Tensor, " votes"] | None


def explore(source: Source, draws: int) -> Pilot:
    """Draw the pilot; center and scales each from draws of their own."""
    first = draws - max(2, draws // _SCALE_SHARE)
    mean, votes = no_moments(source.blank), []
    for chunk in source.draws("pilot", 0, first):
        mean = mean.update(chunk.values)
        votes.append(chunk.classes)
    center = mean.mean
    size = center.norm()
    direction = center / size if float(size) > 0 else center
    along, sample, around = no_moments(direction[:1], variances=True), [], []
    kept = max(2, _SAMPLE_BYTES // (8 * math.prod(source.shape)))
    for chunk in source.draws("pilot", first, draws):
        along = along.update((chunk.values @ direction)[:, None])
        q = chunk.rows - center
        around.append(torch.stack([chunk.rows @ direction, across_of(q, q @ direction)], dim=1))
        sample.append(q[:kept])
        kept -= len(sample[-1])
        votes.append(chunk.classes)
    known = [v for v in votes if v is not None]
    votes_seen = torch.cat(known) if known else None
    return Pilot(draws, center, first, direction, along, torch.cat(sample), torch.cat(around), votes_seen)


def across_of(q: Float[Tensor, "n d"], along: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """||q - (u.q) u||, rounded up: it is that of g too, as m is a multiple of u."""
    square = (q**2).sum(dim=1)
    return torch.sqrt((square - along**2).clamp_min(0.0) + _ROUNDING * square)
