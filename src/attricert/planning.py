"""From forecasts on a few inputs: which noise scale and how many samples reach a claim, and at what cost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import final

import numpy as np

from attricert import checks
from attricert.certificates import Claim
from attricert.errors import UnavailableError
from attricert.noise import NOISES, Gaussian, Noise, telling_sizes
from attricert.proving import Forecast
from attricert.showing import shown_by
from attricert.workload import Workload

__all__ = [
    "FEWEST",
    "Plan",
    "PlannedEntry",
    "PlannedScale",
    "noise_of",
    "plan_scales",
    "scales_for_classes",
    "scales_to_try",
]

FEWEST = 500  # samples: with fewer a forecast says too much, and little is proven
_MORE = 1.1  # times the samples that a claim needs, to be taken: an estimate may fall short
_MANY = 1e8
# Scales tried by default, in units of the smallest that could do were the map's norm as large as can be.
_GRID = (1.05, 1.2, 1.5, 2.0, 2.8, 4.0)
_LOWER_GRID = (0.2, 0.28, 0.4, 0.57, 0.8, 1.13, 1.6)  # where second moments help
# Without a claim: in units of the largest scale found to keep the classes, in steps of sqrt 2.
_CLASS_GRID = (1 / 16, 1 / 8, 1 / 4, 0.5, 0.71, 1.0, 1.41)
_PROBES = 20
_ENOUGH_VOTES = 0.6
_QUANTILES = (0.8, 0.9, 0.97, 0.995)  # of sampled entries in absolute value: bounds that are tried
_VALUES = 100_000  # of an input, for the quantiles
_KEPT_EPS = 0.9  # of the cosine's eps, least of the inputs, that a bound on entries must leave
_TOP = 10  # one entry in so many is among the largest


@final
@dataclass(frozen=True)
class PlannedScale:
    """What to expect of one noise scale.

    Args:
        scale: sigma of `Gaussian`, radius of `UniformBall`, in input units.
        reached: on how many of the inputs the claim will be proven; without a claim, on how many there will be a
            certified eps.
        samples_needed: samples an input that prove it on all of them, and the class where that is kept; None where no
            affordable number does. Without a claim, those that may be spent.
        seconds: that they take an input, at the pilot's speed; None likewise.
        norm: of the smoothed map, least of the inputs.
        least_max_eps: certified eps at the plan's cosine with ``n_samples`` samples, least of the inputs.
        mean_max_eps: its mean.
        least_max_eps_in_the_limit: as the former, with very many samples.
        kept: on how many of the inputs it will be proven that the smoothed classifier's class is the explained one;
            None where there is no classifier, or no class is explained.
        class_votes: the share of noisy copies that the model puts in the explained class, mean of the inputs; None
            likewise.
        likeness: cosine similarity of the smoothed map and the map without noise, least of the inputs: how much
            smoothing changes what is explained; None for random attributions.
        seconds_a_sample: at the pilot's speed.
    """

    scale: float
    reached: int
    samples_needed: int | None
    seconds: float | None
    norm: float
    least_max_eps: float
    mean_max_eps: float
    least_max_eps_in_the_limit: float
    kept: int | None = None
    class_votes: float | None = None
    likeness: float | None = None
    seconds_a_sample: float | None = None

    def keeps(self, inputs: int) -> bool:
        """Whether the class of so many inputs is kept, or none is known."""
        return self.kept in (None, inputs)


@final
@dataclass(frozen=True)
class PlannedEntry:
    """What to expect with a bound on entries, at the plan's chosen scale and with all its samples.

    Args:
        max_entry: the bound, in units of the bounded attribution; None for none.
        reached: on how many of the inputs the claim will be proven; without one, have a certified eps.
        signs: share of entries whose sign will be certain at the plan's ``entries_eps``, mean of the inputs.
        top_k: certified overlap of the largest tenth of the entries there, mean of the inputs.
        least_max_eps: certified eps at the plan's cosine, least of the inputs.
        mean_max_eps: its mean.
    """

    max_entry: float | None
    reached: int
    signs: float
    top_k: float
    least_max_eps: float
    mean_max_eps: float


@final
@dataclass(frozen=True)
class Plan:
    """Estimates for some noise scales; nothing is proven.

    Args:
        claim: what is to be proven; None for whatever can be had.
        noise: the noise family, at any scale.
        inputs: how many inputs the forecasts are from.
        n_samples: samples that may be spent on an input.
        scales: what to expect of each.
        cosine: threshold T of which eps is told, where there is no claim.
        entries: what to expect with some bounds on entries at the scale that is `chosen`, the first without any; empty
            where single entries are not planned for.
        entries_eps: the eps at which signs and ranks of entries are told: a tenth of sigma, or what is like it.
        device: what the pilot's draws were computed on.
    """

    claim: Claim | None
    noise: Noise
    inputs: int
    n_samples: int
    scales: tuple[PlannedScale, ...]
    cosine: float = 0.9
    entries: tuple[PlannedEntry, ...] = ()
    entries_eps: float | None = None
    device: str = ""

    __repr__ = shown_by("attricert.report.brief:plan")
    _repr_html_ = shown_by("attricert.report.notebook:plan")

    @property
    def threshold(self) -> float:
        """The cosine of which eps is told: the claim's, if there is one."""
        return self.cosine if self.claim is None else self.claim.cosine

    @property
    def best(self) -> PlannedScale | None:
        """The scale to use; None if none will do for all inputs.

        For a claim the least noise that will do, as it blurs the map least; without one, the noise that gives the
        largest eps. Where there is a classifier, "do" is also to leave the smoothed classifier the class that is
        explained: a map of another class may be certified and mean nothing.
        """
        good = [s for s in self.scales if s.reached == self.inputs and s.keeps(self.inputs)]
        if self.claim is None:
            return max(good, key=lambda s: s.least_max_eps, default=None)
        return min(good, key=lambda s: s.scale, default=None)

    @property
    def chosen(self) -> PlannedScale | None:
        """The best scale, or what comes nearest: that which keeps most classes, and of those gives the largest eps."""
        nearest = max(self.scales, key=lambda s: (s.kept or 0, s.least_max_eps), default=None)
        return self.best or nearest

    @property
    def best_entry(self) -> PlannedEntry | None:
        """The bound on entries with which most is certain; None where `entries` is empty.

        Of those that leave the claim proven where it was, and nine tenths of the cosine's eps, the one with the
        largest sum of the shares of certain signs and of the certain top set.
        """
        if not self.entries:
            return None
        without = self.entries[0]
        good = [
            e
            for e in self.entries
            if e.reached >= without.reached and e.least_max_eps >= _KEPT_EPS * without.least_max_eps
        ]
        return max(good, key=lambda e: e.signs + e.top_k)

    @property
    def max_entry(self) -> float | None:
        """The bound on entries to use, for ``Normalize(max_entry=...)`` or ``Clip``; None for none.

        A constant of the model from now on: certificates of the inputs that it was chosen on are void.
        """
        return None if self.best_entry is None else self.best_entry.max_entry

    def workload(self, inputs: int) -> Workload:
        """What so many inputs take at the scale that is `chosen`, at the pilot's speed.

        Args:
            inputs: of the whole data set.

        Returns:
            A value that says it for any number of workers: ``plan.workload(50_000).told((1, 8, 64))``.

        Raises:
            UnavailableError: no scale was tried.
        """
        chosen = self.chosen
        if chosen is None or not chosen.seconds_a_sample:
            raise UnavailableError("workload() needs a scale that was tried")
        return Workload(inputs, self.samples, 1 / chosen.seconds_a_sample, self.device)

    @property
    def samples(self) -> int:
        """Samples an input to take: a tenth more than a claim needs; all without one, or where entries count."""
        chosen = self.chosen
        needed = None if self.claim is None or chosen is None else chosen.samples_needed
        return self.n_samples if needed is None or self.max_entry is not None else math.ceil(_MORE * needed)

    @property
    def shortfall(self) -> str:
        """Why no scale will do, and what can be had instead; empty where one will."""
        if self.best is not None:
            return ""
        (word,) = NOISES.required(NOISES.name_of(self.noise))
        reaching = [s for s in self.scales if s.reached == self.inputs]
        keeping = [s for s in self.scales if s.keeps(self.inputs)]
        most = max(keeping, key=lambda s: s.least_max_eps, default=None)
        if most is None:
            return (
                f"no {word} that was tried leaves the smoothed model the explained class of all {self.inputs} inputs: "
                "their maps would explain classes that it does not predict; try smaller scales, which prove less, or a "
                "model that was trained with noise"
            )
        if self.claim is None:
            return f"nothing will be certified of some input with {self.n_samples:,} samples; try more, or other scales"
        at = f"about {most.least_max_eps:.3g}, at {word} = {most.scale:.4g} with {self.n_samples:,} samples"
        if len(keeping) == len(self.scales):
            return f"out of reach for some input: the largest eps for all is {at}; try larger scales, or a lower target"
        if reaching:
            least = min(reaching, key=lambda s: s.scale)
            why = (
                f"no {word} that was tried both proves the claim and keeps the classes: {least.scale:.4g} proves it, "
                f"but there the smoothed model predicts the explained class on {least.kept} of {self.inputs} inputs"
            )
        else:
            why = "out of reach for some input, and more noise does not keep the classes of all"
        return (
            f"{why}; the largest eps with all classes kept is {at}: try a lower target, or a model trained with noise"
        )


