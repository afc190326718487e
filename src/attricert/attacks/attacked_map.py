"""What is attacked: a map as a function of the input, plain or smoothed, with its values and its derivative."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attricert.attacks.surrogate import Softened
from attricert.attributions import (
    Attribution,
    Classifier,
    attributions_of,
    differentiable,
    is_out_of_memory,
    is_random,
    name_of,
)
from attricert.bounding import Bound
from attricert.errors import ArgumentError, CallError, DerivativeWarning
from attricert.fixed import Fixed
from attricert.noise import Noise
from attricert.sampling import BatchSize, Free, Sampler
from attricert.streams import Stream
from attricert.text import one_line, told

__all__ = ["METHODS", "AttackedMap", "FixedNoiseMap", "Maps", "PlainMap", "SmoothedMap", "as_attacked_map"]

METHODS = ("autograd", "score")
"""Ways to a derivative: by differentiating a softened attribution, or (under noise) from values alone."""

_BATCH = 128
_GROUPS = 50  # of draws, by which the error of an estimate is judged

Maps = Float[Tensor, "n *features"]


class FixedNoiseMap(ABC):
    """A map seen through draws that are fixed: a deterministic function of the input."""

    @abstractmethod
    def maps(self, inputs: Maps, target: Tensor | None) -> Float[Tensor, "n *entries"]:
        """The maps, in float64."""

    @abstractmethod
    def vjp(self, inputs: Maps, target: Tensor | None, weights: Float[Tensor, "n *entries"], beta: float) -> Maps:
        """Gradient of each <weights, map> with respect to its input; kinks are softened with this beta."""


class AttackedMap(ABC):
    """A map as a function of the input.

    Attributes:
        attribution: what the map is made of.
        classifier: what predicts the label that an attack must keep, or None.
        fixed: entries of an input that an attack must leave as they are, or None.
    """

    attribution: Attribution
    classifier: Classifier | None
    fixed: Fixed | None

    @abstractmethod
    def methods(self, inputs: Maps, target: Tensor | None) -> tuple[str, ...]:
        """Which of `METHODS` work here."""

    @abstractmethod
    def with_fixed_noise(self, like: Tensor, stream: Stream, draws: int, method: str) -> FixedNoiseMap:
        """The map through ``draws`` draws of this stream, for inputs like this one."""

    @abstractmethod
    def estimate(self, inputs: Maps, target: Tensor | None, stream: Stream, n_samples: int) -> Tensor:
        """The true maps in float64: means over groups of fresh draws, shape (n, groups, *features)."""


def as_attacked_map(what: Any, classifier: Classifier | None = None) -> AttackedMap:
    """What to attack, from an attribution ``g(inputs, target)`` or from a `SmoothedAttribution`.

    The label is that of ``classifier``, or of what is attacked where that has a model of its own.
    """
    if isinstance(what, AttackedMap):
        return what
    attribution = getattr(what, "attribution", what)
    own = getattr(what, "classifier", None) or getattr(attribution, "model", None)
    classifier = own if classifier is None else classifier
    if attribution is not what:
        return SmoothedMap(attribution, what.noise, what.bound, classifier, fixed=getattr(what, "fixed", None))
    if not callable(what) or isinstance(what, (nn.Module, type)):
        raise ArgumentError("what", name_of(what), "must be an attribution g(inputs, target) or a SmoothedAttribution")
    if is_random(what):
        raise ArgumentError("what", name_of(what), "has no map of its own, as it is random; attack its smoothed map")
    held = getattr(what, "fixed", None)
    return PlainMap(what, classifier, held if isinstance(held, Fixed) else None if held is None else Fixed.of(held))


@final
@dataclass(frozen=True)
class PlainMap(AttackedMap):
    """An attribution itself; or any map in closed form."""

    attribution: Attribution
    classifier: Classifier | None = None
    fixed: Fixed | None = None

    def methods(self, inputs: Maps, target: Tensor | None) -> tuple[str, ...]:
        """Autograd, where the attribution is differentiable."""
        return ("autograd",) if _is_differentiable(self.attribution, inputs, target) else ()

    def with_fixed_noise(self, like: Tensor, stream: Stream, draws: int, method: str) -> FixedNoiseMap:
        """There are no draws."""
        return _PlainFixedMap(self.attribution)

    def estimate(self, inputs: Maps, target: Tensor | None, stream: Stream, n_samples: int) -> Tensor:
        """The exact maps: one group."""
        return _PlainFixedMap(self.attribution).maps(inputs, target)[:, None]


@final
@dataclass(frozen=True)
class SmoothedMap(AttackedMap):
    """The mean of a bounded attribution over noisy copies of the input."""

    attribution: Attribution
    noise: Noise
    bound: Bound
    classifier: Classifier | None = None
    batch: BatchSize = field(default_factory=BatchSize)
    fixed: Fixed | None = None

    def methods(self, inputs: Maps, target: Tensor | None) -> tuple[str, ...]:
        """The score function always, as it takes values only."""
        return METHODS if _is_differentiable(self.attribution, inputs, target) else ("score",)

    def with_fixed_noise(self, like: Tensor, stream: Stream, draws: int, method: str) -> FixedNoiseMap:
        """One set of draws, the same for all inputs."""

        def rng(stage: str) -> Any:
            part = Stream(stream.seed, stream.sample, f"{stream.stage} {stage}")
            return part.rows(0, draws, like.dtype, like.device)

        free = Free.of(like, self.fixed)
        shifts = free.spread(self.noise.sample(rng("values"), free.dimension))
        slopes = None
        if method == "score":
            points, weights = self.noise.derivative(rng("slopes"), free.dimension)
            slopes = free.spread(points), free.spread(weights)
        return _SmoothedFixedMap(self.attribution, self.bound, shifts, slopes)

    def estimate(self, inputs: Maps, target: Tensor | None, stream: Stream, n_samples: int) -> Tensor:
        """Means of equal parts of the draws."""
        sampler = Sampler(self.attribution, self.noise, self.bound, batch=self.batch, fixed=self.fixed)
        sampler = sampler.settled(inputs[0], None if target is None else target[0])
        shape = sampler.map_shape(inputs[0])
        groups = min(_GROUPS, n_samples)
        n_samples -= n_samples % groups
        sums = torch.zeros(len(inputs), groups, math.prod(shape), dtype=torch.float64, device=inputs.device)
        for i, x in enumerate(inputs):
            seen = 0
            for draws in sampler.draws(x, None if target is None else target[i], stream, 0, n_samples):
                index = torch.arange(seen, seen + len(draws.rows), device=x.device) * groups // n_samples
                sums[i].index_add_(0, index, draws.rows.to(x.device))
                seen += len(draws.rows)
        return (sums * (groups / n_samples)).reshape(len(inputs), groups, *shape)


@final
@dataclass(frozen=True)
class _PlainFixedMap(FixedNoiseMap):
    attribution: Attribution

    def maps(self, inputs: Maps, target: Tensor | None) -> Float[Tensor, "n *entries"]:
        parts = _parts(inputs, target)
        return torch.cat([attributions_of(self.attribution, x, index).double() for x, index in parts])

    def vjp(self, inputs: Maps, target: Tensor | None, weights: Float[Tensor, "n *entries"], beta: float) -> Maps:
        slopes, done = [], 0
        for x, index in _parts(inputs, target):
            leaf = x.detach().requires_grad_()
            maps = _softened(self.attribution, leaf, index, beta)
            slopes.append(_slope((maps.double() * weights[done : done + len(x)]).sum(), leaf))
            done += len(x)
        return torch.cat(slopes)


@final
@dataclass(frozen=True)
class _SmoothedFixedMap(FixedNoiseMap):
    """Means over the shifts; ``slopes`` are the points and weights of the noise's derivative."""

    attribution: Attribution
    bound: Bound
    shifts: Float[Tensor, "draws *features"]
    slopes: tuple[Float[Tensor, "draws *features"], Float[Tensor, "draws *features"]] | None

    def maps(self, inputs: Maps, target: Tensor | None) -> Float[Tensor, "n *entries"]:
        return torch.stack([self._values(x, index, self.shifts).mean(dim=0) for x, index in _rows(inputs, target)])

    def vjp(self, inputs: Maps, target: Tensor | None, weights: Float[Tensor, "n *entries"], beta: float) -> Maps:
        rows = zip(_rows(inputs, target), weights.flatten(1), strict=True)
        one = self._by_autograd if self.slopes is None else self._by_score
        return torch.stack([one(x, index, weight, beta) for (x, index), weight in rows])

    def _by_autograd(self, x: Tensor, target: Tensor | None, weight: Tensor, beta: float) -> Tensor:
        total = torch.zeros_like(x)
        for shifts in torch.split(self.shifts, _BATCH):
            leaf = x.detach().requires_grad_()
            with torch.enable_grad():
                noisy = leaf + shifts
                maps = _softened(self.attribution, noisy, _repeated(target, len(shifts)), beta)
                total += _slope((self.bound(maps.flatten(1).double()) @ weight).sum(), leaf)
        return total / len(self.shifts)

    def _by_score(self, x: Tensor, target: Tensor | None, weight: Tensor, beta: float) -> Tensor:
        if self.slopes is None:
            raise AttributeError("this fixed_map has no slopes")
        points, slopes = self.slopes
        along = self._values(x, target, points).flatten(1) @ weight
        # Weights have mean zero: taking off the mean changes the expectation by nothing, the variance by much.
        slope = ((along - along.mean()) @ slopes.double().flatten(1)) / len(points)
        return slope.reshape(x.shape).to(x.dtype)

    def _values(self, x: Tensor, target: Tensor | None, shifts: Tensor) -> Float[Tensor, "draws *entries"]:
        parts = []
        for shift in torch.split(shifts, _BATCH):
            attributions = attributions_of(self.attribution, x.detach() + shift, _repeated(target, len(shift)))
            parts.append(self.bound(attributions.flatten(1).double()).reshape(attributions.shape))
        return torch.cat(parts)


