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

__all__ = ["Cosine", "Loss", "MassCenter", "TargetMap", "TopK"]

Maps = Float[Tensor, "n *features"]


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
class Cosine(Loss):
    """Cosine similarity with the clean map: what certificates bound."""

    def __call__(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """The cosine."""
        return cosine_similarity(maps, clean)

    def score(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """The cosine."""
        return cosine_similarity(maps, clean)


@final
@dataclass(frozen=True)
class TopK(Loss):
    """Share of the map's mass on the k largest features of the clean map (Ghorbani et al. 2019).

    Args:
        k: number of features; the paper takes 100 for MNIST and 1,000 for CIFAR-10.
        absolute: the k largest absolute values, and the share of absolute mass (Ghorbani's form). Otherwise signed
            values, and the sum relative to the map's l2 norm.
    """

    k: int
    absolute: bool = False

    def __post_init__(self) -> None:
        checks.count("k", self.k, 1)

    def __call__(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """Sum over the features, relative to the map's size."""
        values, reference = maps.flatten(1), clean.flatten(1)
        if self.absolute:
            values, reference = values.abs(), reference.abs()
        top = reference.argsort(dim=1, descending=True, stable=True)[:, : self.k]
        size = values.sum(dim=1) if self.absolute else values.norm(dim=1)
        return values.gather(1, top).sum(dim=1) / size

    def score(self, maps: Maps, clean: Maps) -> Float[Tensor, " n"]:
        """Top-k intersection."""
        return top_k_intersection(maps, clean, self.k, absolute=self.absolute)


@final
@dataclass(frozen=True)
class MassCenter(Loss):
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
class TargetMap(Loss):
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
        raise ArgumentError("loss", "MassCenter()", "needs maps of images, with height and width as last dimensions")
    height, width = maps.shape[-2:]
    mass = maps.abs().reshape(len(maps), -1, height, width).sum(dim=1)
    total = mass.sum(dim=(1, 2))
    rows = torch.arange(height, dtype=maps.dtype, device=maps.device)
    columns = torch.arange(width, dtype=maps.dtype, device=maps.device)
    return torch.stack([(mass.sum(dim=2) @ rows) / total, (mass.sum(dim=1) @ columns) / total], dim=1)