def plan_scales(
    forecasts_at: Callable[[Noise], Sequence[Forecast]],
    plan: Plan,
    scales: Sequence[float],
    n_pilot: int,
    *,
    entries: bool,
) -> Plan:
    """Forecast at every scale, and of the chosen one what bounds on entries do.

    Args:
        forecasts_at: one an input, from ``n_pilot`` samples each, which are kept if entries are planned for.
        plan: without scales; its number of inputs is that of the forecasts.
        scales: to try, at least one.
        n_pilot: see above.
        entries: whether to plan for entries.
    """
    kept: Sequence[Forecast] = ()
    for scale in scales:
        start = time.perf_counter()
        forecasts = forecasts_at(plan.noise.with_scale(scale))
        seconds = (time.perf_counter() - start) / (n_pilot * len(forecasts))
        row = _planned(plan, scale, forecasts, seconds)
        plan = replace(plan, scales=(*plan.scales, row))
        # Draws are large: those of one scale are kept.
        kept = forecasts if plan.chosen is row else kept
    return _with_entries(plan, kept) if entries and plan.chosen else plan


def scales_to_try(noise: Noise, claim: Claim, d: int) -> list[float]:
    """A range around what a claim needs."""
    mass = 0.5 * math.sqrt((1 - claim.cosine) * (1 + claim.cosine))  # total variation with the largest possible norm
    needed = claim.eps / float(noise.with_scale(1.0).shift_of(mass, d))
    return [needed * factor for factor in (_LOWER_GRID if noise.dominated else _GRID)]


