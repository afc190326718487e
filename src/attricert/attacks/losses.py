"""What an attack on a map aims at: the smaller, the further the map is from what it was."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from attricert import checks
from attricert.errors import ArgumentError
from attricert.metrics import cosine_similarity, top_k_intersection

__all__ = ["CosineLoss", "Loss", "MassCenterLoss", "TargetMapLoss", "TopKLoss"]

Maps = Float[Tensor, "n *features"]

_SOFTNESS = 0.1  # width of the soft count, relative to the mean of the k largest; of 0.03 to 1 the best on MNIST


class Loss(ABC):
    """A differentiable loss, and the score by which results are compared; attacks make both small."""

    @abstractmethod
    def __call__(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """The loss of each map, given the map of the clean input."""

    @abstractmethod
    def score(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """What the attack is judged by."""


@final
@dataclass(frozen=True)
class CosineLoss(Loss):
    """CosineLoss similarity with the clean map: what certificates bound."""

    def __call__(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """The cosine."""
        return cosine_similarity(maps, clean)

    def score(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """The cosine."""
        return cosine_similarity(maps, clean)


@final
@dataclass(frozen=True)
class TopKLoss(Loss):
    """How many of the k largest features of the clean map are among the k largest, softly counted.

    A feature counts by the logistic function of how far it lies above the threshold, the mean of the values around
    the k-th largest. That works where the rank is decided, and gets further than Ghorbani's share of mass.

    Args:
        k: number of features; the paper takes 100 for MNIST and 1,000 for CIFAR-10.
        absolute: rank absolute values.
        mass: instead, the map's sum over those features, relative to its l2 norm or, for absolute values, to its
            whole mass (Ghorbani et al. 2019).
    """

    k: int
    absolute: bool = False
    mass: bool = False

    def __post_init__(self) -> None:
        checks.keep(self, k=checks.count("k", self.k, 1))

    def __call__(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """The soft count's share of k, or the share of mass."""
        values, reference = maps.flatten(1), clean.flatten(1)
        if self.absolute:
            values, reference = values.abs(), reference.abs()
        top = values.gather(1, reference.argsort(dim=1, descending=True, stable=True)[:, : self.k])
        if self.mass:
            return top.sum(dim=1) / (values.sum(dim=1) if self.absolute else values.norm(dim=1))
        ordered = values.sort(dim=1, descending=True).values
        around = max(1, self.k // 2)
        threshold = ordered[:, self.k - around : self.k + around].mean(dim=1, keepdim=True)
        width = _SOFTNESS * ordered[:, : self.k].abs().mean(dim=1, keepdim=True).detach()
        return torch.sigmoid((top - threshold) / width).mean(dim=1)

    def score(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """Top-k intersection."""
        return top_k_intersection(maps, clean, self.k, absolute=self.absolute)


@final
@dataclass(frozen=True)
class MassCenterLoss(Loss):
    """Minus the distance, in pixels, between the centers of absolute mass of both maps (Ghorbani et al. 2019)."""

    def __call__(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """Minus the distance."""
        step = _center(maps) - _center(clean)
        # A distance has no gradient at 0.
        return -(((step**2).sum(dim=1) + 1e-12).sqrt())

    def score(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """Minus the distance."""
        return self(maps, clean)


@final
@dataclass(frozen=True, eq=False)
class TargetMapLoss(Loss):
    """Minus the cosine similarity with a given map, which the attack draws the explanation to.

    Args:
        target_map: shape of one input, or of all (n, ...).
    """

    target_map: Tensor

    def __call__(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """Minus the cosine."""
        target = self.target_map.to(maps)
        return -cosine_similarity(maps, target if target.ndim == maps.ndim else target.expand_as(maps))

    def score(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """Minus the cosine."""
        return self(maps, clean)


def _center(maps: Maps) -> Float[Tensor, "n 2"]:
    if maps.ndim < 3:
        raise ArgumentError(
            "loss", "MassCenterLoss()", "needs maps of images, with height and width as last dimensions"
        )
    height, width = maps.shape[-2:]
    mass = maps.abs().reshape(len(maps), -1, height, width).sum(dim=1)
    total = mass.sum(dim=(1, 2))
    rows = torch.arange(height, dtype=maps.dtype, device=maps.device)
    columns = torch.arange(width, dtype=maps.dtype, device=maps.device)
    return torch.stack([(mass.sum(dim=2) @ rows) / total, (mass.sum(dim=1) @ columns) / total], dim=1)
