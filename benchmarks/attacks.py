"""What attacks do to plain and to smoothed saliency maps of MNIST test digits, beside what is certified.

Usage: python benchmarks/attacks.py plain [digits [restarts]] | smoothed [digits [budget]] | gradients [digits]
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

import attricert as ac
from attricert import attacks, metrics

EPS, K = 1.0, 100  # plain maps
SIGMA, COSINE, SAMPLES = 0.125, 0.9, 10_000  # smoothed maps
AT = 0.8  # l2 size at which gradients are compared


def setting(count: int) -> tuple[ac.Saliency, torch.Tensor, torch.Tensor]:
    """Saliency of the model, digits, and their predicted classes."""
    model = ac.models.load("mnist-standard")
    x = ac.datasets.load("mnist", split="sample").images[:count]
    with torch.no_grad():
        return ac.Saliency(model), x, model(x).argmax(dim=1)


def plain(count: int = 100, restarts: int = 20) -> None:
    """Top-100 intersection after attacks of the paper's size, and after noise of that size."""
    g, x, y = setting(count)
    for name, attack in {
        "random noise": attacks.RandomNoise(attacks.TopKLoss(K)),
        "PGD, top-k": attacks.PGD(attacks.TopKLoss(K), restarts=restarts),
        "PGD, top-k mass": attacks.PGD(attacks.TopKLoss(K, mass=True), restarts=1),
        "PGD, cosine": attacks.PGD(attacks.CosineLoss(), restarts=1),
        "PGD, mass center": attacks.PGD(attacks.MassCenterLoss(), restarts=1),
    }.items():
        start = time.perf_counter()
        found = attack.run(g, x, y, eps=EPS, seed=0)
        with torch.no_grad():
            kept = int((g.model(found.inputs).argmax(dim=1) == y).sum())
        top = metrics.top_k_intersection(found.maps, found.clean, K).mean()
        tau = metrics.kendall_tau(found.maps, found.clean).mean()
        print(
            f"{name}: top-{K} {top:.3f}, cosine {found.cosine.mean():.3f}, tau {tau:.3f}, "
            f"labels kept {kept} of {count}, size at most {found.size.max():.6f} ({time.perf_counter() - start:.0f} s)",
            flush=True,
        )


def smoothed(count: int = 20, budget: float = 1.0) -> None:
    """Certified eps, the eps at which the strongest attack breaks T, and their ratio."""
    g, x, y = setting(count)
    sm = ac.SmoothedAttribution(g, ac.Gaussian(SIGMA))
    certificate = sm.certify(x, y, n_samples=SAMPLES, alpha=1e-3, seed=0, prove=["top_variance", "cone", "prediction"])
    ratios = []
    for i in range(count):
        start = time.perf_counter()
        both = attacks.sandwich(
            certificate[i : i + 1],
            sm,
            x[i : i + 1],
            y[i : i + 1],
            cosine=COSINE,
            attack=attacks.Strong(budget=budget),
            steps=5,
            n_samples=4_000,
            seed=i,
        )
        ratios.append(float(both.ratio[0]))
        print(
            f"digit {i}: certified {both.max_eps[0]:.4f}, broken {both.broken_eps[0]:.4f}, ratio {ratios[-1]:.3f}, "
            f"crossings {int(both.crossings.sum())} ({time.perf_counter() - start:.0f} s)",
            flush=True,
        )
    print(f"mean ratio certified / broken: {np.mean(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})")


def gradients(count: int = 5) -> None:
    """Cosine that each way to a gradient gets to on smoothed maps, and its time an input."""
    g, x, y = setting(count)
    sm = ac.SmoothedAttribution(g, ac.Gaussian(SIGMA))
    for attack in (
        attacks.RandomNoise(),
        attacks.Linear(),
        attacks.PGD(steps=60, restarts=1, step=0.2),
        attacks.PGD(steps=60, restarts=1, step=0.2, draws=128),
        attacks.PGD(steps=20, restarts=1, draws=512, method="score"),
        attacks.PGD(steps=20, restarts=1, draws=2048, method="score"),
        attacks.Strong(),
    ):
        start = time.perf_counter()
        found = attack.run(sm, x, y, eps=AT, keep_label=False, data_range=None, n_samples=4_000, seed=0)
        seconds = (time.perf_counter() - start) / count
        print(f"{attack}: cosine {found.cosine.mean():.4f} ({seconds:.1f} s an input)", flush=True)


if __name__ == "__main__":
    numbers = [float(value) if "." in value else int(value) for value in sys.argv[2:]]
    {"plain": plain, "smoothed": smoothed, "gradients": gradients}[sys.argv[1]](*numbers)
