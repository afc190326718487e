"""Table 5: the largest eps on MNIST, T = 0.9 and 0.8."""

from __future__ import annotations

from dataclasses import replace

from attricert.lab.experiments.largest_eps import LargestEps

__all__ = ["FULL", "QUICK"]

FULL = LargestEps(table="table5", data="mnist", models=("mnist-standard", "mnist-ig-norm", "mnist-igr"))
QUICK = replace(FULL, inputs=2, radii=(0.5, 2.0, 3.5), n_samples=600)
