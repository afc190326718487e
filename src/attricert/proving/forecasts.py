"""What a certificate will say, from a few draws and before the many are paid for: estimates, nothing is proven."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor

from attricert.certificates import Certificate, Evidence, Terms
from attricert.certificates.pieces import Cone, Explained, Norm, Prediction, Sampling, TopVariance
from attricert.confidence import bernstein, excess, stake, upper_proportion
from attricert.errors import ArgumentError
from attricert.moments import Moments
from attricert.progress import ProgressCallback
from attricert.proving.entries import EntriesProof
from attricert.proving.pilot import Pilot, Source, across_of
from attricert.proving.prediction import PredictionProof, majority
from attricert.proving.prover import PILOT_SHARE, class_of
from attricert.proving.regions import Regions
from attricert.sampling import Centered, Draws, Sampler
from attricert.showing import shown_by

__all__ = ["Forecast", "forecast"]

_GROWTH = 1.05  # how closely a number of samples is told
_DIRECTION_SHARE = 0.75 / PILOT_SHARE  # of all draws: those behind the direction
_SCALE_RATIO = 3  # so many of them to one behind the regions
_KEPT_BYTES, _FEWEST_KEPT = 64 * 2**20, 50  # of an input's draws


@final
@dataclass(frozen=True)
class Forecast:
    """Estimates for one input.

    Args:
        terms: those of the certificate to come.
        norm: of h.
        top_variance: largest eigenvalue of Cov g.
        trace: E ||g - h||^2.
        along: variance of g along h.
        largest: largest ||g - h||^2 seen.
        around: u.g and ||g - (u.g) u|| of the draws, u the direction of their mean; shape (n, 2).
        explained: the class that the map explains; -1 if none.
        votes: predicted classes of the draws, or None without a classifier.
        likeness: cosine similarity of h and the map without noise; None where that is random.
        rows: draws that were kept, shape (kept, d), float32, so that entries are forecast too; None for none.
    """

    terms: Terms
    norm: float
    top_variance: float
    trace: float
    along: float
    largest: float
    around: torch.Tensor
    explained: int = -1
    votes: Int[Tensor, " votes"] | None = None
    likeness: float | None = None
    rows: Float[Tensor, "kept d"] | None = None

    __repr__ = shown_by("attricert.report.brief:forecast")
    _repr_html_ = shown_by("attricert.report.notebook:forecast")

    @property
    def class_votes(self) -> float | None:
        """The share of draws put in the explained class; None without a classifier, or a class."""
        if self.votes is None or self.explained < 0:
            return None
        return float((self.votes == self.explained).double().mean())

    def keeps_class(self, n_samples: float) -> bool | None:
        """Whether so many samples will prove that the explained class is the smoothed classifier's.

        None without a classifier, or a class.
        """
        return None if self.class_votes is None else bool(self._certificate(n_samples).class_kept[0])

    def max_eps(self, cosine: float, n_samples: float) -> float:
        """The certified eps to expect from so many samples."""
        return float(self._certificate(n_samples).max_eps(cosine)[0])

    def samples_needed(self, eps: float, cosine: float, n_min: int, n_max: int) -> float:
        """About how many samples prove (eps, cosine), at least n_min; inf if n_max do not."""
        return _fewest(lambda n: bool(self._certificate(n).cosine(eps)[0] >= cosine), n_min, n_max)

    def samples_for_class(self, n_min: int, n_max: int) -> float:
        """About how many prove that the explained class is the smoothed one, at least n_min; inf if n_max do not."""
        return _fewest(lambda n: bool(self.keeps_class(n)), n_min, n_max)

    def entries(self, eps: float, k: int, n_samples: int) -> tuple[float, float]:
        """What to expect of single entries at eps.

        Args:
            eps: l2 size of the perturbation, >= 0, in input units.
            k: size of the top set.
            n_samples: of the certificate.

        Returns:
            The share of entries whose sign will be certain, and the certified overlap of the k largest.

        Raises:
            ArgumentError: no draws were kept.
        """
        (ranking,) = self._with_entries(n_samples).rankings(eps)
        return float(((ranking.least > 0) | (ranking.most < 0)).mean()), ranking.overlap(k) / k

    def clipped(self, max_entry: float | None) -> Forecast:
        """What it would be of the same draws with entries clipped to [-max_entry, max_entry]; None: as they are.

        Args:
            max_entry: > 0, in units of the bounded attribution.

        Raises:
            ArgumentError: no draws were kept.
        """
        bound = math.inf if max_entry is None else max_entry
        terms = replace(self.terms, max_entry=min(self.terms.max_entry, bound))
        rows = self.kept.clamp(-bound, bound)
        return replace(_estimated(terms, rows, self.votes, self.explained, None), rows=rows.float())

    @property
    def kept(self) -> Float[Tensor, "kept d"]:
        """The draws that were kept, in float64.

        Raises:
            ArgumentError: there are none.
        """
        if self.rows is None:
            raise ArgumentError("entries", False, "draws must be kept for this; use entries=True in forecast()")
        bound = self.terms.max_entry
        rows = self.rows.double().clamp(-bound, bound)
        norms = rows.norm(dim=1, keepdim=True)  # which float32 may have rounded up, as it may the entries
        shrunk: Tensor = rows * (self.terms.max_norm / norms.clamp_min(self.terms.max_norm))
        return shrunk

    def _with_entries(self, n_samples: int) -> Certificate:
        evidence = self._certificate(n_samples).evidence
        t, n, rows = self.terms, int(evidence.sampling.n_samples[0]), self.kept
        mean, behind = rows.mean(0), max(2, int(_DIRECTION_SHARE * n))
        # E mean^2 = h^2 + variance / draws, so that means of noise alone would look certain.
        less = (mean**2 - rows.var(0) / len(rows)).clamp_min(0.0).sqrt() * mean.sign()
        unseen = Moments(0, np.zeros(1), np.zeros(1))
        pilot = Pilot(behind, less, behind, less, unseen, rows - mean, self.around, None)
        least = 0.0 if t.nonnegative else -t.max_entry
        drawn = (np.full(t.map_entries, least), np.full(t.map_entries, t.max_entry))
        proof = EntriesProof.start(pilot, n, t.entry_share, t.slip, drawn, (t.map_entries,))
        seen = Centered.of(Draws(rows - mean + less, 1, rows.norm(dim=1)), less, less[None])
        found = replace(proof.update(seen), draws=n).pieces()
        pieces: dict[str, Any] = {name: type(piece).stack([piece]) for name, piece in found.items()}
        return Certificate(replace(evidence, **pieces))

    def _certificate(self, n_samples: float) -> Certificate:
        """Of evidence as it will be, about."""
        t, draws = self.terms, n_samples * (0.5 if self.terms.antithetic else 1.0)
        main, behind = max(int(draws * (1 - 1 / PILOT_SHARE)), 2), max(_DIRECTION_SHARE * draws, 1.0)
        log = math.log(1 / t.share("norm"))
        # The direction's error, then Bernstein's width for the norm.
        lost = self.trace / (2 * behind * max(self.norm, 1e-9))
        norm = self.norm - lost - math.sqrt(2 * self.along * log / main) - t.max_norm * log / main
        center = min(math.hypot(self.norm, math.sqrt(self.trace / behind)), t.max_norm)
        farthest = t.max_norm + center
        norm_piece = Norm(_one(min(max(norm, 0.0), t.max_norm)))
        sampling = Sampling(_count(main), _count(0), _count(0), _count(0))
        found = Evidence(
            t,
            sampling,
            norm_piece,
            ("",),
            prediction=self._prediction(main),
            explained=Explained(_count(self.explained)),
        )
        if "top_variance" not in t.ledger:
            return Certificate(found)
        spread = TopVariance(_one(self._raised(main, "top_variance", farthest**2)), _one(farthest))
        cone = self._cone(main, behind, center, spread) if "regions" in t.ledger else None
        return Certificate(replace(found, top_variance=spread, cone=cone))

    def _prediction(self, main: int) -> Prediction | None:
        """Were the shares of votes as they were."""
        if self.votes is None:
            return None
        label = majority(self.votes)
        hits = int(main * float((self.votes == label).double().mean())) if label >= 0 else 0
        proof = PredictionProof(label, self.terms.share("prediction"), self.terms.slip, hits, main)
        return Prediction.stack([proof.piece()])

    def _cone(self, main: int, behind: float, center: float, spread: TopVariance) -> Cone:
        t = self.terms
        # As few draws as the pilot will have behind them choose the regions.
        r = Regions.around(self.around[: max(2, round(behind / _SCALE_RATIO))], center, t.max_norm)
        away = bernstein(main, t.share("drift"), float(spread.upper[0]), 2 * t.max_norm)
        drift = math.sqrt(self.trace * (1 / behind + 1 / main)) + float(away)
        along, across = self.around.T
        masses = []
        for j, part in enumerate(r.shares):
            outside = float((~r.holds(j, along, across)).double().mean())
            masses.append(upper_proportion(min(round(outside * main), main - 1), main, t.share("regions") * part))
        variance = self._raised(main, "inside_variance", r.largest_square)
        return Cone(
            center=_one(center),
            drift=_one(drift),
            stretch=_one(r.stretch),
            variance=_one(variance),
            along=np.array([r.along]),
            across=np.array([r.across]),
            outside=np.array([masses]),
        )

    def _raised(self, main: int, name: str, limit: float) -> float:
        """The upper confidence bound to expect of the top variance."""
        share, largest = self.terms.share(name), min(self.largest, limit)
        bet = stake(largest * self.top_variance, limit, main, share)
        return min(self.top_variance + float(excess(largest * self.top_variance, largest, bet, main, share)), limit)


def _fewest(enough: Callable[[float], bool], n_min: int, n_max: int) -> float:
    """About the least number that is enough, at least n_min; inf if n_max is not."""
    few, many = float(n_min), float(n_max)
    if few > many or not enough(many):
        return math.inf
    if enough(few):
        return n_min
    while many > _GROWTH * few:
        middle = math.sqrt(few * many)
        few, many = (few, middle) if enough(middle) else (middle, many)
    return math.ceil(many)


def _count(value: int) -> npt.NDArray[np.int64]:
    return np.array([value])


def _one(value: float) -> npt.NDArray[np.float64]:
    return np.array([value])


def forecast(
    sampler: Sampler,
    terms: Terms,
    draws: int,
    x: Tensor,
    target: Tensor | None,
    key: str,
    tick: ProgressCallback,
    *,
    keep: bool = False,
) -> Forecast:
    """Estimate from so many draws, which are all in memory meanwhile; and keep some, if entries are to be forecast."""
    source = Source(sampler, x, target, (terms.map_entries,), terms.seed, key, tick)
    values, votes = [], []
    for chunk in source.draws("forecast", 0, draws):
        values.append(chunk.values)
        votes += [] if chunk.classes is None else [chunk.votes]
    rows = torch.cat(values)
    plain = None if terms.random else sampler.plain(x, target)
    found = _estimated(terms, rows, torch.cat(votes) if votes else None, class_of(target), plain)
    kept = rows[: max(_FEWEST_KEPT, _KEPT_BYTES // (4 * rows.shape[1]))].float()
    return replace(found, rows=kept) if keep else found


def _estimated(
    terms: Terms,
    rows: Float[Tensor, "n d"],
    votes: Int[Tensor, " votes"] | None,
    explained: int,
    plain: Float[Tensor, " d"] | None,
) -> Forecast:
    first, second = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    norm = math.sqrt(max(float(first.mean(0) @ second.mean(0)), 0.0))  # free of the bias of a norm of means
    mean = rows.mean(0)
    q = rows - mean
    squares = (q**2).sum(dim=1)
    # The largest eigenvalue seen is too large, the spread of other draws along its direction too small.
    direction, _ = _top(first - first.mean(0))
    unseen = float((((second - second.mean(0)) @ direction) ** 2).mean())
    _, seen = _top(q)
    unit = mean / max(float(mean.norm()), 1e-300)
    return Forecast(
        terms=terms,
        norm=norm,
        top_variance=(unseen + seen) / 2,
        trace=float(squares.mean()),
        along=float((q @ unit).var()),
        largest=float(squares.max()),
        around=torch.stack([rows @ unit, across_of((rows**2).sum(dim=1), rows @ unit)], dim=1).cpu(),
        explained=explained,
        votes=votes,
        likeness=None if plain is None else _likeness(mean, norm, plain),
    )


def _likeness(mean: Float[Tensor, " d"], norm: float, plain: Float[Tensor, " d"]) -> float:
    """Of the map whose norm this is, without the noise of its estimate; 0 where a map is none."""
    size = norm * float(plain.norm())
    return max(-1.0, min(1.0, float(mean @ plain) / size)) if size > 0 else 0.0


def _top(rows: Tensor) -> tuple[Tensor, float]:
    """The direction in which rows spread most, and the mean square along it."""
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    direction = rows.T @ vectors[:, -1]
    return direction / direction.norm().clamp_min(1e-300), float(values[-1]) / len(rows)
