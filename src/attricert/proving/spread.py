"""How far draws stray from their mean, in any direction: second and higher moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attricert.certificates import Statement
from attricert.confidence import (
    Betting,
    LowerBound,
    Problem,
    maurer_upper,
    stake,
    upper_mean,
    upper_proportion,
)
from attricert.proving.pilot import Pilot
from attricert.proving.quantity import ROUNDING, Quantity
from attricert.sampling import Draws, Exact, Gram, Scatter

__all__ = ["Higher", "Spread", "reach_of"]

_EXACT_UP_TO = 4096  # features for which d x d moments are kept; 128 MiB each at the most
_CHUNK = 1000  # rows of a Gram matrix beyond that
_HIGHER_CHUNK = 3000  # rows of a Gram matrix whose powers are taken: they need more to be tight
_TUNING_ROWS = 256


def reach_of(pilot: Pilot, statement: Statement) -> float:
    """B >= ||g - m|| for every g: M + ||m||, or by Pythagoras where g and m are in the positive orthant."""
    size = float(pilot.center.norm())
    reach = float(np.hypot(statement.bound, size)) if statement.nonnegative else statement.bound + size
    return reach * (1 + ROUNDING)


@final
@dataclass(frozen=True)
class Spread(Quantity):
    """lambda = lambda_max(E qq^T), q = g - m, m the pilot's mean (theory 5).

    Args:
        center: m.
        reach: B.
        alpha: probability of failure.
        bet: fixed by the pilot.
        anytime: whether the bound is to hold at any time; if not, Maurer's is used.
        scatter: second moments.
        draws: independent draws seen.
        along: for early stopping, a direction of large spread and a lower bound on the spread there.
        total: sum of the squares along it.
    """

    center: Float[Tensor, " d"]
    reach: float
    alpha: float
    bet: float
    anytime: bool
    scatter: Scatter
    draws: int = 0
    along: tuple[Float[Tensor, " d"], LowerBound] | None = None
    total: float = 0.0

    @staticmethod
    def guess(pilot: Pilot) -> float:
        """What the pilot expects lambda to be."""
        return float(_widest(pilot.sample)[1].mean())

    @classmethod
    def start(cls, pilot: Pilot, statement: Statement, horizon: int, *, both: bool) -> Spread:
        """No draws yet."""
        reach, alpha, d = reach_of(pilot, statement), statement.share("spread"), len(pilot.center)
        direction, squares = _widest(pilot.sample)
        largest = float((pilot.sample**2).sum(dim=1).max())
        bet = float(stake(largest * float(squares.mean()), reach**2, horizon, alpha))
        scatter: Scatter = Exact.start(pilot.center) if d <= _EXACT_UP_TO else Gram.start((1,), _CHUNK)
        guess = (float(squares.mean()), float(squares.var()), len(squares))
        lower = Betting.start(Problem(0.0, reach**2, alpha, horizon, *guess))
        anytime = statement.confidence == "betting"
        return cls(pilot.center, reach, alpha, bet, anytime, scatter, 0, (direction, lower) if both else None)

    def update(self, draws: Draws) -> Spread:
        """After these draws too."""
        q = draws.rows - self.center
        along, total = self.along, self.total
        if along is not None:
            squares = ((q @ along[0]) ** 2).reshape(-1, draws.calls_per_draw).mean(dim=1)
            along, total = (along[0], along[1].update(squares.cpu().numpy())), total + float(squares.sum())
        seen = self.draws + len(q) // draws.calls_per_draw
        return replace(self, scatter=self.scatter.update(q), draws=seen, along=along, total=total)

    @property
    def upper(self) -> float:
        """Upper bound on lambda."""
        tops, largest = self.scatter.tops(), self.scatter.largest
        if not self.anytime:
            return float(maurer_upper(tops[1], self.draws, self.alpha, self.reach))
        # (v.q)^4 <= ||q||^2 (v.q)^2; matrices of fourth moments cost more time than draws that gain as much.
        return upper_mean(tops[1], largest * tops[1], largest, self.bet, self.draws, self.alpha, self.reach**2)

    @property
    def seen(self) -> float:
        """Mean square along the pilot's direction of large spread: a guess, mostly below lambda."""
        return self.total / max(self.draws, 1)

    @property
    def lower(self) -> float:
        """Lower bound on lambda; 0 where none was asked for."""
        return 0.0 if self.along is None else self.along[1].lower()

    def evidence(self) -> Mapping[str, Any]:
        """Spread and reach."""
        return {"spread": self.upper, "reach": self.reach}


