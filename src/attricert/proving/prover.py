"""From draws to evidence, one input at a time: a pilot tells where to look, the main stream proves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attricert.certificates import Evidence, Terms
from attricert.certificates.pieces import Explained, Maps, Norm, Piece, Sampling
from attricert.confidence import CONFIDENCE_BOUNDS, norm_interval
from attricert.moments import no_moments
from attricert.progress import ProgressCallback
from attricert.proving.goal import Goal
from attricert.proving.norm import NormProof, norm_problem
from attricert.proving.pilot import Pilot, Source, explore
from attricert.proving.proof import PROOFS, Beginning, Proof
from attricert.proving.spread import SpreadProof, max_deviation
from attricert.sampling import Centered, Sampler

__all__ = ["PILOT_SHARE", "Proven", "Prover", "class_of", "confidences", "evidence"]


def confidences() -> list[str]:
    """Words for bounds on the norm: the registered ones, and the paper's."""
    return [*CONFIDENCE_BOUNDS, "asymptotic"]


@final
@dataclass(frozen=True)
class Proven:
    """One input's evidence: an outcome, and pieces by name whose arrays have no axis of inputs."""

    outcome: str
    pieces: Mapping[str, Piece]


PILOT_SHARE = 10  # one draw in so many chooses the direction; the loss is about trace(Cov) / (2 n0 c)
_SMALL_PILOT = 200  # draws at the most where sampling may stop early: a tenth of all would be most of what that takes
_FIRST_CHECK, _CHECK_GROWTH = 128, 1.1  # draws before stopping early is considered, and then between checks


@final
@dataclass(frozen=True)
class _Tally:
    """What the main stream has seen."""

    center: Tensor
    total: Tensor
    calls: int = 0
    zeros: int = 0
    nonfinite: int = 0

    @classmethod
    def about(cls, center: Tensor) -> _Tally:
        return cls(center, torch.zeros_like(center))

    def add(self, draws: Centered) -> _Tally:
        return replace(
            self,
            total=self.total + draws.total,
            calls=self.calls + draws.calls,
            zeros=self.zeros + int((draws.norms == 0).sum()),
            nonfinite=self.nonfinite + int(np.isinf(draws.norms).sum()),
        )

    @property
    def mean(self) -> Tensor:
        return self.center + self.total / self.calls

    def pieces(self, source: Source, pilot: int) -> dict[str, Piece]:
        counts = (np.array(count) for count in (self.calls, pilot, self.zeros, self.nonfinite))
        return {
            "sampling": Sampling(*counts),
            "maps": Maps(self.mean.reshape(source.shape).cpu().numpy()),
            "explained": Explained(np.array(class_of(source.target))),
        }


