"""Up to which eps the smoothed classifier keeps its class (Cohen, Rosenfeld and Kolter 2019; docs/theory.md 4)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

from attricert.certificates.statement import Statement
from attricert.confidence import least_for_majority
from attricert.noise import Gaussian

__all__ = ["radius"]

Array = npt.NDArray[np.float64]

_MARGIN = 1e-12  # for the rounding of quantiles


def radius(statement: Statement, mass: Array) -> Array:
    """The l2 size below which the class of probability >= mass stays the majority; 0 if it is none.

    Gaussian: sigma (Phi^-1(pA) - Phi^-1(need)); ball: the shift that loses pA - need. For the population need = 1/2;
    for two observed majority votes it is what makes a vote fail with probability at most its part of alpha.
    """
    s = statement
    # A third each for pA and for either vote.
    need = least_for_majority(s.observed_draws, s.share("label") / 3) if s.observed else 0.5
    if isinstance(s.noise, Gaussian):
        size = s.noise.sigma * (special.ndtri(mass) - special.ndtri(need) - _MARGIN)
    else:
        size = s.noise.shift_of(np.maximum(mass - need, 0.0), s.dimension)
    return np.where(mass > need, np.maximum(size, 0.0) * (1 - _MARGIN), 0.0)
