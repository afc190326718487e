"""From draws to evidence, one input at a time: a pilot tells where to look, the main stream proves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor

from attricert.certificates import Evidence, Statement
from attricert.confidence import norm_interval
from attricert.moments import Moments, no_moments
from attricert.progress import ProgressCallback
from attricert.proving.entries import EntryBounds
from attricert.proving.goal import Goal
from attricert.proving.label import Label
from attricert.proving.norm import BOUNDS, Norm, norm_problem
from attricert.proving.pilot import Pilot, Source, explore
from attricert.proving.quantity import Quantity
from attricert.proving.spread import Higher, Spread, reach_of
from attricert.sampling import Draws, Sampler

__all__ = ["CONFIDENCES", "PILOT_SHARE", "Prover", "evidence"]

CONFIDENCES = (*BOUNDS, "asymptotic")

Row = Mapping[str, Any]
"""One input's evidence: a value for each field of `Evidence`."""

PILOT_SHARE = 10  # one draw in so many chooses the direction; the loss is about trace(Cov) / (2 n0 c)
_FIRST_CHECK, _CHECK_GROWTH = 256, 1.1  # draws before stopping early is considered, and then between checks


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

    def row(self, x: Tensor, pilot: int, outcome: str) -> Row:
        return {
            "n_samples": self.calls,
            "n_pilot": pilot,
            "zeros": self.zeros,
            "nonfinite": self.nonfinite,
            "outcome": outcome,
            "maps": self.moments.mean.reshape(x.shape).cpu().numpy(),
        }


