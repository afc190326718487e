"""Table 6: the largest eps on CIFAR-10, T = 0.9 and 0.8."""

from __future__ import annotations

from dataclasses import replace

from attricert.lab.experiments.largest_eps import LargestEps

__all__ = ["FULL", "QUICK"]

FULL = LargestEps(
    table="table6",
    data="cifar10",
    models=("cifar10-standard", "cifar10-ig-norm", "cifar10-igr"),
    inputs=20,
    radii=(0.5, 2.0, 3.5),
)
QUICK = replace(FULL, inputs=1, radii=(0.5, 3.5), n_samples=400)
