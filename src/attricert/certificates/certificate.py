"""Guarantees as functions of eps and T."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from attricert import checks
from attricert.certificates.cosine import NOTHING
from attricert.certificates.evidence import Evidence
from attricert.certificates.features import Entries
from attricert.certificates.geometry import Geometry
from attricert.certificates.label import radius
from attricert.certificates.printed import warn_once
from attricert.certificates.ranking import Ranking
from attricert.certificates.statement import Statement
from attricert.errors import ArgumentError

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

    def __getitem__(self, rows: slice) -> Certificate:
        """The certificates of some of the inputs."""
        return Certificate(self.evidence[rows], self.method)

    @property
    def statement(self) -> Statement:
        """The terms of the claim: noise, bound, alpha, guarantee, confidence bound, seed, version."""
        return self.evidence.statement

    @property
    def maps(self) -> Array:
        """Smoothed attributions estimated from the draws, shape (batch, ...)."""
        if self.evidence.maps is None:
            raise ArgumentError("maps", "drop", "they were not kept; use maps='keep' in the run for this")
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
        return _shaped(self._geometry.cosine(values.reshape(1, -1)), values)

    def max_eps(self, cosine: npt.ArrayLike) -> Array:
        """The largest certified eps at which the cosine stays at or above ``cosine``; 0.0 if none.

        Args:
            cosine: threshold T, > 0 and < 1.
        """
        values = checks.open_fractions("cosine", cosine)
        return _shaped(self._geometry.max_eps(values.reshape(1, -1)), values)

    def fixed_norm_scale(self, eps: float, cosine: npt.ArrayLike) -> Array:
        """The radius (or sigma) that would prove the population claim if norm and spread stayed as they are (eq. 9).

        Not certified, as they change with the radius: `SmoothedAttribution.min_radius` searches for a certified one.

        Args:
            eps: l2 size of the perturbation, > 0, in input units.
            cosine: threshold T.
        """
        values = checks.open_fractions("cosine", cosine)
        statement = dataclasses.replace(self.statement, guarantee="population")
        geometry = Geometry(statement, self.method, self._geometry.facts)
        # Every displacement bound depends on eps / scale only.
        with np.errstate(divide="ignore"):
            ratio = checks.positive("eps", eps) / geometry.max_eps(values.reshape(1, -1))
        return _shaped(self.statement.noise.scale * ratio, values)

    def binding(self, eps: npt.ArrayLike) -> npt.NDArray[Any]:
        """Which bound on the displacement is the smallest at eps, e.g. ``"hybrid"`` (theory 3).

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        values = checks.nonnegative_values("eps", eps)
        names = np.broadcast_to(self._geometry.binding(values.reshape(1, -1)), (len(self), values.size))
        return names[:, 0] if values.ndim == 0 else names

    def intervals(self, eps: npt.ArrayLike) -> tuple[Array, Array]:
        """A lower and an upper map: where each entry of the smoothed map lies at every ||delta||_2 <= eps (theory 3d).

        All entries hold at once, at x too. Shapes (batch, ...).

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        low, high = self._features.within(_number(eps))
        return low.reshape(self.maps.shape), high.reshape(self.maps.shape)

    def signs(self, eps: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The sign that each entry keeps at every ||delta||_2 <= eps: 1, -1, or 0 where it is not certain.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        low, high = self.intervals(eps)
        return (low > 0).astype(np.int64) - (high < 0)

    def functionals(self, eps: npt.ArrayLike) -> tuple[Array, Array]:
        """As `intervals`, for the functionals given to ``certify``; shapes (batch, functionals).

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        e = self.evidence
        if e.functional_low is None or e.functional_high is None or e.functional_spread is None:
            raise ArgumentError("functionals", None, "must be given to certify() for this")
        entries = self._entries(e.functional_low, e.functional_high, e.functional_spread, e.functional_bound, False)
        return entries.within(_number(eps))

    def top_k(self, k: int, eps: npt.ArrayLike, *, absolute: bool = False) -> Array:
        """Certified overlap: the share of the k largest entries at x that are among the k largest at x + delta.

        A lower bound for every ||delta||_2 <= eps and however ties are broken (theory 4), in [0, 1].

        Args:
            k: how many, at most the number of features.
            eps: l2 size of the perturbation, >= 0, in input units.
            absolute: rank by absolute value.
        """
        self._check_k(k)
        return self._ranked(eps, absolute, lambda ranking: ranking.overlap(k) / k)

    def top_k_stays(self, k: int, eps: npt.ArrayLike, *, absolute: bool = False) -> npt.NDArray[np.bool_]:
        """Which features are certain to be among the k largest at x and at x + delta, shape (batch, ...).

        Args:
            k: how many, at most the number of features.
            eps: l2 size of the perturbation, >= 0, in input units.
            absolute: rank by absolute value.
        """
        self._check_k(k)
        stays = [ranking.stays(k) for ranking in self._rankings(_number(eps), absolute)]
        return np.stack(stays).reshape(self.maps.shape)

    def kendall(self, eps: npt.ArrayLike, *, absolute: bool = False) -> Array:
        """Lower bound on Kendall's tau-a between the maps at x and at x + delta, for every ||delta||_2 <= eps.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
            absolute: rank by absolute value.
        """
        return self._ranked(eps, absolute, lambda ranking: ranking.kendall())

    @property
    def label(self) -> npt.NDArray[np.int64]:
        """The smoothed classifier's class, shape (batch,); what `label_eps` speaks of."""
        return self._label_evidence[0]

    def label_eps(self) -> Array:
        """The l2 size below which the smoothed classifier keeps its class; 0.0 if it may not (theory 4)."""
        return radius(self.statement, self._label_evidence[1])

    def joint(self, eps: npt.ArrayLike) -> Array:
        """The certified cosine where the prediction is certain to stay as well; -1.0 where it is not.

        Prediction and explanation hold together with probability at least 1 - alpha.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        values = checks.nonnegative_values("eps", eps)
        grid = values.reshape(1, -1)
        keeps = grid < self.label_eps()[:, None]
        return _shaped(np.where(keeps, self._geometry.cosine(grid), NOTHING), values)

    def abstains(self, eps: npt.ArrayLike) -> npt.NDArray[np.object_]:
        """Why nothing can be said at eps: a text for each input, empty (false) where `cosine` says something.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        values = checks.nonnegative_values("eps", eps)
        grid = values.reshape(1, -1)
        trivial = self._geometry.cosine(grid) <= self._geometry.trivial
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
        return Geometry(self.statement, self.method, self.evidence.facts())

    @property
    def _features(self) -> Entries:
        e = self.evidence
        if e.feature_low is None or e.feature_high is None or e.feature_spread is None:
            rule = "must be True in certify() for this, with a sound confidence bound (in a run: with maps kept)"
            raise ArgumentError("features", False, rule)
        low, high, spread = (a.reshape(len(self), -1) for a in (e.feature_low, e.feature_high, e.feature_spread))
        return self._entries(low, high, spread, np.array([self.statement.entry_bound]), self.statement.nonnegative)

    def _entries(self, low: Array, high: Array, spread: Array, bound: Array | None, nonnegative: bool) -> Entries:
        if self.method == "printed":
            raise ArgumentError("method", self.method, "the paper has no such bound; use 'sound'")
        if bound is None:
            raise AttributeError("functional_bound is missing from the evidence")
        s, e = self.statement, self.evidence
        count = s.dimension + (0 if e.functional_bound is None else len(e.functional_bound))
        alpha = s.entry_share(count)
        return Entries(self._geometry, low, high, spread, bound, alpha, nonnegative)

    def _rankings(self, eps: float, absolute: bool) -> Iterator[Ranking]:
        """One an input."""
        (low, high), (least, most) = self._features.at_x(), self._features.within(eps)
        geometry, size = self._geometry, np.array([eps])
        moved = geometry.displacement(size)
        if self.statement.observed:
            moved = moved + geometry.distance_here() + geometry.distance_there(size)
        moved = np.broadcast_to(moved, (len(self), 1))
        for i in range(len(self)):
            ranking = Ranking(low[i], high[i], least[i], most[i], float(moved[i, 0]))
            yield ranking.absolute() if absolute else ranking

    def _ranked(self, eps: npt.ArrayLike, absolute: bool, number: Callable[[Ranking], float]) -> Array:
        values = checks.nonnegative_values("eps", eps)
        columns = [[number(ranking) for ranking in self._rankings(float(e), absolute)] for e in values.reshape(-1)]
        return _shaped(np.array(columns, dtype=np.float64).reshape(-1, len(self)).T, values)

    def _check_k(self, k: int) -> None:
        if checks.count("k", k, 1) > self.statement.dimension:
            raise ArgumentError("k", k, f"must be at most the number of features, {self.statement.dimension}")

    @property
    def _label_evidence(self) -> tuple[npt.NDArray[np.int64], Array]:
        e = self.evidence
        if e.label is None or e.label_mass is None:
            raise ArgumentError("classifier", None, "is needed in SmoothedAttribution for this, and label=True")
        return e.label, e.label_mass

    def _reason(self, i: int, eps: float) -> str:
        e, norm = self.evidence, float(self.evidence.norm[i])
        if e.zeros[i] + e.nonfinite[i] == e.n_samples[i]:
            return f"all {e.n_samples[i]} sampled attributions are zero or not finite"
        if norm <= 0:
            return f"the smoothed attribution cannot be told from zero with {e.n_samples[i]} samples"
        moved = float(np.broadcast_to(self._geometry.displacement(np.array([eps])), (len(self), 1))[i, 0])
        if moved >= norm:
            return f"eps={eps:g} may move the map by {moved:.3g}, its norm is at least {norm:.3g}"
        return f"the averages of {self.statement.observed_draws} draws are too far from their expectations"


def _shaped(result: Array, values: Array) -> Array:
    return result[:, 0] if values.ndim == 0 else result


def _number(eps: npt.ArrayLike) -> float:
    value = checks.nonnegative_values("eps", eps)
    if value.ndim:
        raise ArgumentError("eps", eps, "must be one number here")
    return float(value)
