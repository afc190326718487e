"""Up to which eps the smoothed classifier keeps its class (Cohen, Rosenfeld and Kolter 2019; docs/theory.md 4)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from attricert.certificates import solve
from attricert.certificates.displacement import scalar_ratio
from attricert.certificates.facts import Facts
from attricert.certificates.program import largest_mean
from attricert.certificates.terms import Terms
from attricert.confidence import least_for_majority

__all__ = ["radius"]

Array = npt.NDArray[np.float64]

_MARGIN = 1e-11  # relative; for the quantiles that the program starts from
_SCALES = 64.0


def radius(terms: Terms, p_lower: Array, share: str = "prediction") -> Array:
    """The l2 size below which the class of probability >= p_lower stays the majority, shape (n,); 0 if it is none.

    The scalar is minus the indicator of the class. For the population its mean must stay below -1/2; for two observed
    majority votes below what makes a vote fail with probability at most its part of alpha, a third of that share.
    """
    # A third each for p_lower and for either vote.
    observed = terms.observed is not None
    need = least_for_majority(terms.observed_draws, terms.share(share) / 3) + terms.slip if observed else 0.5
    shape = (len(p_lower), 1)
    facts = Facts.of_range(-p_lower, np.full(len(p_lower), -1.0), np.zeros(len(p_lower))).flat(shape)

    def margin(eps: Array, rows: npt.NDArray[np.int64]) -> Array:
        return largest_mean(facts.take(rows), scalar_ratio(terms, eps)).value + need

    size = solve.largest(margin, np.full(shape, _SCALES * terms.noise.scale))[:, 0]
    return np.where(p_lower > need, size * (1 - _MARGIN), 0.0)
