"""From draws to evidence, one input at a time: a pilot tells where to look, the main stream proves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float
from torch import Tensor

from attricert import checks
from attricert.certificates import Evidence, Geometry, Statement
from attricert.confidence import Betting, EmpiricalBernstein, Hoeffding, LowerBound, Problem, norm_interval
from attricert.errors import ArgumentError
from attricert.moments import Moments, no_moments
from attricert.progress import Tick
from attricert.sampling import Draws, Sampler
from attricert.streams import Stream

__all__ = ["CONFIDENCES", "Goal", "Proof", "Prover", "evidence"]

_BOUNDS: dict[str, type[LowerBound]] = {
    "betting": Betting,
    "hoeffding": Hoeffding,
    "bernstein": EmpiricalBernstein,
}

CONFIDENCES = (*_BOUNDS, "asymptotic")

_PILOT_SHARE = 10  # one draw in so many chooses the direction; the loss is about trace(Cov) / (2 n0 c)
_SCALE_SHARE = 4  # one pilot draw in so many estimates mean and variance along that direction
_FIRST_CHECK, _CHECK_GROWTH = (
    256,
    1.1,
)  # draws before stopping early is first considered, and then between checks
_CAUTION = 2.0  # bets are tuned to this many times the draws that the pilot expects to suffice
_ROUNDING = 1e-12  # relative; covers the float64 arithmetic between a draw and the bound


@final
@dataclass(frozen=True)
class Goal:
    """A claim at which sampling may stop.

    Args:
        geometry: turns a norm into a cosine.
        eps: the claim's l2 size.
        cosine: the claim's threshold.
    """

    geometry: Geometry
    eps: float
    cosine: float

    def __post_init__(self) -> None:
        checks.positive("stop_when[0] (eps)", self.eps)
        checks.fraction("stop_when[1] (cosine)", self.cosine)
        if self.geometry.method != "sound":
            raise ArgumentError("method", self.geometry.method, "stop_when decides claims, which needs 'sound'")
        confidence = self.geometry.statement.confidence
        if not (confidence in _BOUNDS and _BOUNDS[confidence].anytime):
            raise ArgumentError(
                "confidence", confidence, "stop_when needs a bound that is valid at any time: 'betting'"
            )

    def reached(self, norm: float) -> bool:
        """Whether ||h|| >= norm proves the claim."""
        return bool(self.geometry.cosine(np.array([self.eps]), np.array([norm]))[0] >= self.cosine)

    def horizon(self, guess: Problem) -> int:
        """About how many draws will decide."""
        gap = guess.mean - self.geometry.norm_needed(self.eps, self.cosine)
        draws = _CAUTION * 2 * guess.variance * math.log(1 / guess.alpha) / max(gap**2, 1e-300)
        return int(min(max(draws, _FIRST_CHECK), guess.horizon))


@final
@dataclass(frozen=True)
class Proof:
    """One input's row of evidence; see `Evidence`."""

    norm: float
    n_samples: int
    n_pilot: int
    zeros: int
    nonfinite: int
    outcome: str
    map: Float[Tensor, "*features"]


@final
@dataclass(frozen=True)
class _Tally:
    """What the main stream has seen."""

    moments: Moments[Tensor]
    calls: int = 0
    zeros: int = 0
    nonfinite: int = 0

    def add(self, draws: Draws) -> _Tally:
        return _Tally(
            self.moments.update(draws.values),
            self.calls + draws.calls,
            self.zeros + draws.zeros,
            self.nonfinite + draws.nonfinite,
        )