@final
@dataclass(frozen=True)
class Prover:
    """Proves what a statement names, for one input after another.

    Args:
        sampler: where draws come from.
        statement: the terms.
        n_samples: attributions to compute in all, pilot included.
        goal: a claim that ends sampling early, or None.
        functionals: vectors v whose v.h is bounded too, or None.
        watch: told, as draws come in, how many attributions were computed, and a function that gives the evidence of
            norm and spread that they would make; or None.
    """

    sampler: Sampler
    statement: Statement
    n_samples: int
    goal: Goal | None = None
    functionals: Float[Tensor, "r d"] | None = None
    watch: Callable[[int, Callable[[], Evidence]], None] | None = None

    def prove(self, x: Float[Tensor, "*features"], target: Tensor | None, key: str, tick: ProgressCallback) -> Row:
        """Sample and prove.

        Args:
            x: one input.
            target: its target class, a scalar tensor, or None.
            key: names its draws.
            tick: told of progress.
        """
        source = Source(self.sampler, x, target, self.statement.seed, key, tick)
        units = self.n_samples // self.sampler.calls_per_draw
        if self.statement.confidence == "asymptotic":
            return self._asymptotic(source, units)
        return self._finite(source, units)

    def _asymptotic(self, source: Source, units: int) -> Row:
        tally = _Tally(no_moments(source.x, variances=True))
        for draws in source.draws("main", 0, units):
            tally = tally.add(draws)
        m, share = tally.moments, self.statement.share("norm")
        norm, _ = norm_interval(m.mean.cpu().numpy(), m.variance.cpu().numpy(), m.count, share)
        return {"norm": norm, **tally.row(source.x, 0, "")}

    def _finite(self, source: Source, units: int) -> Row:
        main = units - units // PILOT_SHARE
        pilot = explore(source, units - main)
        norm, spread = self._core(pilot, main)
        others = self._others(pilot, source.x, main)
        tally, outcome, done = _Tally(no_moments(source.x)), "", 0
        for stop in self._checkpoints(main):
            for draws in source.draws("main", done, stop):
                tally = tally.add(draws)
                norm = norm.update(draws)
                spread = None if spread is None else spread.update(draws)
                others = [quantity.update(draws) for quantity in others]
                self._show(tally, norm, spread, source.x)
            done = stop
            outcome = self._outcome(norm, spread, last=stop == main)
            if outcome in ("proven", "refuted"):
                break
        row: dict[str, Any] = dict(tally.row(source.x, pilot.draws * self.sampler.calls_per_draw, outcome))
        for quantity in (norm, spread, *others):
            row.update({} if quantity is None else quantity.evidence())
        return row

    def _show(self, tally: _Tally, norm: Norm, spread: Spread | None, x: Tensor) -> None:
        if self.watch is None:
            return

        def so_far() -> Evidence:
            row: dict[str, Any] = {**tally.row(x, 0, ""), **norm.evidence()}
            row.update({} if spread is None else spread.evidence())
            return evidence(self.statement, [row], None)

        self.watch(tally.calls, so_far)

    def _core(self, pilot: Pilot, main: int) -> tuple[Norm, Spread | None]:
        """What the cosine needs, tuned to the draws that the goal is expected to take."""
        s, goal, problem = self.statement, self.goal, norm_problem(pilot, self.statement, main)
        if goal is not None:
            guess = Spread.guess(pilot) if "spread" in s.parts else math.inf
            problem = problem.at_horizon(goal.horizon(problem, guess, reach_of(pilot, s)))
        both = goal is not None
        spread = Spread.start(pilot, s, problem.horizon, both=both) if "spread" in s.parts else None
        return Norm.start(pilot, s, problem, both=both), spread

    def _others(self, pilot: Pilot, x: Tensor, main: int) -> list[Quantity]:
        s = self.statement
        found: list[Quantity] = []
        if "moments" in s.parts:
            found.append(Higher.start(pilot, s, main))
        if "features" in s.parts:
            functionals = self.functionals
            count = s.dimension + (0 if functionals is None else len(functionals))
            share, every = s.entry_share(count), np.full(s.dimension, s.entry_bound)
            drawn = (np.zeros_like(every) if s.nonnegative else -every, every)
            found.append(EntryBounds.start("feature", pilot, main, share, drawn, tuple(x.shape)))
            if functionals is not None:
                sizes = functional_bounds(functionals, s)
                shape = (len(functionals),)
                drawn = (-sizes, sizes)
                found.append(EntryBounds.start("functional", pilot, main, share, drawn, shape, functionals))
        if "label" in s.parts:
            found.append(Label.start(pilot, s))
        return found

    def _checkpoints(self, units: int) -> Iterator[int]:
        """Draw counts at which to look; fixed, so that stopping does not depend on the batch size."""
        stop = _FIRST_CHECK
        while self.goal is not None and stop < units:
            yield stop
            stop = math.ceil(stop * _CHECK_GROWTH)
        yield units

    def _outcome(self, norm: Norm, spread: Spread | None, *, last: bool) -> str:
        goal = self.goal
        if goal is None:
            return ""
        reach = math.inf if spread is None else spread.reach
        # The spread's upper bound takes an eigenvalue: it is asked for only if a guess would do.
        likely = goal.reached(norm.lower, math.inf if spread is None else spread.seen, reach)
        if likely and (spread is None or goal.reached(norm.lower, spread.upper, reach)):
            return "proven"
        if not goal.reached(norm.upper, math.inf if spread is None else spread.lower, reach):
            return "refuted"  # not even the pilot direction's true mean, and the true spread, would prove it
        return "open" if last else ""


def functional_bounds(functionals: Float[Tensor, "r d"], statement: Statement) -> npt.NDArray[np.float64]:
    """|v.g| is at most ||v||_2 M, and at most ||v||_1 times the bound of an entry; rounded up."""
    two, one = (functionals.norm(p=p, dim=1).cpu().numpy() for p in (2, 1))
    return np.asarray(np.minimum(two * statement.bound, one * statement.entry_bound) * (1 + 1e-12))


def evidence(statement: Statement, rows: Sequence[Row], functionals: Float[Tensor, "r d"] | None) -> Evidence:
    """Put the rows together."""
    fields: dict[str, Any] = {name: np.stack([np.asarray(row[name]) for row in rows]) for name in rows[0]}
    fields["outcome"] = tuple(row["outcome"] for row in rows)
    if functionals is not None and "functional_low" in fields:
        fields["functional_bound"] = functional_bounds(functionals, statement)
    return Evidence(statement=statement, **fields)
