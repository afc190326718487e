"""The pilot: a few draws that prove nothing but tell where to look."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor

from attricert.moments import Moments, no_moments
from attricert.progress import ProgressCallback
from attricert.sampling import Centered, Draws, Sampler, ahead
from attricert.streams import Stream

__all__ = ["Pilot", "Source", "across_of", "explore"]

_SCALE_SHARE = 4  # one pilot draw in so many estimates scales, around the center that the others gave
_SAMPLE_BYTES = 16 * 2**20
_ROUNDING = 1e-12

A = TypeVar("A", Tensor, npt.NDArray[np.float64])


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

    def about(self, center: Tensor, directions: Tensor, stage: str, start: int, stop: int) -> Iterator[Centered]:
        """The same about a center; a GPU is at work on the next ones while these are looked at."""
        found = (Centered.of(draws, center, directions) for draws in self.draws(stage, start, stop))
        return ahead(found) if center.device.type == "cuda" else found


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
        around: u.g and ||g - (u.g) u|| of all rows of the second part, on the host.
        votes: predicted classes of all draws, or None without a classifier.
    """

    draws: int
    center: Float[Tensor, " d"]
    center_draws: int
    direction: Float[Tensor, " d"]
    along: Moments[npt.NDArray[np.float64]]
    sample: Float[Tensor, "n d"]
    around: Float[Tensor, "rows 2"]
    votes: Int[Tensor, " votes"] | None

    @property
    def size(self) -> float:
        """u.m, which is ||m||."""
        return float(self.center @ self.direction)


def explore(source: Source, draws: int) -> Pilot:
    """Draw the pilot; center and scales each from draws of their own."""
    first = draws - max(2, draws // _SCALE_SHARE)
    mean, votes = no_moments(source.blank), []
    for chunk in source.draws("pilot", 0, first):
        mean = mean.update(chunk.values)
        votes += [] if chunk.classes is None else [chunk.classes]
    center = mean.mean
    size = center.norm()
    direction = center / size if float(size) > 0 else center
    along, sample, around = Moments(0, np.zeros(1), np.zeros(1)), [], []
    kept = max(2, _SAMPLE_BYTES // (8 * math.prod(source.shape)))
    for rows in source.about(center, direction[None], "pilot", first, draws):
        values = rows.along[0] + float(center @ direction)
        along = along.update(rows.of_draws(values)[:, None])
        around.append(np.stack([values, across_of(rows.squares, rows.along[0])], axis=1))
        sample.append(rows.q[:kept])
        kept -= len(sample[-1])
        votes += [] if rows.classes is None else [torch.from_numpy(rows.classes)]
    votes_seen = torch.cat([v.cpu() for v in votes]) if votes else None
    return Pilot(
        draws, center, first, direction, along, torch.cat(sample), torch.from_numpy(np.concatenate(around)), votes_seen
    )


def across_of(squares: A, along: A) -> A:
    """||q - (u.q) u|| from ||q||^2 and u.q, rounded up: it is that of g too, as m is a multiple of u."""
    return ((squares - along**2).clip(0.0) + _ROUNDING * squares) ** 0.5
