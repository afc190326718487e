"""Cross-entropy, on clean or on noisy images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import nn
from torch.nn import functional

from attricert import checks
from attricert.lab.training.objectives.base import Images, Labels, Objective, Scalar

__all__ = ["NoiseAugmented", "Standard"]


@final
@dataclass(frozen=True)
class Standard(Objective):
    """CE(f(x), y)."""

    def __call__(self, model: nn.Module, images: Images, labels: Labels, generator: torch.Generator) -> Scalar:
        """The mean cross-entropy."""
        return functional.cross_entropy(model(images), labels)


@final
@dataclass(frozen=True)
class NoiseAugmented(Objective):
    """CE(f(x + a), y), a ~ N(0, sigma^2 I) (Cohen et al. 2019); the noisy image is not clipped, as in smoothing.

    Args:
        sigma: standard deviation, in input units.
    """

    sigma: float

    def __post_init__(self) -> None:
        checks.positive("sigma", self.sigma)

    def __call__(self, model: nn.Module, images: Images, labels: Labels, generator: torch.Generator) -> Scalar:
        """The mean cross-entropy on noisy copies."""
        noise = torch.randn(images.shape, generator=generator, dtype=images.dtype).to(images.device)
        return functional.cross_entropy(model(images + self.sigma * noise), labels)
