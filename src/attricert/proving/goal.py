"""A claim at which sampling may stop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from attricert.certificates import Certificate, Claim, Evidence, Terms
from attricert.certificates.cosine import norm_needed
from attricert.certificates.pieces import Norm, Sampling, TopVariance
from attricert.confidence import CONFIDENCE_BOUNDS, Problem
from attricert.errors import ArgumentError

__all__ = ["Goal"]

_CAUTION = 2.0  # bets are tuned to this many times the draws that the pilot expects to suffice
_FEWEST = 256


@final
@dataclass(frozen=True)
class Goal:
    """A claim that is to be decided, from bounds that hold at all draw counts at once.

    Args:
        terms: the terms.
        claim: certified cosine >= T at eps.
    """

    terms: Terms
    claim: Claim

    def __post_init__(self) -> None:
        name = self.terms.confidence
        if not (name in CONFIDENCE_BOUNDS and CONFIDENCE_BOUNDS[name].anytime):
            good = " or ".join(repr(n) for n in CONFIDENCE_BOUNDS if CONFIDENCE_BOUNDS[n].anytime)
            raise ArgumentError("confidence", name, f"stop_at needs a bound that is valid at any time: {good}")

    def reached(self, norm: float, top_variance: float | None, farthest: float) -> bool:
        """Whether these bounds prove the claim; None where the spread is not known."""
        certificate = Certificate(self._evidence(norm, top_variance, farthest))
        return bool(certificate.cosine(self.claim.eps)[0] >= self.claim.cosine)

    def horizon(self, guess: Problem, top_variance: float | None, farthest: float) -> int:
        """About how many draws will decide, if the norm is what takes longest."""
        evidence = self._evidence(self.terms.max_norm, top_variance, farthest)
        needed = norm_needed(evidence, self.claim.eps, self.claim.cosine)
        gap = guess.mean - needed
        draws = _CAUTION * 2 * guess.variance * math.log(1 / guess.alpha) / max(gap**2, 1e-300)
        return int(min(max(draws, _FEWEST), guess.horizon))

    def _evidence(self, norm: float, top_variance: float | None, farthest: float) -> Evidence:
        one, none = np.ones(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
        spread = None if top_variance is None else TopVariance(np.array([top_variance]), np.array([farthest]))
        bounded = Norm(np.array([min(max(norm, 0.0), self.terms.max_norm)]))
        return Evidence(self.terms, Sampling(one, none, none, none), bounded, ("",), None, spread)