@final
@dataclass(frozen=True)
class Prover:
    """Proves what the ledger of the terms names, for one input after another.

    Args:
        sampler: where draws come from.
        terms: the terms.
        n_samples: attributions to compute in all, pilot included.
        shape: of one map.
        goal: a claim that ends sampling early, or None.
        functionals: vectors v whose v.h is bounded too, or None.
        on_draws: told, as draws come in, how many attributions were computed, and a function that gives the evidence of
            norm and spread that they would make; or None.
    """

    sampler: Sampler
    terms: Terms
    n_samples: int
    shape: tuple[int, ...]
    goal: Goal | None = None
    functionals: Float[Tensor, "r m"] | None = None
    on_draws: Callable[[int, Callable[[], Evidence]], None] | None = None

    def prove(self, x: Float[Tensor, "*features"], target: Tensor | None, key: str, tick: ProgressCallback) -> Proven:
        """Sample and prove.

        Args:
            x: one input.
            target: its target class, a scalar tensor, or None.
            key: names its draws.
            tick: told of progress.
        """
        source = Source(self.sampler, x, target, self.shape, self.terms.seed, key, tick)
        units = self.n_samples // self.sampler.calls_per_draw
        if self.terms.confidence == "asymptotic":
            return self._asymptotic(source, units)
        return self._finite(source, units)

    def _asymptotic(self, source: Source, units: int) -> Proven:
        m, share = no_moments(source.blank, variances=True), self.terms.share("norm")
        origin = m.mean
        tally = _Tally.about(origin)
        for draws in source.draws("main", 0, units):
            tally, m = tally.add(Centered.of(draws, origin, origin[None][:0])), m.update(draws.values)
        norm, _ = norm_interval(m.mean.cpu().numpy(), m.variance.cpu().numpy(), m.count, share)
        lower = Norm(np.array(min(norm, self.terms.max_norm)))
        return Proven("", {**tally.pieces(source, 0), "norm": lower})

    def _finite(self, source: Source, units: int) -> Proven:
        few = units // PILOT_SHARE if self.goal is None else min(units // PILOT_SHARE, _SMALL_PILOT)
        main, pilot = units - few, explore(source, few)
        norm, spread = self._core(pilot, main)
        others = self._others(pilot, main)
        tally, outcome, done = _Tally.about(pilot.center), "", 0
        directions = pilot.direction[None] if spread is None else spread.directions(pilot.direction)
        for stop in self._checkpoints(main):
            for draws in source.about(pilot.center, directions, "main", done, stop):
                tally = tally.add(draws)
                norm = norm.update(draws)
                spread = None if spread is None else spread.update(draws)
                others = [proof.update(draws) for proof in others]
                self._show(tally, norm, spread, source)
            done = stop
            outcome = self._outcome(norm, spread, last=stop == main)
            if outcome in ("proven", "refuted"):
                break
        found = tally.pieces(source, pilot.draws * self.sampler.calls_per_draw)
        return Proven(outcome, _all_pieces(found, [norm, *([] if spread is None else [spread]), *others]))

    def _show(self, tally: _Tally, norm: NormProof, spread: SpreadProof | None, source: Source) -> None:
        if self.on_draws is None:
            return

        def so_far() -> Evidence:
            found = _all_pieces(tally.pieces(source, 0), [norm, *([] if spread is None else [spread])])
            return evidence(self.terms, [Proven("", found)])

        self.on_draws(tally.calls, so_far)

    def _core(self, pilot: Pilot, main: int) -> tuple[NormProof, SpreadProof | None]:
        """What the cosine needs, tuned to the draws that the goal is expected to take."""
        t, goal, problem = self.terms, self.goal, norm_problem(pilot, self.terms, main)
        if goal is not None:
            guess = SpreadProof.guess(pilot) if "top_variance" in t.ledger else None
            problem = problem.at_horizon(goal.horizon(problem, guess, max_deviation(pilot, t)))
        both = goal is not None
        wanted = "top_variance" in t.ledger
        spread = SpreadProof.start(pilot, t, problem.horizon, both=both) if wanted else None
        return NormProof.start(pilot, t, problem, both=both), spread

    def _others(self, pilot: Pilot, main: int) -> list[Proof]:
        at = Beginning(pilot, self.terms, main, self.shape, self.functionals, self.goal is not None)
        return [proof for share, begin in PROOFS.items() if share in self.terms.ledger for proof in begin(at)]

    def _checkpoints(self, units: int) -> Iterator[int]:
        """Draw counts at which to look; fixed, so that stopping does not depend on the batch size."""
        stop = _FIRST_CHECK
        while self.goal is not None and stop < units:
            yield stop
            stop = math.ceil(stop * _CHECK_GROWTH)
        yield units

    def _outcome(self, norm: NormProof, spread: SpreadProof | None, *, last: bool) -> str:
        goal = self.goal
        if goal is None:
            return ""
        if spread is None:
            guess = upper = lower = None
            farthest = math.inf
        else:
            guess, upper, lower, farthest = spread.seen, None, spread.lower, spread.farthest
        # The spread's upper bound takes an eigenvalue: it is asked for only if a guess would do.
        if goal.reached(norm.lower, guess, farthest):
            upper = None if spread is None else spread.upper
            if spread is None or goal.reached(norm.lower, upper, farthest):
                return "proven"
        if not goal.reached(norm.upper, lower, farthest):
            return "refuted"  # not even the pilot direction's true mean, and the true spread, would prove it
        return "open" if last else ""


def class_of(target: Tensor | None) -> int:
    """The class that a target names, first of its indices if it has several; -1 if there is none."""
    return -1 if target is None else int(target.reshape(-1)[0])


def _all_pieces(found: dict[str, Piece], proofs: Sequence[Proof]) -> dict[str, Piece]:
    for proof in proofs:
        found = {**found, **proof.pieces()}
    return found


def evidence(terms: Terms, rows: Sequence[Proven]) -> Evidence:
    """Put the inputs together."""
    pieces: dict[str, Any] = {
        name: type(piece).stack([row.pieces[name] for row in rows]) for name, piece in rows[0].pieces.items()
    }
    return Evidence(terms=terms, outcome=tuple(row.outcome for row in rows), **pieces)
