"""Guarantees as functions of eps and T."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
import numpy.typing as npt

from attricert import checks
from attricert.certificates import cosine as cosines
from attricert.certificates.displacement import displacement
from attricert.certificates.evidence import Evidence, Rows
from attricert.certificates.intervals import Intervals
from attricert.certificates.ledger import Ledger
from attricert.certificates.meaning import Meaning
from attricert.certificates.pieces import EntryBounds, FunctionalBounds, Prediction
from attricert.certificates.population import Share, share_of
from attricert.certificates.prediction import radius
from attricert.certificates.ranking import Ranking
from attricert.certificates.solve import largest
from attricert.certificates.terms import Terms
from attricert.errors import ArgumentError
from attricert.showing import Page, shown_by

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame
else:  # what only the methods that show need
    DataFrame = Figure = Any

__all__ = ["Certificate", "Interval"]

Array = npt.NDArray[np.float64]

_ALL_LOST, _NEAR = 1 - 1e-9, 1e-6  # the mass that is lost where no entry is told from another; a relative resolution
_SILENT = 0.01  # a cosine that is as good as none
_FAR = 3.0  # times the largest certified eps: tails shrink so slowly that a billion draws do not get there

_USUAL = np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")  # whatever the caller has set


class Interval(NamedTuple):
    """Lower and upper bounds, of one shape."""

    low: Array
    high: Array


@final
@dataclass(frozen=True, eq=False)
class Certificate:
    """What holds for a batch of inputs with probability at least 1 - alpha each, computed from evidence alone.

    Every method takes a number, giving shape (batch, ...), or a list of k numbers, giving shape (batch, k, ...); all of
    them hold at once, as they follow from the same event. ``certificate[i]``, ``certificate[i:j]``,
    ``certificate[mask]`` and ``certificate[[i, j]]`` are those of some of the inputs.

    Args:
        evidence: what sampling has shown.
    """

    evidence: Evidence

    def __post_init__(self) -> None:
        if not isinstance(self.evidence, Evidence):
            raise ArgumentError("evidence", self.evidence, "must be an Evidence; Certificate.load reads a file")

    __repr__ = shown_by("attricert.report.brief:certificate")
    _repr_html_ = shown_by("attricert.report.notebook:certificate")

    def __len__(self) -> int:
        return len(self.evidence)

    def __getitem__(self, rows: Rows) -> Certificate:
        """The certificates of one or some of the inputs; one input stays a batch of one."""
        return Certificate(self.evidence[rows])

    def __iter__(self) -> Iterator[Certificate]:
        return (self[i] for i in range(len(self)))

    @property
    def terms(self) -> Terms:
        """The terms of the claim: noise, bound, alpha and its shares, guarantee, confidence bound, seed, version."""
        return self.evidence.terms

    @property
    def maps(self) -> Array:
        """Smoothed attributions estimated from the draws, shape (batch, ...)."""
        if self.evidence.maps is None:
            raise ArgumentError("maps", "drop", "they were not kept; use maps='keep' in the run for this")
        return self.evidence.maps.mean

    @property
    def norm(self) -> Array:
        """Lower confidence bound on ||h||, shape (batch,)."""
        return self.evidence.norm.lower

    @_USUAL
    def cosine(self, eps: npt.ArrayLike) -> Array:
        """Lower bound on cos(h(x + delta), h(x)) for every ||delta||_2 <= eps (theory 4, 6).

        -1.0 where nothing can be said (0.0 for attributions that are never negative), see `abstention_reason`.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        values = checks.nonnegative_values("eps", eps)
        return self._once(cosines.cosine, values)

    @_USUAL
    def max_eps(self, cosine: npt.ArrayLike) -> Array:
        """The largest certified eps at which the cosine stays at or above ``cosine``; 0.0 if none.

        Args:
            cosine: threshold T, > 0 and < 1.
        """
        values = checks.open_fractions("cosine", cosine)
        return self._once(cosines.max_eps, values)

    def certified_share(
        self,
        eps: npt.ArrayLike,
        cosine: float,
        *,
        beta: float = 0.05,
        simultaneous: bool = False,
        inputs: int | None = None,
    ) -> Share:
        """At least which share of the inputs' source keeps a cosine of ``cosine`` at eps (theory 12).

        It fails with probability at most beta, over inputs and draws, if the inputs are a random sample with draws that
        are independent: one that comes twice needs ``sample_ids`` of its own, or counts once, as one of ``inputs``.
        Without ``simultaneous``, eps and ``cosine`` must not be chosen by looking at these certificates.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
            cosine: threshold T, > 0 and < 1.
            beta: the probability with which the bound may fail; at most 1/2 if simultaneous.
            simultaneous: all eps hold at once, at this one T, also one that is chosen afterwards.
            inputs: how many were drawn, where those that failed are not among these certificates: they count as not
                certified. By default as many as are here.

        Returns:
            The share of certified inputs, and the lower bound; shapes () or (k,).

        Raises:
            ArgumentError: a bad argument, no inputs, or a confidence bound that proves nothing.
        """
        values, beta = checks.nonnegative_values("eps", eps), checks.fraction("beta", beta)
        if checks.flag("simultaneous", simultaneous) and beta > 0.5:
            raise ArgumentError("beta", beta, "must be at most 0.5 for all eps at once")
        drawn = checks.count("inputs", len(self) if inputs is None else inputs, max(len(self), 1))
        terms = self.terms
        if terms.confidence == "asymptotic":
            raise ArgumentError("confidence", terms.confidence, "proves nothing of an input, nor of its source")
        sizes, averages = self.max_eps(checks.fraction("cosine", cosine)), terms.observed is not None
        return share_of(
            sizes, values, drawn, alpha=terms.alpha, beta=beta, averages=averages, simultaneous=simultaneous
        )

    def certified(self, eps: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether anything is certified of the cosine at eps.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        return np.asarray(self.cosine(eps) > cosines.trivial(self.terms))

    @_USUAL
    def abstention_reason(self, eps: npt.ArrayLike) -> npt.NDArray[np.object_]:
        """Why nothing can be said at eps: a text for each input, empty where something is `certified`.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        values = checks.nonnegative_values("eps", eps)
        silent, sizes = ~self.certified(values.reshape(-1)), values.reshape(-1).tolist()
        reasons = np.full(silent.shape, "", dtype=object)
        for j in np.flatnonzero(silent.any(axis=0)).tolist():
            some = np.flatnonzero(silent[:, j])
            moved = displacement(self.evidence[some], np.array([[sizes[j]]]))[:, 0]
            reasons[some, j] = [
                self._reason(i, sizes[j], by) for i, by in zip(some.tolist(), moved.tolist(), strict=True)
            ]
        return np.asarray(reasons[:, 0] if values.ndim == 0 else reasons)

    @_USUAL
    def binding(self, eps: npt.ArrayLike) -> npt.NDArray[np.object_]:
        """What limits the certificate at eps, and what would help: ``"sampling tail: more draws would help"``, ...

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        values = checks.nonnegative_values("eps", eps)
        words = cosines.binding(self.evidence, values.reshape(1, -1))
        unknown = (self.norm <= 0)[:, None]
        words = np.where(unknown, "norm: not told from zero; more draws, or a smaller noise scale, would help", words)
        silent, reach = ~self.certified(values.reshape(-1)), self.max_eps(_SILENT)[:, None]
        words = np.where(silent & (reach > 0) & (values.reshape(1, -1) > _FAR * reach), cosines.BEYOND, words)
        if self.terms.observed is not None:
            averages = silent & self._population.certified(values.reshape(-1))
            words = np.where(averages, cosines.AVERAGES, words)
        return np.asarray(words[:, 0] if values.ndim == 0 else words)

    @_USUAL
    def fixed_norm_scale(self, eps: float, cosine: npt.ArrayLike) -> Array:
        """The noise scale that would prove the population claim if all evidence stayed as it is (the paper's eq. 9).

        Not certified, as it changes with the scale: `SmoothedAttribution.min_noise_scale` searches for a certified one.

        Args:
            eps: l2 size of the perturbation, > 0, in input units.
            cosine: threshold T.
        """
        # Every bound depends on eps / scale only.
        with np.errstate(divide="ignore"):
            return np.asarray(self.terms.noise.scale * checks.positive("eps", eps) / self._population.max_eps(cosine))

    @_USUAL
    def intervals(self, eps: npt.ArrayLike) -> Interval:
        """A lower and an upper map: where each entry of the smoothed map lies at every ||delta||_2 <= eps (theory 3d).

        All entries hold at once, at x too. Shapes (batch, ...), or (batch, k, ...) for k sizes.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        return self._within(self._entries, eps, self._entry_bounds.low.shape)

    def signs(self, eps: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The sign that each entry keeps at every ||delta||_2 <= eps: 1, -1, or 0 where it is not certain.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        low, high = self.intervals(eps)
        return (low > 0).astype(np.int64) - (high < 0)

    @_USUAL
    def functionals(self, eps: npt.ArrayLike) -> Interval:
        """As `intervals`, for the functionals given to ``certify``; shapes (batch, functionals).

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        f = self.evidence.functionals
        if f is None:
            raise ArgumentError("functionals", None, "must be given to certify() for this")
        return self._within(self._intervals(f, f.bound, False), eps, f.low.shape)

    @_USUAL
    def top_k_overlap(self, eps: npt.ArrayLike, k: int, *, absolute: bool = False) -> Array:
        """Certified overlap: the share of the k largest entries at x that are among the k largest at x + delta.

        A lower bound for every ||delta||_2 <= eps and however ties are broken (theory 4), in [0, 1].

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
            k: how many, at most the number of entries.
            absolute: rank by absolute value.
        """
        self._check_k(k)
        return self._ranked(eps, absolute, lambda ranking: ranking.overlap(k) / k)

    @_USUAL
    def top_k_stable(self, eps: npt.ArrayLike, k: int, *, absolute: bool = False) -> npt.NDArray[np.bool_]:
        """Which entries are certain to be among the k largest at x and at x + delta, shape (batch, ...).

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
            k: how many, at most the number of entries.
            absolute: rank by absolute value.
        """
        self._check_k(k)
        values, shape = checks.nonnegative_values("eps", eps), self._entry_bounds.low.shape
        stays = [[r.stays(k) for r in self.rankings(e, absolute=absolute)] for e in values.reshape(-1).tolist()]
        whole = np.array(stays, dtype=bool).reshape(values.size, *shape).swapaxes(0, 1)
        return whole[:, 0] if values.ndim == 0 else whole

    @_USUAL
    def top_k_eps(self, k: int, *, absolute: bool = False) -> Array:
        """The largest certified eps at which the k largest entries stay the k largest, shape (batch,); 0.0 if none.

        At any smaller eps `top_k_overlap` is 1.

        Args:
            k: how many, at most the number of entries.
            absolute: rank by absolute value.
        """
        self._check_k(k)
        upper = np.full((len(self), 1), float(self.terms.noise.shift_of(_ALL_LOST, self.terms.dimension)))

        def lost(values: Array, rows: npt.NDArray[np.int64]) -> Array:
            pairs = zip(rows.tolist(), values[:, 0].tolist(), strict=True)
            kept = np.array([self[i].top_k_overlap(value, k, absolute=absolute)[0] for i, value in pairs])
            return np.where(kept == 1, -1.0, 1.0)[:, None]

        return np.asarray(largest(lost, upper, resolution=_NEAR * float(upper.max(initial=0.0)))[:, 0])

    @_USUAL
    def kendall_tau(self, eps: npt.ArrayLike, *, absolute: bool = False) -> Array:
        """Lower bound on Kendall's tau-a between the maps at x and at x + delta, for every ||delta||_2 <= eps.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
            absolute: rank by absolute value.
        """
        return self._ranked(eps, absolute, lambda ranking: ranking.kendall_tau())

    @_USUAL
    def rankings(self, eps: float, *, absolute: bool = False) -> list[Ranking]:
        """Where the entries lie and how far they move, one an input: signs and ranks are read from these.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
            absolute: of absolute values.
        """
        size = checks.nonnegative_values("eps", eps).reshape(1, 1)
        (low, high), (least, most) = self._entries.at_x(), self._entries.within(float(size[0, 0]))
        moved = displacement(self.evidence, size)
        if self.terms.observed is not None:
            there = cosines.distance_there(self.evidence, size, moved)
            moved = moved + cosines.distance_here(self.evidence)[:, None] + there
        found = [Ranking(low[i], high[i], least[i], most[i], float(moved[i, 0])) for i in range(len(self))]
        return [ranking.absolute() for ranking in found] if absolute else found

    @property
    def prediction(self) -> npt.NDArray[np.int64]:
        """The smoothed classifier's class, shape (batch,); what `prediction_radius` speaks of. -1 if none."""
        return self._prediction.label

    @_USUAL
    def prediction_radius(self) -> Array:
        """The l2 size below which the smoothed classifier keeps its class; 0.0 if it may not (theory 4)."""
        return radius(self.terms, self._prediction.p_lower)

    @property
    def explained(self) -> npt.NDArray[np.int64]:
        """The class that the maps explain, shape (batch,).

        -1 where no target was given, and in evidence of earlier versions, which did not keep it.
        """
        piece = self.evidence.explained
        return np.full(len(self), -1) if piece is None else piece.target

    @property
    def class_kept(self) -> npt.NDArray[np.bool_]:
        """Whether the explained class is certain to be the smoothed classifier's at x, shape (batch,).

        That is: `prediction` is the explained class, and its `prediction_radius` is not 0. False where none was
        explained.

        Raises:
            ArgumentError: there was no classifier, or no input has an explained class.
        """
        smoothed, explained = self.prediction, self.explained
        if len(self) and (explained < 0).all():
            rule = "is needed in certify() for this (evidence of earlier versions does not tell it)"
            raise ArgumentError("target", None, rule)
        return np.asarray((explained >= 0) & (smoothed == explained) & (self.prediction_radius() > 0))

    @property
    def meaning(self) -> Meaning:
        """Which maps explain another class than the smoothed classifier's; nothing is counted where either is unknown.

        The smoothed class is the pilot's most frequent one, certified or not.
        """
        prediction = self.evidence.prediction
        return Meaning() if prediction is None else Meaning.of(self.explained, prediction.label)

    @_USUAL
    def joint(self, eps: npt.ArrayLike) -> Array:
        """The certified cosine where the explained class is certain to be, and to stay, the prediction; else -1.0.

        Prediction and explanation hold together with probability at least 1 - alpha. Where no class is known to be
        explained (`explained` is -1) it is `prediction`, whichever that is, that stays.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
        """
        values = checks.nonnegative_values("eps", eps)
        named = (self.explained < 0) | (self.explained == self.prediction)
        keeps = named[:, None] & (values.reshape(1, -1) < self.prediction_radius()[:, None])
        joint = np.where(keeps, cosines.cosine(self.evidence, values.reshape(1, -1)), cosines.NOTHING)
        return _shaped(joint, values)

    def to_frame(
        self, eps: npt.ArrayLike | None = None, cosine: npt.ArrayLike | None = None, top_k: int | None = None
    ) -> DataFrame:
        """A pandas data frame, one row an input, with what there is evidence for: `attricert.report.to_frame`.

        Args:
            eps: l2 sizes at which to report, >= 0, in input units.
            cosine: thresholds at which to report the largest certified eps, > 0 and < 1.
            top_k: size of the top set whose overlap is reported; None for none.

        Raises:
            UnavailableError: pandas is not installed.
        """
        frame: DataFrame = shown_by("attricert.report.results:to_frame")(self, eps, cosine, top_k)
        return frame

    def plot(self, names: Sequence[str] | None = None, threshold: float = 0.9) -> Figure:
        """A figure of certified cosines against eps, one curve an input, which notebooks show.

        Args:
            names: of the inputs; None for their numbers.
            threshold: a cosine to mark.
        """
        figure: Figure = shown_by("attricert.plots:curves")(self, names, threshold)
        return figure

    def show(self, images: npt.ArrayLike | None = None, *, height: int = 720, **settings: Any) -> Page:
        """The interactive report, which notebooks show in a frame.

        Args:
            images: the inputs, shown beside their maps; None for none.
            height: of the frame, >= 1, in pixels.
            **settings: of `attricert.report.page`: ``ids``, ``labels``, ``plain_maps``, ``names``, ``eps``, ...
        """
        page: Page = shown_by("attricert.report.notebook:page")(self, images, height, settings)
        return page

    def save(self, path: str | Path) -> None:
        """Write the evidence to one safetensors file."""
        self.evidence.save(path)

    @classmethod
    def load(cls, path: str | Path) -> Certificate:
        """Read what `save` wrote; neither the model nor torch is needed.

        Raises:
            IntegrityError: the file is something else, damaged, or holds what cannot be evidence.
        """
        return cls(Evidence.load(path))

    @cached_property
    def _found(self) -> dict[tuple[str, bytes], Array]:
        """What was searched for, by what and where: reasons, words and shares ask for the same again."""
        return {}

    def _once(self, search: Callable[[Evidence, Array], Array], values: Array) -> Array:
        key = search.__name__, values.tobytes()
        if key not in self._found:
            self._found[key] = search(self.evidence, values.reshape(1, -1))
        return _shaped(self._found[key].copy(), values)

    @property
    def _population(self) -> Certificate:
        """What the same evidence says of h; the shares of observed averages are left unused."""
        ledger = self.terms.ledger
        shares = tuple(share for share in ledger.shares if share[0] not in ("here", "there"))
        terms = dataclasses.replace(self.terms, observed=None, ledger=Ledger(shares, ledger.entries))
        return Certificate(dataclasses.replace(self.evidence, terms=terms))

    @property
    def _entry_bounds(self) -> EntryBounds:
        if self.evidence.entries is None:
            rule = "must be proven by certify() for this, with a sound confidence bound (in a run: with maps kept)"
            raise ArgumentError("entries", None, rule)
        return self.evidence.entries

    @property
    def _prediction(self) -> Prediction:
        if self.evidence.prediction is None:
            rule = "is needed in SmoothedAttribution for this, and 'prediction' among what certify() proves"
            raise ArgumentError("classifier", None, rule)
        return self.evidence.prediction

    @property
    def _entries(self) -> Intervals:
        return self._intervals(self._entry_bounds, np.array([self.terms.max_entry]), self.terms.nonnegative)

    def _intervals(self, piece: EntryBounds | FunctionalBounds, bound: Array, nonnegative: bool) -> Intervals:
        low, high, second, center = (
            a.reshape(len(self), -1) for a in (piece.low, piece.high, piece.second, piece.center)
        )
        return Intervals(self.terms, low, high, second, center, bound, nonnegative)

    def _within(self, intervals: Intervals, eps: npt.ArrayLike, shape: tuple[int, ...]) -> Interval:
        values = checks.nonnegative_values("eps", eps)
        found = [intervals.within(e) for e in values.reshape(-1).tolist()]
        ends = (np.array([pair[i] for pair in found]).reshape(len(found), *shape).swapaxes(0, 1) for i in (0, 1))
        return Interval(*(end[:, 0] if values.ndim == 0 else end for end in ends))

    def _ranked(self, eps: npt.ArrayLike, absolute: bool, number: Callable[[Ranking], float]) -> Array:
        values = checks.nonnegative_values("eps", eps)
        sizes = values.reshape(-1).tolist()
        columns = [[number(ranking) for ranking in self.rankings(e, absolute=absolute)] for e in sizes]
        return _shaped(np.array(columns, dtype=np.float64).reshape(-1, len(self)).T, values)

    def _check_k(self, k: int) -> None:
        if checks.count("k", k, 1) > self.terms.map_entries:
            raise ArgumentError("k", k, f"must be at most the number of entries, {self.terms.map_entries}")

    def _reason(self, i: int, eps: float, moved: float) -> str:
        s, norm = self.evidence.sampling, float(self.norm[i])
        if s.zeros[i] + s.nonfinite[i] == s.n_samples[i]:
            return f"all {s.n_samples[i]} sampled attributions are zero or not finite"
        if norm <= 0:
            return f"the smoothed attribution cannot be told from zero with {s.n_samples[i]} samples"
        if moved >= norm:
            return f"eps={eps:g} may move the map by {moved:.3g}, its norm is at least {norm:.3g}"
        return f"the averages of {self.terms.observed_draws} draws are too far from their expectations"


def _shaped(result: Array, values: Array) -> Array:
    return np.asarray(result[:, 0] if values.ndim == 0 else result)