def _softened(attribution: Attribution, inputs: Tensor, target: Tensor | None, beta: float) -> Tensor:
    with Softened(beta):
        maps = differentiable(attribution, inputs, target)
    if maps is None:
        rule = "gives values only, without gradients: attack its smoothed map, or by RandomNoise"
        raise ArgumentError("attribution", name_of(attribution), rule)
    return maps


def _is_differentiable(attribution: Attribution, inputs: Tensor, target: Tensor | None) -> bool:
    leaf = inputs[:1].detach().requires_grad_()
    try:
        maps = differentiable(attribution, leaf, None if target is None else target[:1])
        return maps is not None and torch.autograd.grad(maps.sum(), leaf, allow_unused=True)[0] is not None
    except (CallError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        cause = one_line(str(error.__cause__ or error))
        text = (
            f"{name_of(attribution)} cannot be differentiated ({cause}); its smoothed map is attacked by values alone"
        )
        warnings.warn(text, DerivativeWarning, stacklevel=2)
        return False


def _slope(total: Tensor, leaf: Tensor) -> Tensor:
    """Where a map has no derivative, it is taken as zero."""
    try:
        slope: Tensor = torch.autograd.grad(total, leaf)[0]
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        rule = 'attack its smoothed map with method="score" (attacks.Strong chooses by itself)'
        raise CallError(f"the attribution cannot be differentiated: {one_line(told(error))}; {rule}") from error
    return slope.nan_to_num(0.0, 0.0, 0.0)


def _parts(inputs: Tensor, target: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
    parts = torch.split(inputs, _BATCH)
    targets = [None] * len(parts) if target is None else torch.split(target, _BATCH)
    return list(zip(parts, targets, strict=True))


def _rows(inputs: Tensor, target: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
    return [(x, None if target is None else target[i]) for i, x in enumerate(inputs)]


def _repeated(target: Tensor | None, n: int) -> Tensor | None:
    return None if target is None else target.expand(n, *target.shape)