def scales_for_classes(
    noise: Noise, d: int, deviation: float, votes_at: Callable[[Noise], float] | None
) -> list[float]:
    """A range up to where the explained classes are lost, or to twice the deviation where they are not.

    Args:
        noise: the family.
        d: dimension of an input.
        deviation: of the inputs' values; where it is 0 it counts as 1.
        votes_at: the share of a few noisy copies in the explained class, least of the inputs; None where there is no
            class, and the range is one of the inputs' deviation.

    Returns:
        Scales, ascending, rounded to two digits.
    """
    top = noise.matching(Gaussian(deviation or 1.0), d).scale
    if votes_at is not None:
        # From below: much noise may lead to one class whatever the input, and that one's inputs would keep theirs.
        tried = [2 * top * 0.5 ** (i / 2) for i in reversed(range(_PROBES))]
        keeping = takewhile(lambda scale: votes_at(noise.with_scale(scale)) >= _ENOUGH_VOTES, tried)
        top = max(keeping, default=tried[0])
    return [float(f"{top * factor:.2g}") for factor in _CLASS_GRID]


def noise_of(noise: str | Noise) -> Noise:
    """A noise, or that of a word at scale 1."""
    if isinstance(noise, Noise):
        return noise
    checks.known("noise", noise, NOISES)
    return NOISES.build(noise, dict.fromkeys(NOISES.required(noise), 1.0))


