"""What is attacked, and the limits that every attack obeys: the ball, the data range, the label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attricert import checks
from attricert.arguments import batch
from attricert.attacks.attacked_map import AttackedMap, FixedNoiseMap, Maps, as_attacked_map
from attricert.attributions import Classifier, Targets, classes_of, scores_of
from attricert.errors import ArgumentError
from attricert.streams import Stream, fresh_seed

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

    def stream(self, stage: str) -> Stream:
        """Random numbers that depend on seed and stage only: an input's results do not depend on its neighbours."""
        return Stream(self.seed, "attack", stage)

    def random(self, stage: str) -> Maps:
        """Unit vectors, one an input, of random direction."""
        normal = self.stream(stage).rows(0, 1, self.inputs.dtype, self.inputs.device).normal(self.inputs[0].numel())
        return unit(normal.reshape(1, *self.inputs.shape[1:]).expand_as(self.inputs))

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
        return _labels(self.classifier, points) == self.labels


def problem_of(
    what: Any,
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
    sizes = torch.as_tensor(eps, dtype=torch.float64, device=inputs.device).clone()
    if sizes.ndim > 1 or (sizes.ndim == 1 and len(sizes) != len(inputs)):
        raise ArgumentError("eps", tuple(sizes.shape), f"must be one number, or one for each of {len(inputs)} inputs")
    if not bool((torch.isfinite(sizes) & (sizes >= 0)).all()):
        raise ArgumentError("eps", eps, "must be finite and >= 0")
    if data_range is not None and not bool(((inputs >= data_range[0]) & (inputs <= data_range[1])).all()):
        raise ArgumentError("data_range", data_range, "the inputs lie outside; None allows any values")
    attacked = as_attacked_map(what, classifier)
    # Without a target the model has a single output, and gives no label.
    own = None if index is None else attacked.classifier
    kept = (own if classifier is None else classifier) if keep_label else None
    if keep_label and kept is None:
        raise ArgumentError("keep_label", keep_label, "needs a classifier; without one it must be False")
    labels = None if kept is None else _labels(kept, inputs)
    run_seed = fresh_seed() if seed is None else checks.count("seed", seed, 0)
    return AttackProblem(attacked, inputs, index, sizes.expand(len(inputs)), kept, labels, data_range, run_seed)


def _labels(classifier: Classifier, points: Maps) -> Int[Tensor, " n"]:
    return classes_of(scores_of(classifier, points), len(points))


def unit(maps: Maps) -> Maps:
    """Scaled to l2 norm 1; zero stays zero."""
    norm = maps.flatten(1).norm(dim=1)
    return maps / each(torch.where(norm > 0, norm, 1.0), maps)


def each(values: Tensor, like: Tensor) -> Tensor:
    """One value an input, shaped to go with whole inputs."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
