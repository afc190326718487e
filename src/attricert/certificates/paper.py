"""The paper's formulas as printed (its eq. 6 and 8-10), to reproduce its figures. NOT lower bounds.

Theorem 1 solves c cos(theta) + a = 0 as if it read cos(theta) = 0; crescents violate it (docs/errata.md, 1).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import final

import numpy as np
import numpy.typing as npt

from attricert import checks
from attricert.certificates.evidence import Evidence
from attricert.errors import ArgumentError, NotABoundWarning
from attricert.showing import shown_by

__all__ = ["PaperCertificate"]

Array = npt.NDArray[np.float64]


@final
@dataclass(frozen=True)
class PaperCertificate:
    """What the paper's Theorem 1 claims, for uniform noise and the population; warns once a process.

    Methods take a number, giving shape (batch,), or a list of k numbers, giving shape (batch, k).

    Args:
        evidence: what sampling has shown; of it the norm alone is used.
    """

    evidence: Evidence

    def __post_init__(self) -> None:
        terms = self.evidence.terms
        if terms.noise.dominated:
            raise ArgumentError("noise", terms.noise, "the paper's theorem is for UniformBall noise")
        if terms.observed is not None:
            raise ArgumentError("guarantee", "observed", "the paper's theorem is about the population")
        _warn_once()

    __repr__ = shown_by("attricert.report.brief:certificate")
    _repr_html_ = shown_by("attricert.report.notebook:certificate")

    def __len__(self) -> int:
        return len(self.evidence)

    def cosine(self, eps: npt.ArrayLike) -> Array:
        """Eq. 6: c / sqrt(c^2 + D^2), D = 2 M p(eps).

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        values = checks.nonnegative_values("eps", eps)
        t, norm = self.evidence.terms, self.evidence.norm.lower[:, None]
        moved = 2 * t.max_norm * t.noise.lost_mass(values.reshape(1, -1), t.dimension)
        size = np.hypot(norm, moved)
        return _shaped(np.divide(norm, size, out=np.zeros(size.shape), where=size > 0), values)

    def max_eps(self, cosine: npt.ArrayLike) -> Array:
        """Eq. 8 and 10, with the square root that the latter lacks.

        Args:
            cosine: threshold T, > 0 and < 1.
        """
        values = checks.open_fractions("cosine", cosine)
        t, threshold = self.evidence.terms, values.reshape(1, -1)
        allowed = self.evidence.norm.lower[:, None] * np.sqrt((1 - threshold) * (1 + threshold)) / threshold
        mass = np.minimum(allowed / (2 * t.max_norm), 1.0)
        return _shaped(t.noise.shift_of(mass, t.dimension), values)

    def fixed_norm_scale(self, eps: float, cosine: npt.ArrayLike) -> Array:
        """Eq. 9: the radius that would prove the claim if the norm stayed as it is.

        Args:
            eps: l2 size of the perturbation, > 0, in input units.
            cosine: threshold T.
        """
        with np.errstate(divide="ignore"):
            return np.asarray(self.evidence.terms.noise.scale * checks.positive("eps", eps) / self.max_eps(cosine))


def _shaped(result: Array, values: Array) -> Array:
    return np.asarray(result[:, 0] if values.ndim == 0 else result)


@cache
def _warn_once() -> None:
    """Say, once a process, that this is no certificate."""
    warnings.warn(
        "PaperCertificate is the paper's Theorem 1 as printed; it is not a lower bound (docs/errata.md). "
        "Use Certificate for one.",
        NotABoundWarning,
        stacklevel=4,
    )
