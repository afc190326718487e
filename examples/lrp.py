"""Certify layer-wise relevance propagation, by Zennit or by Captum.

Run: python examples/lrp.py zennit  (or captum; no download)
Zennit imports torchvision, which must be of the same build as torch (both for the CPU, or both for one CUDA).
"""

import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

import attricert as ac


def by_zennit(model: nn.Module) -> Callable:
    """Epsilon-plus rules; Zennit takes the output's gradient, here one at the target's score."""
    from zennit.attribution import Gradient
    from zennit.composites import EpsilonPlus

    def relevance(inputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        with Gradient(model, EpsilonPlus()) as attributor:
            return attributor(inputs, torch.eye(10, dtype=inputs.dtype)[target])[1]

    return ac.wrap(relevance)


def by_captum(model: nn.Module) -> Callable:
    """Captum's default, the epsilon rule."""
    from captum.attr import LRP

    return ac.wrap(LRP(model))


class Digits(nn.Module):
    """Of layers that both know."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=2), nn.ReLU())
        self.head = nn.Linear(256, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images).flatten(1))


def trained(images: torch.Tensor, labels: torch.Tensor) -> Digits:
    """With the noise of the smoothing."""
    torch.manual_seed(0)
    model = Digits()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images + 0.25 * torch.randn_like(images)), labels).backward()
        optimizer.step()
    return model.eval()


def main(by: str = "captum", n_samples: int = 1_000) -> ac.Certificate:
    """Certify the relevance of two digits."""
    data = ac.datasets.load("mnist", split="sample")
    model = trained(data.images, data.labels)
    x, y = data.images[:2], data.labels[:2]
    attribution = {"zennit": by_zennit, "captum": by_captum}[by](model)
    smoothed = ac.SmoothedAttribution(attribution, ac.Gaussian(0.25), classifier=model)
    certificate = smoothed.certify(x, y, n_samples=n_samples, seed=0)
    shown = np.floor(1000 * certificate.max_eps(cosine=0.8)) / 1000  # lower bounds, so rounded down
    print(f"LRP by {by}: cosine 0.8 up to eps {' '.join(f'{eps:.3f}' for eps in shown)}")
    return certificate


if __name__ == "__main__":
    main(*sys.argv[1:2])
