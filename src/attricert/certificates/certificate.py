"""Guarantees as functions of eps and T."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from attricert import checks
from attricert.certificates.evidence import Evidence
from attricert.certificates.geometry import Geometry
from attricert.certificates.printed import warn_once
from attricert.certificates.statement import Statement

__all__ = ["Certificate"]

Array = npt.NDArray[np.float64]


@final
@dataclass(frozen=True)
class Certificate:
    """What holds for a batch of inputs with probability at least 1 - alpha each, computed from evidence alone.

    Every method takes a number, giving shape (batch,), or a list of k numbers, giving shape (batch, k); all of them
    hold at once, as they follow from the same event.

    Args:
        evidence: what sampling has shown.
        method: ``"sound"``, or ``"printed"`` for the paper's Theorem 1, which is not a bound (docs/errata.md).
    """

    evidence: Evidence
    method: str = "sound"

    def __post_init__(self) -> None:
        _ = self._geometry  # checks the method
        if self.method == "printed":
            warn_once()

    def __len__(self) -> int:
        return len(self.evidence)

    @property
    def statement(self) -> Statement:
        """The terms of the claim: noise, bound, alpha, guarantee, confidence bound, seed, version."""
        return self.evidence.statement

    @property
    def maps(self) -> Array:
        """Smoothed attributions estimated from the draws, shape (batch, ...)."""
        return self.evidence.maps

    @property
    def norm(self) -> Array:
        """Lower confidence bound on ||h||, shape (batch,)."""
        return self.evidence.norm

    def cosine(self, eps: npt.ArrayLike) -> Array:
        """Lower bound on cos(h(x + delta), h(x)) for every ||delta||_2 <= eps (theory 4, 6).

        -1.0 where nothing can be said (0.0 for attributions that are never negative), see `abstains`.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        values = checks.nonnegative_values("eps", eps)
        return _shaped(self._geometry.cosine(values.reshape(1, -1), self._norms), values)

    def max_eps(self, cosine: npt.ArrayLike) -> Array:
        """The largest certified eps at which the cosine stays at or above ``cosine``; 0.0 if none.

        Args:
            cosine: threshold T, > 0 and < 1.
        """
        values = checks.open_fractions("cosine", cosine)
        return _shaped(self._geometry.max_eps(values.reshape(1, -1), self._norms), values)

    def fixed_norm_scale(self, eps: float, cosine: npt.ArrayLike) -> Array:
        """The radius (or sigma) of the paper's eq. 9: what would prove the claim if ||h|| stayed as it is here.

        Not certified, as h changes with the radius: `SmoothedAttribution.min_radius` searches for a certified one.

        Args:
            eps: l2 size of the perturbation, > 0, in input units.
            cosine: threshold T.
        """
        values = checks.open_fractions("cosine", cosine)
        scale = self._geometry.fixed_norm_scale(checks.positive("eps", eps), values.reshape(1, -1), self._norms)
        return _shaped(scale, values)

    def abstains(self, eps: npt.ArrayLike) -> npt.NDArray[np.object_]:
        """Why nothing can be said at eps: a text for each input, empty (false) where `cosine` says something.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        values = checks.nonnegative_values("eps", eps)
        grid = values.reshape(1, -1)
        trivial = self._geometry.cosine(grid, self._norms) <= self._geometry.trivial
        reasons = np.full(trivial.shape, "", dtype=object)
        for i, j in zip(*np.nonzero(trivial), strict=True):
            reasons[i, j] = self._reason(int(i), float(grid[0, j]))
        result: npt.NDArray[np.object_] = reasons[:, 0] if values.ndim == 0 else reasons
        return result

    def save(self, path: str | Path) -> None:
        """Write the evidence to one safetensors file."""
        self.evidence.save(path)

    @classmethod
    def load(cls, path: str | Path, method: str = "sound") -> Certificate:
        """Read what `save` wrote; no model is needed."""
        return cls(Evidence.load(path), method)

    @property
    def _geometry(self) -> Geometry:
        return Geometry(self.statement, self.method)

    @property
    def _norms(self) -> Array:
        return self.evidence.norm[:, None]

    def _reason(self, i: int, eps: float) -> str:
        e, norm = self.evidence, float(self.evidence.norm[i])
        if e.zeros[i] + e.nonfinite[i] == e.n_samples[i]:
            return f"all {e.n_samples[i]} sampled attributions are zero or not finite"
        if norm <= 0:
            return f"the smoothed attribution cannot be told from zero with {e.n_samples[i]} samples"
        moved = float(self._geometry.displacement(np.array([eps]))[0])
        if moved >= norm:
            return f"eps={eps:g} may move the map by {moved:.3g}, its norm is at least {norm:.3g}"
        return f"the averages of {self.statement.observed_draws} draws are too far from their expectations"


def _shaped(result: Array, values: Array) -> Array:
    return result[:, 0] if values.ndim == 0 else result