@final
@dataclass(frozen=True)
class Higher(Quantity):
    """sup_v E (v.q)^2k for k > 1, over the q's within a radius, and the probability of the others (theory 3e).

    Args:
        center: m.
        radius: b, from the pilot.
        orders: the 2k.
        alpha: probability of failure of each of len(orders) + 1 bounds.
        bets: one an order, fixed by the pilot.
        gram: the moments of q / b.
        draws: independent draws seen.
        outside: of those, how many had a row beyond the radius.
    """

    center: Float[Tensor, " d"]
    radius: float
    orders: tuple[int, ...]
    alpha: float
    bets: tuple[float, ...]
    gram: Gram
    draws: int = 0
    outside: int = 0

    @classmethod
    def start(cls, pilot: Pilot, statement: Statement, horizon: int) -> Higher:
        """No draws yet."""
        orders = statement.moments
        alpha = statement.share("moments") / (len(orders) + 1)
        # Every pilot draw seen lies well within: so do nearly all main draws, and the tail's bound is small.
        reach = reach_of(pilot, statement)
        radius = min(1.2 * float(pilot.sample.norm(dim=1).max()) + 1e-6 * reach, reach)
        squares = _widest(pilot.sample)[1] / radius**2
        bets = [float(stake(float((squares**order).mean()), 1.0, horizon, alpha)) for order in orders]
        powers = tuple(order // 2 for order in orders)
        # One power more than asked for: it bounds the variance of the lower ones.
        gram = Gram.start((*powers, max(powers) + 1), _HIGHER_CHUNK, 1.0)
        return cls(pilot.center, radius, orders, alpha, tuple(bets), gram)

    def update(self, draws: Draws) -> Higher:
        """After these draws too."""
        q = (draws.rows - self.center) / self.radius  # high powers stay far from underflow
        beyond = ((q**2).sum(dim=1) > 1.0).reshape(-1, draws.calls_per_draw).any(dim=1)
        return replace(
            self,
            gram=self.gram.update(q),
            draws=self.draws + len(beyond),
            outside=self.outside + int(beyond.sum()),
        )

    def evidence(self) -> Mapping[str, Any]:
        """Moments and tail."""
        tops, largest = self.gram.tops(), self.gram.largest
        sizes = []
        for order, bet in zip(self.orders, self.bets, strict=True):
            k = order // 2
            # (v.q)^4k <= ||q||^(4k - 2j) (v.q)^2j
            square = min(largest ** (2 * k - j) * top for j, top in tops.items() if k <= j <= 2 * k)
            moment = upper_mean(tops[k], square, largest**k, bet, self.draws, self.alpha, 1.0)
            sizes.append(self.radius * moment ** (1 / order) * (1 + ROUNDING))
        return {"moments": np.array(sizes), "tail": upper_proportion(self.outside, self.draws, self.alpha)}


def _widest(sample: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, " n"]]:
    """The direction in which these rows spread most, and the squares along it."""
    rows = sample[:_TUNING_ROWS]
    _, vectors = torch.linalg.eigh(rows @ rows.T)
    direction = rows.T @ vectors[:, -1]
    size = direction.norm()
    direction = direction / size if float(size) > 0 else direction
    return direction, (sample @ direction) ** 2
