"""What a certificate will say, from a few draws and before the many are paid for: estimates, nothing is proven."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from attricert.certificates import Facts, Geometry, Statement
from attricert.confidence import excess, stake
from attricert.progress import ProgressCallback
from attricert.proving.pilot import Source
from attricert.proving.prover import PILOT_SHARE
from attricert.sampling import Sampler

__all__ = ["Forecast", "forecast"]

_GROWTH = 1.05
_DIRECTION_SHARE = 0.75 / PILOT_SHARE  # of all draws: those behind the direction


@final
@dataclass(frozen=True)
class Forecast:
    """Estimates for one input.

    Args:
        statement: the terms of the certificate to come.
        norm: of h.
        spread: largest eigenvalue of Cov g.
        trace: E ||g - h||^2.
        along: variance of g along h.
        largest: largest ||g - h||^2 seen.
    """

    statement: Statement
    norm: float
    spread: float
    trace: float
    along: float
    largest: float

    def max_eps(self, cosine: float, n_samples: float) -> float:
        """The certified eps to expect from so many samples."""
        return float(self._geometry(n_samples).max_eps(np.array([cosine]))[0])

    def samples_needed(self, eps: float, cosine: float, n_min: int, n_max: int) -> float:
        """About how many samples prove (eps, cosine), at least n_min; inf if n_max do not."""
        n = float(n_min)
        while n <= n_max:
            if self._geometry(n).cosine(np.array([eps]))[0] >= cosine:
                return math.ceil(n)
            n *= _GROWTH
        return math.inf

    def _geometry(self, n_samples: float) -> Geometry:
        s, draws = self.statement, n_samples * (0.5 if self.statement.antithetic else 1.0)
        main = max(int(draws * (1 - 1 / PILOT_SHARE)), 2)
        log = math.log(1 / s.share("norm"))
        # The direction's error, then Bernstein's width for the norm.
        lost = self.trace / (2 * _DIRECTION_SHARE * draws * max(self.norm, 1e-9))
        norm = self.norm - lost - math.sqrt(2 * self.along * log / main) - s.bound * log / main
        reach, spread = s.bound + self.norm, math.inf
        if "spread" in s.parts:
            share, variance = s.share("spread"), self.largest * self.spread
            bet = stake(variance, reach**2, main, share)
            spread = self.spread + float(excess(variance, self.largest, bet, main, share))
        return Geometry(s, "sound", Facts(np.array([max(norm, 0.0)]), np.array([spread]), np.array([reach])))


def forecast(
    sampler: Sampler,
    statement: Statement,
    draws: int,
    x: Tensor,
    target: Tensor | None,
    key: str,
    tick: ProgressCallback,
) -> Forecast:
    """Estimate from so many draws, which are all kept in memory."""
    source = Source(sampler, x, target, statement.seed, key, tick)
    rows = torch.cat([chunk.values for chunk in source.draws("forecast", 0, draws)])
    first, second = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    norm = math.sqrt(max(float(first.mean(0) @ second.mean(0)), 0.0))  # free of the bias of a norm of means
    mean = rows.mean(0)
    q = rows - mean
    squares = (q**2).sum(dim=1)
    # The largest eigenvalue seen is too large, the spread of other draws along its direction too small.
    direction, _ = _top(first - first.mean(0))
    unseen = float((((second - second.mean(0)) @ direction) ** 2).mean())
    _, seen = _top(q)
    unit = mean / max(float(mean.norm()), 1e-300)
    return Forecast(
        statement=statement,
        norm=norm,
        spread=(unseen + seen) / 2,
        trace=float(squares.mean()),
        along=float((q @ unit).var()),
        largest=float(squares.max()),
    )


def _top(rows: Tensor) -> tuple[Tensor, float]:
    """The direction in which rows spread most, and the mean square along it."""
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    direction = rows.T @ vectors[:, -1]
    return direction / direction.norm().clamp_min(1e-300), float(values[-1]) / len(rows)
