"""From forecasts on a few inputs: which noise scale and how many samples reach a claim, and at what cost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from attricert import checks
from attricert.certificates import Claim
from attricert.errors import ArgumentError
from attricert.noise import NOISES, Noise
from attricert.proving import Forecast
from attricert.showing import shown_by

__all__ = ["FEWEST", "Plan", "PlannedScale", "noise_of", "plan_scales", "scales_to_try"]

FEWEST = 500  # samples: with fewer a forecast says too much, and little is proven
_MANY = 1e8
# Scales tried by default, in units of the smallest that could do were the map's norm as large as can be.
_GRID = (1.05, 1.2, 1.5, 2.0, 2.8, 4.0)
_LOWER_GRID = (0.2, 0.28, 0.4, 0.57, 0.8, 1.13, 1.6)  # where second moments help


@final
@dataclass(frozen=True)
class PlannedScale:
    """What to expect of one noise scale.

    Args:
        scale: sigma of `Gaussian`, radius of `UniformBall`, in input units.
        reached: on how many of the inputs the claim will be proven.
        samples_needed: samples an input that prove it on all of them, and the class where that is kept; None where no
            affordable number does.
        seconds: that they take an input, at the pilot's speed; None likewise.
        norm: of the smoothed map, least of the inputs.
        least_max_eps: certified eps at the claim's cosine with ``n_samples`` samples, least of the inputs.
        mean_max_eps: its mean.
        least_max_eps_in_the_limit: as the former, with very many samples.
        kept: on how many of the inputs it will be proven that the smoothed classifier's class is the explained one;
            None where there is no classifier, or no class is explained.
        class_votes: the share of noisy copies that the model puts in the explained class, mean of the inputs; None
            likewise.
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

    def keeps(self, inputs: int) -> bool:
        """Whether the class of so many inputs is kept, or none is known."""
        return self.kept in (None, inputs)


@final
@dataclass(frozen=True)
class Plan:
    """Estimates for some noise scales; nothing is proven.

    Args:
        claim: what is to be proven.
        noise: the noise family, at any scale.
        inputs: how many inputs the forecasts are from.
        n_samples: samples that may be spent on an input.
        scales: what to expect of each.
    """

    claim: Claim
    noise: Noise
    inputs: int
    n_samples: int
    scales: tuple[PlannedScale, ...]

    __repr__ = shown_by("attricert.report.brief:plan")
    _repr_html_ = shown_by("attricert.report.notebook:plan")

    @property
    def best(self) -> PlannedScale | None:
        """The least noise that will do for all inputs, as it blurs the map least; None if none will.

        Where there is a classifier, "do" is to prove the claim, and to leave the smoothed classifier the class that is
        explained: a map of another class may be certified and mean nothing.
        """
        good = [s for s in self.scales if s.reached == self.inputs and s.keeps(self.inputs)]
        return min(good, key=lambda s: s.scale, default=None)

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
    noise: Noise,
    claim: Claim,
    scales: Sequence[float],
    n_pilot: int,
    n_samples: int,
) -> Plan:
    """Forecast at every scale.

    Args:
        forecasts_at: one an input, from ``n_pilot`` samples each.
        noise: the family.
        claim: what is to be proven.
        scales: to try, at least one.
        n_pilot: see above.
        n_samples: samples that may be spent on an input, >= `FEWEST`.
    """
    found = []
    for scale in scales:
        start = time.perf_counter()
        forecasts = forecasts_at(noise.with_scale(scale))
        seconds = (time.perf_counter() - start) / (n_pilot * len(forecasts))
        found.append(_planned(scale, forecasts, claim, n_samples, seconds))
    return Plan(claim, noise, len(forecasts), n_samples, tuple(found))


def scales_to_try(noise: Noise, claim: Claim, d: int, scales: Sequence[float] | None) -> list[float]:
    """Those given, or by default a range around what the claim needs."""
    if scales is not None:
        if len(scales) == 0:
            raise ArgumentError("scales", scales, "must name at least one")
        return [checks.positive("scales", scale) for scale in scales]
    mass = 0.5 * math.sqrt((1 - claim.cosine) * (1 + claim.cosine))  # total variation with the largest possible norm
    needed = claim.eps / float(noise.with_scale(1.0).shift_of(mass, d))
    return [needed * factor for factor in (_LOWER_GRID if noise.dominated else _GRID)]


def noise_of(noise: str | Noise) -> Noise:
    """A noise, or that of a word at scale 1."""
    if isinstance(noise, Noise):
        return noise
    checks.known("noise", noise, NOISES)
    return NOISES.build(noise, dict.fromkeys(NOISES.required(noise), 1.0))


def _planned(scale: float, forecasts: Sequence[Forecast], claim: Claim, n_samples: int, seconds: float) -> PlannedScale:
    needed = [f.samples_needed(claim.eps, claim.cosine, FEWEST, n_samples) for f in forecasts]
    reached = [n for n in needed if math.isfinite(n)]
    keeping = [f.keeps_class(n_samples) for f in forecasts]
    for_classes = [f.samples_for_class(FEWEST, n_samples) for f, keeps in zip(forecasts, keeping, strict=True) if keeps]
    n = int(max(reached + for_classes)) if len(reached) == len(needed) else None
    votes = [f.class_votes for f in forecasts if f.class_votes is not None]
    affordable, limit = ([f.max_eps(claim.cosine, many) for f in forecasts] for many in (n_samples, _MANY))
    return PlannedScale(
        scale=scale,
        reached=len(reached),
        samples_needed=n,
        seconds=None if n is None else n * seconds,
        norm=min(f.norm for f in forecasts),
        least_max_eps=min(affordable),
        mean_max_eps=sum(affordable) / len(affordable),
        least_max_eps_in_the_limit=min(limit),
        kept=sum(map(bool, keeping)) if votes else None,
        class_votes=sum(votes) / len(votes) if votes else None,
    )