def _planned(plan: Plan, scale: float, forecasts: Sequence[Forecast], seconds: float) -> PlannedScale:
    claim, n_samples = plan.claim, plan.n_samples
    keeping = [f.keeps_class(n_samples) for f in forecasts]
    votes = [f.class_votes for f in forecasts if f.class_votes is not None]
    affordable, limit = ([f.max_eps(plan.threshold, many) for f in forecasts] for many in (n_samples, _MANY))
    n: int | None = n_samples
    reached = sum(eps > 0 for eps in affordable)
    if claim is not None:
        needed = [f.samples_needed(claim.eps, claim.cosine, FEWEST, n_samples) for f in forecasts]
        proving = [found for found in needed if math.isfinite(found)]
        classes = [f.samples_for_class(FEWEST, n_samples) for f, keeps in zip(forecasts, keeping, strict=True) if keeps]
        reached = len(proving)
        n = int(max(proving + classes)) if reached == len(forecasts) else None
    likeness = [f.likeness for f in forecasts if f.likeness is not None]
    return PlannedScale(
        scale=scale,
        reached=reached,
        samples_needed=n,
        seconds=None if n is None else n * seconds,
        norm=min(f.norm for f in forecasts),
        least_max_eps=min(affordable),
        mean_max_eps=sum(affordable) / len(affordable),
        least_max_eps_in_the_limit=min(limit),
        kept=sum(map(bool, keeping)) if votes else None,
        class_votes=sum(votes) / len(votes) if votes else None,
        likeness=min(likeness, default=None),
        seconds_a_sample=seconds,
    )


def _with_entries(plan: Plan, forecasts: Sequence[Forecast]) -> Plan:
    terms = forecasts[0].terms
    eps = telling_sizes(terms.noise, terms.dimension)[0]
    found = tuple(_entry(plan, forecasts, eps, bound) for bound in (None, *_bounds(forecasts)))
    return replace(plan, entries=found, entries_eps=eps)


def _bounds(forecasts: Sequence[Forecast]) -> list[float]:
    """Quantiles of the sampled entries of all inputs; rounded, as they become constants of a model."""
    sizes = [f.kept.abs().flatten()[:: max(1, f.kept.numel() // _VALUES)].cpu().numpy() for f in forecasts]
    found = {float(f"{value:.2g}") for value in np.quantile(np.concatenate(sizes), _QUANTILES)}
    return sorted((value for value in found if 0 < value < forecasts[0].terms.max_entry), reverse=True)


def _entry(plan: Plan, forecasts: Sequence[Forecast], eps: float, max_entry: float | None) -> PlannedEntry:
    clipped = [f.clipped(max_entry) for f in forecasts]
    n = plan.n_samples
    signs, tops = zip(*(f.entries(eps, max(1, f.terms.map_entries // _TOP), n) for f in clipped), strict=True)
    reach = [f.max_eps(plan.threshold, n) for f in clipped]
    least = 0.0 if plan.claim is None else plan.claim.eps
    return PlannedEntry(
        max_entry=max_entry,
        reached=sum(size > 0 and size >= least for size in reach),
        signs=sum(signs) / len(signs),
        top_k=sum(tops) / len(tops),
        least_max_eps=min(reach),
        mean_max_eps=sum(reach) / len(reach),
    )
