"""What is attacked, and the limits that every attack obeys: the ball, the data range, the label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attricert import checks
from attricert.arguments import as_tensor, batch
from attricert.attacks.attacked_map import AttackedMap, FixedNoiseMap, Maps
from attricert.attributions import Classifier, Targets, classes_of, scores_of
from attricert.errors import ArgumentError
from attricert.sampling import COPIES, Free, Preflight, preflight
from attricert.streams import Stream, seed_of

__all__ = ["AttackProblem", "each", "problem_of", "unit"]

_FARTHEST, _HALVINGS = 1e3, 40  # how far a direction is followed along the data range, in units of eps
_RETREAT, _RETREATS = 0.7, 16  # how an input goes back towards the clean one until its label is back


@final
@dataclass(frozen=True)
class AttackProblem:
    """What is attacked, and within which limits.

    Args:
        attacked_map: the map.
        inputs: clean inputs x.
        target: class explained, one an input.
        eps: largest l2 size, one an input, float64.
        classifier: whose label must stay, or None.
        labels: its predictions at x.
        data_range: smallest and largest value of an entry, or None.
        seed: of the keyed streams.
    """

    attacked_map: AttackedMap
    inputs: Maps
    target: Int[Tensor, " n"] | None
    eps: Float[Tensor, " n"]
    classifier: Classifier | None
    labels: Int[Tensor, " n"] | None
    data_range: tuple[float, float] | None
    seed: int

    def with_fixed_noise(self, stage: str, draws: int, method: str = "autograd") -> FixedNoiseMap:
        """The map through some draws of its own."""
        return self.attacked_map.with_fixed_noise(self.inputs[0], self.stream(stage), draws, method)

    def preflight(self) -> Preflight:
        """That map and label are functions of each input alone, as looked at on copies of the first one."""
        directions = self.stream("preflight").rows(0, COPIES, self.inputs.dtype, self.inputs.device)
        free = Free.of(self.inputs[0], self.attacked_map.fixed)
        shifts = unit(free.spread(directions.normal(free.dimension)))
        copies = self.inputs[:1] + self.eps[0].to(self.inputs.dtype) * shifts
        target = None if self.target is None else self.target[0]
        fixed = self.attacked_map.fixed
        return preflight(self.attacked_map.attribution, self.classifier, copies, target, fixed=fixed)

    def points(self, name: str, given: Any) -> Maps:
        """An argument that is perturbed inputs, a copy."""
        points = as_tensor(given, name)
        if points.shape != self.inputs.shape:
            raise ArgumentError(name, tuple(points.shape), f"must have the inputs' shape, {tuple(self.inputs.shape)}")
        return points.detach().to(self.inputs).clone()

    def stream(self, stage: str) -> Stream:
        """Random numbers that depend on seed and stage only: an input's results do not depend on its neighbours."""
        return Stream(self.seed, "attack", stage)

    def random(self, stage: str) -> Maps:
        """Unit vectors, one an input, of random direction."""
        free = Free.of(self.inputs[0], self.attacked_map.fixed)
        normal = self.stream(stage).rows(0, 1, self.inputs.dtype, self.inputs.device).normal(free.dimension)
        return unit(free.spread(normal).expand_as(self.inputs))

    def vjp(self, fixed_map: FixedNoiseMap, points: Maps, weights: Float[Tensor, "n *entries"], beta: float) -> Maps:
        """The gradient of each <weights, map> with respect to what an attack may change."""
        slope = fixed_map.vjp(points, self.target, weights, beta)
        return Free.of(self.inputs[0], self.attacked_map.fixed).only(slope)

    def at(self, direction: Maps) -> Maps:
        """The inputs, moved by eps in these directions."""
        moved: Tensor = self.inputs + each(self.eps.to(self.inputs.dtype), direction) * direction
        return moved

    def farthest(self, direction: Maps) -> Maps:
        """Points of size eps in these directions, the entries that meet the data range staying there."""
        if self.data_range is None:
            return self.at(direction)
        low, high = torch.ones_like(self.eps), torch.full_like(self.eps, _FARTHEST)
        for _ in range(_HALVINGS):
            middle = torch.sqrt(low * high)
            inside = self.size(self._clamped(middle, direction)) <= self.eps
            low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
        return self._clamped(low, direction)

    def project(self, points: Maps) -> Maps:
        """The points, brought back into the ball and the data range, and towards x until they keep its label."""
        points = torch.where(torch.isfinite(points), points, self.inputs)
        points = Free.of(self.inputs[0], self.attacked_map.fixed).within(self.inputs, points)
        if self.data_range is not None:
            points = points.clamp(*self.data_range)
        points = self._within(points)
        for _ in range(_RETREATS):
            lost = ~self._keeps_label(points)
            if not bool(lost.any()):
                return points
            points = torch.where(each(lost, points), self.inputs + _RETREAT * (points - self.inputs), points)
        return torch.where(each(lost, points), self.inputs, points)

    def size(self, points: Maps) -> Float[Tensor, " n"]:
        """l2 distance from x of what the model is given, in float64."""
        moved: Tensor = (points.double() - self.inputs.double()).flatten(1).norm(dim=1)
        return moved

    def _clamped(self, times: Float[Tensor, " n"], direction: Maps) -> Maps:
        step = self.at(direction) - self.inputs
        points = self.inputs + each(times.to(step.dtype), step) * step
        return points if self.data_range is None else points.clamp(*self.data_range)

    def _within(self, points: Maps) -> Maps:
        """Scaled towards x; a little more each time, as rounding may carry a point out again."""
        for attempt in range(20):
            size = self.size(points)
            outside = size > self.eps
            if not bool(outside.any()):
                break
            factor = torch.where(outside, self.eps / size.clamp_min(1e-300) * (1 - 1e-7 * 2.0**attempt), 1.0)
            points = self.inputs + each(factor.to(points.dtype), points) * (points - self.inputs)
        return torch.where(each(self.size(points) <= self.eps, points), points, self.inputs)

    def _keeps_label(self, points: Maps) -> Bool[Tensor, " n"]:
        if self.classifier is None or self.labels is None:
            return torch.ones(len(points), dtype=torch.bool, device=points.device)
        return _labels(self.classifier, points, self.target) == self.labels


