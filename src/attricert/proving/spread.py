"""How sampled maps spread, and where they lie: what the cosine rests on beside the norm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attricert.certificates import Terms
from attricert.certificates.pieces import Cone, FourthMoment, Piece, TopVariance
from attricert.confidence import (
    Betting,
    LowerBound,
    Problem,
    bernstein,
    stake,
    upper_mean,
    upper_proportion,
)
from attricert.proving.pilot import Pilot, across_of
from attricert.proving.proof import ROUNDING, Proof
from attricert.proving.regions import Regions, widest
from attricert.sampling import Centered, CenteredFourth, Exact, Gram, Scatter

__all__ = ["ConeProof", "SpreadProof", "max_deviation"]

_EXACT_UP_TO = 4096  # entries for which d x d moments are kept; 128 MiB each at the most
_CHUNK = 900  # rows of a Gram matrix beyond that


def max_deviation(pilot: Pilot, terms: Terms) -> float:
    """B >= ||g - m|| for every g: M + ||m||, or by Pythagoras where g and m are in the positive orthant."""
    size = float(pilot.center.norm())
    farthest = float(np.hypot(terms.max_norm, size)) if terms.nonnegative else terms.max_norm + size
    return farthest * (1 + ROUNDING)


@final
@dataclass(frozen=True)
class SpreadProof(Proof):
    """lambda = lambda_max(E qq^T), q = g - m, m the pilot's mean (theory 5); and a cone, where asked for.

    Args:
        farthest: B.
        alpha: probability of failure.
        bet: fixed by the pilot.
        scatter: second moments.
        largest: the largest ||q||^2 seen.
        draws: independent draws seen.
        along: for early stopping, a direction of large spread and a lower bound on the spread there.
        total: sum of the squares along it.
        cone: what is proven of regions, or None.
        slip: the probability that a draw is not computed as it should be.
    """

    farthest: float
    alpha: float
    bet: float
    scatter: Scatter
    largest: float = 0.0
    draws: int = 0
    along: tuple[Float[Tensor, " d"], LowerBound] | None = None
    total: float = 0.0
    cone: ConeProof | None = None
    slip: float = 0.0

    @staticmethod
    def guess(pilot: Pilot) -> float:
        """What the pilot expects lambda to be."""
        return float(widest(pilot.sample)[1].mean())

    @classmethod
    def start(cls, pilot: Pilot, terms: Terms, horizon: int, *, both: bool) -> SpreadProof:
        """No draws yet."""
        farthest, alpha, d = max_deviation(pilot, terms), terms.share("top_variance"), len(pilot.center)
        direction, squares = widest(pilot.sample)
        largest = float((pilot.sample**2).sum(dim=1).max())
        bet = float(stake(largest * float(squares.mean()), farthest**2, horizon, alpha))
        guess = (float(squares.mean()), float(squares.var()), len(squares))
        lower = Betting.start(Problem(0.0, farthest**2, alpha, horizon, *guess))
        cone = ConeProof.start(pilot, terms, horizon) if "regions" in terms.ledger else None
        stretch = 1.0 if cone is None else cone.regions.stretch
        scatter: Scatter = (
            Exact.start(pilot.direction, stretch)
            if d <= _EXACT_UP_TO
            else Gram(_CHUNK, farthest, pilot.direction, stretch, cone is not None)
        )
        along = (direction, lower) if both else None
        return cls(farthest, alpha, bet, scatter, along=along, cone=cone, slip=terms.slip)

    def directions(self, first: Float[Tensor, " d"]) -> Float[Tensor, "k d"]:
        """The directions along which draws are asked for, after the pilot's."""
        return first[None] if self.along is None else torch.stack([first, self.along[0]])

    def update(self, draws: Centered) -> SpreadProof:
        """After these draws too, along the direction of large spread second, where it is asked for."""
        along, total = self.along, self.total
        if along is not None:
            squares = draws.of_draws(draws.along[1] ** 2)
            along, total = (along[0], along[1].update(squares)), total + float(squares.sum())
        cone, inside = self.cone, None
        if cone is not None:
            cone, inside = cone.update(draws)
        return replace(
            self,
            scatter=self.scatter.update(draws.q, inside),
            largest=max(self.largest, float(draws.squares.max())),
            draws=self.draws + draws.count,
            along=along,
            total=total,
            cone=cone,
        )

    @property
    def upper(self) -> float:
        """Upper bound on lambda, at all draw counts at once."""
        top, limit = self.scatter.top(), self.farthest**2
        # (v.q)^4 <= ||q||^2 (v.q)^2; matrices of fourth moments cost more time than draws that gain as much.
        upper = upper_mean(top, self.largest * top, self.largest, self.bet, self.draws, self.alpha, limit)
        return min(upper + self.slip * limit, limit)

    @property
    def seen(self) -> float:
        """Mean square along the pilot's direction of large spread: a guess, mostly below lambda."""
        return self.total / max(self.draws, 1)

    @property
    def lower(self) -> float:
        """Lower bound on lambda; 0 where none was asked for."""
        return 0.0 if self.along is None else self.along[1].lower()

    def pieces(self) -> Mapping[str, Piece]:
        """Top variance, and cone and fourth moment where asked for."""
        top = TopVariance(np.array(self.upper), np.array(self.farthest))
        cone = {} if self.cone is None else self.cone.pieces_of(float(top.upper), self.scatter)
        return {"top_variance": top, **cone}


