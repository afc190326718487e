"""How many nodes integrated gradients need under noise: cosine of smoothed maps with those of 100 nodes, same draws.

Usage: python benchmarks/nodes.py
"""

from __future__ import annotations

import torch

import attricert as ac
from attricert.metrics import cosine_similarity

MODEL, SIGMA, DIGITS, SAMPLES, MANY = "mnist-standard", 0.0635, 6, 200, 100


def smoothed(n_steps: int) -> torch.Tensor:
    """Maps of the first digits."""
    data = ac.datasets.load("mnist", "sample").slice(0, DIGITS)
    model = ac.models.load(MODEL)
    attribution = ac.IntegratedGradients(model, n_steps=n_steps)
    maps = ac.SmoothedAttribution(attribution, ac.Gaussian(SIGMA))
    return maps.attribute(data.images, model(data.images).argmax(dim=1), n_samples=SAMPLES, seed=1)


def main() -> None:
    """A line for each number of nodes."""
    reference = smoothed(MANY)
    print(f"{DIGITS} digits, {MODEL}, sigma = {SIGMA}, {SAMPLES} draws; cosine with {MANY} nodes: smallest, largest")
    for n_steps in (1, 2, 3, 5, 10, 20):
        cosine = cosine_similarity(smoothed(n_steps), reference)
        print(f"{n_steps:>3}: {float(cosine.min()):.4f}  {float(cosine.max()):.4f}")


if __name__ == "__main__":
    main()