@final
@dataclass(frozen=True)
class Prover:
    """Proves a lower bound on ||h|| for one input after another.

    Args:
        sampler: where draws come from.
        statement: the terms.
        n_samples: attributions to compute in all, pilot included.
        goal: a claim that ends sampling early, or None.
    """

    sampler: Sampler
    statement: Statement
    n_samples: int
    goal: Goal | None

    def prove(self, x: Float[Tensor, "*features"], target: Tensor | None, key: str, tick: Tick) -> Proof:
        """Sample and prove.

        Args:
            x: one input.
            target: its target class, a scalar tensor, or None.
            key: names its draws.
            tick: told of progress.
        """
        source = _Source(self.sampler, x, target, self.statement.seed, key, tick)
        units = self.n_samples // self.sampler.calls_per_draw
        if self.statement.confidence == "asymptotic":
            return self._asymptotic(source, units)
        return self._along_direction(source, units)

    def _asymptotic(self, source: _Source, units: int) -> Proof:
        tally = _Tally(no_moments(source.x, variances=True))
        for draws in source.draws("main", 0, units):
            tally = tally.add(draws)
        m = tally.moments
        norm, _ = norm_interval(m.mean.cpu().numpy(), m.variance.cpu().numpy(), m.count, self.statement.alpha_part)
        return self._proof(source, tally, norm, 0, "")

    def _along_direction(self, source: _Source, units: int) -> Proof:
        """c >= u.h = E[u.g] with u from the pilot: a mean of scalar draws (theory 5)."""
        pilot = units // _PILOT_SHARE
        direction, problem = self._pilot(source, pilot, units - pilot)
        if self.goal is not None:
            problem = problem.at_horizon(self.goal.horizon(problem))
        bound = _BOUNDS[self.statement.confidence]
        below, above = bound.start(problem), bound.start(problem.mirrored())
        tally, outcome, done = _Tally(no_moments(source.x)), "", 0
        for stop in self._checkpoints(units - pilot):
            for draws in source.draws("main", done, stop):
                tally = tally.add(draws)
                values = (draws.values @ direction).cpu().numpy()
                below = below.update(values)
                above = above.update(-values) if self.goal is not None else above
            done = stop
            outcome = self._outcome(_proven_norm(below), -above.lower(), last=stop == units - pilot)
            if outcome in ("proven", "refuted"):
                break
        return self._proof(source, tally, _proven_norm(below), pilot, outcome)

    def _pilot(self, source: _Source, draws: int, horizon: int) -> tuple[Tensor, Problem]:
        """The direction to prove along, and what to expect there; each from draws of its own."""
        first = draws - max(2, draws // _SCALE_SHARE)
        mean = no_moments(source.x)
        for batch in source.draws("pilot", 0, first):
            mean = mean.update(batch.values)
        size = mean.mean.norm()
        direction = mean.mean / size if float(size) > 0 else mean.mean
        scale = no_moments(direction[:1], variances=True)
        for batch in source.draws("pilot", first, draws):
            scale = scale.update((batch.values @ direction)[:, None])
        s = self.statement
        low = 0.0 if s.nonnegative else -s.bound
        guess = (float(scale.mean[0]), float(scale.variance[0]), scale.count)
        return direction, Problem(low, s.bound, s.alpha_part, horizon, *guess)

    def _checkpoints(self, units: int) -> Iterator[int]:
        """Draw counts at which to look; fixed, so that stopping does not depend on the batch size."""
        stop = _FIRST_CHECK
        while self.goal is not None and stop < units:
            yield stop
            stop = math.ceil(stop * _CHECK_GROWTH)
        yield units

    def _outcome(self, lower: float, upper: float, *, last: bool) -> str:
        if self.goal is None:
            return ""
        if self.goal.reached(lower):
            return "proven"
        if not self.goal.reached(upper):
            return "refuted"  # not even the pilot direction's true mean would prove it
        return "open" if last else ""

    def _proof(self, source: _Source, tally: _Tally, norm: float, pilot: int, outcome: str) -> Proof:
        return Proof(
            norm=norm,
            n_samples=tally.calls,
            n_pilot=pilot * self.sampler.calls_per_draw,
            zeros=tally.zeros,
            nonfinite=tally.nonfinite,
            outcome=outcome,
            map=tally.moments.mean.reshape(source.x.shape),
        )


def _proven_norm(bound: LowerBound) -> float:
    return max(bound.lower(), 0.0) * (1 - _ROUNDING)


@final
@dataclass(frozen=True)
class _Source:
    """The draws of one input."""

    sampler: Sampler
    x: Tensor
    target: Tensor | None
    seed: int
    key: str
    tick: Tick

    def draws(self, stage: str, start: int, stop: int) -> Iterator[Draws]:
        for draws in self.sampler.draws(self.x, self.target, Stream(self.seed, self.key, stage), start, stop):
            yield draws
            self.tick(draws.calls)


def evidence(statement: Statement, proofs: Sequence[Proof]) -> Evidence:
    """Put the rows together."""
    return Evidence(
        statement=statement,
        norm=np.array([p.norm for p in proofs], dtype=np.float64),
        n_samples=np.array([p.n_samples for p in proofs], dtype=np.int64),
        n_pilot=np.array([p.n_pilot for p in proofs], dtype=np.int64),
        zeros=np.array([p.zeros for p in proofs], dtype=np.int64),
        nonfinite=np.array([p.nonfinite for p in proofs], dtype=np.int64),
        outcome=tuple(p.outcome for p in proofs),
        maps=np.stack([p.map.cpu().numpy() for p in proofs]),
    )
