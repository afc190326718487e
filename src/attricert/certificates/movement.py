"""What sampling has shown about one input's map, and how far it lets the map move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from attricert.certificates import displacement
from attricert.certificates.statement import Statement
from attricert.noise import Gaussian

__all__ = ["Facts", "displacements"]

Array = npt.NDArray[np.float64]

# Relative; far above the rounding errors of the formulas, far below any digit shown.
_MARGIN = 1e-13


@final
@dataclass(frozen=True)
class Facts:
    """Bounds that hold together with probability >= 1 - alpha: arrays of rank >= 1 that broadcast, one entry an input.

    Args:
        norm: c, lower bound on ||h||.
        spread: lambda, upper bound on the largest eigenvalue of E (g-m)(g-m)^T; inf where nothing is known.
        reach: B, upper bound on every ||g - m||; inf where nothing is known.
        moments: for each even order above 2, an upper bound on sup_v (E (v.(g-m))^order)^(1/order) within the radius.
        tail: upper bound on the probability of a draw beyond the radius.
    """

    norm: Array
    spread: Array
    reach: Array
    moments: tuple[Array, ...] = ()
    tail: Array | None = None

    @classmethod
    def of_norm(cls, norm: Array) -> Facts:
        """A norm, and nothing else."""
        unknown = np.full(norm.shape, np.inf)
        return cls(norm, unknown, unknown)


def displacements(statement: Statement, facts: Facts, eps: Array, *, nonnegative: bool) -> dict[str, Array]:
    """Every bound D(eps) that the facts allow, rounded up, by name (theory 3)."""
    s = statement
    mass = s.noise.lost_mass(eps, s.dimension)
    bounds = {"total variation": displacement.total_variation(mass, s.bound, nonnegative=nonnegative)}
    if isinstance(s.noise, Gaussian) and np.isfinite(facts.spread).any():
        e = eps / s.noise.sigma
        bounds["variance"] = displacement.variance(s.noise.chi(eps), facts.spread)
        bounds["hybrid"] = displacement.hybrid(e, facts.spread, facts.reach)
        if facts.tail is not None:
            for order, size in zip(s.moments, facts.moments, strict=True):
                bounds[f"moment {order}"] = displacement.higher_moment(e, order, size, facts.reach, facts.tail)
    return {name: (1 + _MARGIN) * bound for name, bound in bounds.items()}
