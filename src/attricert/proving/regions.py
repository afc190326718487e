"""Nested regions around the pilot's direction, which the pilot chooses and the main stream counts (theory 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from attricert.certificates import Terms
from attricert.confidence import stake, upper_mean
from attricert.proving.pilot import A, Pilot, across_of

__all__ = ["Regions", "widest"]

_STRETCHES = (1.0, 2.0, 4.0)
_ANGLE = 0.4  # for which the stretch is chosen: that of a cosine of 0.9, less the error of the direction
_LEVEL, _FALL, _FEWEST = 0.5, 5.0, 4  # masses outside: the first, and its fall, while so many of the draws are outside
# How much farther than all draws the last regions reach, in units of these' distance from the median.
_BEYOND = (0.1, 0.8)
_OUTERMOST = 0.8  # its part of the regions' share of alpha
_TUNING_ROWS = 256
_ROUNDING = 1e-12


@final
@dataclass(frozen=True)
class Regions:
    """Region j holds the maps g with u.g >= along[j] and ||g - (u.g) u|| <= across[j].

    Args:
        direction: u.
        center: ||m||, m = ||m|| u.
        max_norm: M.
        along: falling, >= 0.
        across: rising.
        shares: of the regions' part of alpha.
        stretch: of deviations along u.
    """

    direction: Float[Tensor, " d"]
    center: float
    max_norm: float
    along: tuple[float, ...]
    across: tuple[float, ...]
    shares: tuple[float, ...]
    stretch: float

    @classmethod
    def choose(cls, pilot: Pilot, terms: Terms, horizon: int) -> Regions:
        """From the pilot's draws; the stretch that will do best in a cone, as far as they tell."""
        plain = cls.around(pilot.around, float(pilot.center.norm()), terms.max_norm, pilot.direction)
        share = terms.share("inside_variance")
        found = [replace(plain, stretch=stretch) for stretch in _STRETCHES]
        return min(found, key=lambda regions: regions._expected(pilot.sample, horizon, share))

    @classmethod
    def around(
        cls, draws: Float[Tensor, "n 2"], center: float, max_norm: float, direction: Tensor | None = None
    ) -> Regions:
        """From u.g and ||g - (u.g) u|| of some draws; without a stretch."""
        x, y = draws.T
        levels, level = [], _LEVEL
        while level * len(x) >= _FEWEST:
            levels.append(level)
            level /= _FALL
        # A draw may leave on either side: half of the mass each.
        along = [float(torch.quantile(x, level / 2)) for level in levels]
        across = [float(torch.quantile(y, 1 - level / 2)) for level in levels]
        along += [float(x.min() - part * (x.median() - x.min())) for part in _BEYOND]
        across += [float(y.max() + part * (y.max() - y.median())) for part in _BEYOND]
        slack = 1e-9 * max_norm
        along = [max(value - slack, 0.0) for value in along]
        across = [min(value + slack, max_norm) for value in across]
        others = len(along) - 1
        shares = (*([(1 - _OUTERMOST) / others] * others), _OUTERMOST)
        unit = torch.zeros(0, dtype=draws.dtype) if direction is None else direction
        return cls(unit, center, max_norm, tuple(along), tuple(across), shares, 1.0)

    def _expected(self, sample: Float[Tensor, "n d"], horizon: int, alpha: float) -> float:
        """The variance that will count in a cone, as far as the pilot tells."""
        inside = self.stretched(sample, self.direction)
        top, largest, limit = float(widest(inside)[1].mean()), float((inside**2).sum(dim=1).max()), self.largest_square
        bet = float(stake(largest * top, limit, horizon, alpha))
        upper = upper_mean(top, largest * top, largest, bet, horizon, alpha, limit)
        return upper * (1 - math.sin(_ANGLE) ** 2 * (1 - 1 / self.stretch**2))

    @property
    def largest_square(self) -> float:
        """||q||^2 is at most this in the outermost region, q stretched."""
        along = max(abs(self.along[-1] - self.center), abs(self.max_norm - self.center))
        return (self.stretch**2 * along**2 + self.across[-1] ** 2) * (1 + _ROUNDING)

    def coordinates(self, q: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """u.g and ||g - (u.g) u|| of rows q = g - m."""
        x = q @ self.direction
        return x + self.center, across_of((q**2).sum(dim=1), x)

    def holds(self, j: int, along: A, across: A) -> Any:
        """Whether region j holds these maps, a flag each: an array, or a tensor."""
        return (along >= self.along[j]) & (across <= self.across[j])

    def stretched(self, q: Float[Tensor, "n d"], direction: Float[Tensor, " d"]) -> Float[Tensor, "n d"]:
        """Rows with their part along u stretched; zero outside of the outermost region."""
        along, across = self.coordinates(q)
        return torch.where(self.holds(-1, along, across)[:, None], self.along_stretched(q, direction), 0.0)

    def along_stretched(self, q: Float[Tensor, "n d"], direction: Float[Tensor, " d"]) -> Float[Tensor, "n d"]:
        """Rows with their part along u stretched, wherever they lie."""
        return q + (self.stretch - 1) * torch.outer(q @ direction, direction)


def widest(sample: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, " n"]]:
    """The direction in which these rows spread most, and the squares along it."""
    rows = sample[:_TUNING_ROWS]
    narrow = rows.shape[1] < len(rows)
    _, vectors = torch.linalg.eigh(rows.T @ rows if narrow else rows @ rows.T)  # the smaller of the two
    direction = vectors[:, -1] if narrow else rows.T @ vectors[:, -1]
    size = direction.norm()
    direction = direction / size if float(size) > 0 else direction
    return direction, (sample @ direction) ** 2