@final
@dataclass(frozen=True)
class ConeProof:
    """Where sampled maps lie (theory 4): counts outside of regions, the distance of h from m, variance inside.

    Args:
        regions: chosen by the pilot.
        terms: for the shares of alpha.
        bets: for the variance inside, and the fourth moment there.
        total: the sum of all q.
        draws: independent draws seen.
        calls: rows seen.
        outside: draws outside of each region, of a pair either.
        largest: the largest ||q||^2 seen inside, q stretched.
        fourth: the fourth moment inside, or None.
    """

    regions: Regions
    terms: Terms
    bets: tuple[float, float]
    total: Float[Tensor, " d"]
    draws: int
    calls: int
    outside: tuple[int, ...]
    largest: float
    fourth: CenteredFourth | None

    @classmethod
    def start(cls, pilot: Pilot, terms: Terms, horizon: int) -> ConeProof:
        """No draws yet."""
        regions = Regions.choose(pilot, terms, horizon)
        inside = regions.stretched(pilot.sample, pilot.direction)
        squares, limit = widest(inside)[1], regions.largest_square
        largest = float((inside**2).sum(dim=1).max())
        # What bounds the variance of squares: more is known where fourth moments are.
        guess, fourth, bet = largest * float(squares.mean()), None, 0.0
        if "fourth" in terms.ledger:
            guess = float((squares**2).mean())
            fourth = CenteredFourth.around(inside)
            bet = float(stake(largest * float((squares**3).mean()), limit**2, horizon, terms.share("fourth")))
        second = stake(guess, limit, horizon, terms.share("inside_variance"))
        nothing = tuple(0 for _ in regions.along)
        bets = (float(second), bet)
        return cls(regions, terms, bets, torch.zeros_like(pilot.center), 0, 0, nothing, 0.0, fourth)

    def update(self, draws: Centered) -> tuple[ConeProof, Bool[Tensor, " n"] | None]:
        """After these draws too; and which rows lie in the outermost region, on the host; None if all do."""
        r, away = self.regions, draws.along[0]
        across = across_of(draws.squares, away)
        held = [r.holds(j, away + r.center, across) for j in range(len(self.outside))]
        counts = (draws.any_of_draws(~flags) for flags in held)
        squares = np.where(held[-1], across**2 + (r.stretch * away) ** 2, 0.0)
        inside, fourth = None if held[-1].all() else torch.from_numpy(held[-1]), self.fourth
        if fourth is not None:
            stretched = r.along_stretched(draws.q, r.direction)
            if inside is not None:
                stretched *= inside.to(stretched, non_blocking=True)[:, None]
            fourth = fourth.update(stretched)
        state = replace(
            self,
            total=self.total + draws.total,
            draws=self.draws + draws.count,
            calls=self.calls + draws.calls,
            outside=tuple(a + b for a, b in zip(self.outside, counts, strict=True)),
            largest=max(self.largest, float(squares.max())),
            fourth=fourth,
        )
        return state, inside

    def pieces_of(self, top_variance: float, scatter: Scatter) -> Mapping[str, Piece]:
        """Cone, and fourth moment where asked for, given a bound on the top variance."""
        r, n, terms, slip = self.regions, self.draws, self.terms, self.terms.slip
        # Only the direction of h - m counts, a fixed one: no supremum over directions is needed (theory 5).
        away = bernstein(n, terms.share("drift"), top_variance, 2 * terms.max_norm)
        slipped = 2 * terms.max_norm * slip
        drift = (float(self.total.norm()) / self.calls + float(away) + slipped) * (1 + ROUNDING)
        masses = [
            min(upper_proportion(count, n, terms.share("regions") * part) + slip, 1.0)
            for count, part in zip(self.outside, r.shares, strict=True)
        ]
        top, limit, largest = scatter.top_inside(), r.largest_square, self.largest
        share, squares = terms.share("inside_variance"), largest * top
        fourth = None if self.fourth is None else self.fourth.top(top)
        if fourth is not None:
            squares = min(squares, fourth)
        upper = upper_mean(top, max(squares, top**2), largest, self.bets[0], n, share, limit)
        variance = min(upper + slip * limit, limit)
        cone = Cone(
            center=np.array(r.center),
            drift=np.array(drift),
            stretch=np.array(r.stretch),
            variance=np.array(variance),
            along=np.array(r.along),
            across=np.array(r.across),
            outside=np.array(masses),
        )
        found: dict[str, Piece] = {"cone": cone}
        if self.fourth is not None and fourth is not None:
            # (v.q)^8 is at most ||q||^2 (v.q)^6 and ||q||^4 (v.q)^4.
            squares = max(min(largest * self.fourth.top_sixth(), largest**2 * fourth), fourth**2)
            upper = upper_mean(fourth, squares, largest**2, self.bets[1], n, terms.share("fourth"), limit**2)
            found["fourth"] = FourthMoment(np.array(min(upper + slip * limit**2, limit**2)))
        return found