def problem_of(
    attacked: AttackedMap,
    inputs: Tensor,
    target: Targets | npt.ArrayLike,
    eps: npt.ArrayLike | Tensor,
    classifier: Classifier | None,
    keep_label: bool,
    data_range: tuple[float, float] | None,
    seed: int | None,
) -> AttackProblem:
    """Check what was given, and put it together."""
    inputs, index = batch(inputs, target)
    try:
        sizes = torch.as_tensor(eps, dtype=torch.float64, device=inputs.device).clone()
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentError("eps", eps, f"must be one number, or one for each of {len(inputs)} inputs") from None
    if sizes.ndim > 1 or (sizes.ndim == 1 and len(sizes) != len(inputs)):
        raise ArgumentError("eps", tuple(sizes.shape), f"must be one number, or one for each of {len(inputs)} inputs")
    if not bool((torch.isfinite(sizes) & (sizes >= 0)).all()):
        raise ArgumentError("eps", eps, "must be finite and >= 0")
    if data_range is not None:
        numbers = isinstance(data_range, (tuple, list)) and all(isinstance(end, (int, float)) for end in data_range)
        if not numbers or len(data_range) != 2 or not data_range[0] < data_range[1]:
            raise ArgumentError("data_range", data_range, "must be (lowest, highest), or None for any values")
        if not bool(((inputs >= data_range[0]) & (inputs <= data_range[1])).all()):
            raise ArgumentError("data_range", data_range, "the inputs lie outside; None allows any values")
    checks.flag("keep_label", keep_label)
    # Without a target the model has a single output, and gives no label.
    own = None if index is None else attacked.classifier
    kept = (own if classifier is None else classifier) if keep_label else None
    if keep_label and kept is None:
        raise ArgumentError("keep_label", keep_label, "needs a classifier; without one it must be False")
    labels = None if kept is None else _labels(kept, inputs, index)
    run_seed = seed_of(seed)
    return AttackProblem(attacked, inputs, index, sizes.expand(len(inputs)), kept, labels, data_range, run_seed)


def _labels(classifier: Classifier, points: Maps, target: Tensor | None) -> Int[Tensor, " n"]:
    return classes_of(scores_of(classifier, points, target))


def unit(maps: Maps) -> Maps:
    """Scaled to l2 norm 1; zero stays zero."""
    norm = maps.flatten(1).norm(dim=1)
    return maps / each(torch.where(norm > 0, norm, 1.0), maps)


def each(values: Tensor, like: Tensor) -> Tensor:
    """One value an input, shaped to go with whole inputs."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
