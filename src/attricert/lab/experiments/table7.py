"""Table 7: the largest eps at d = 150,528, T = 0.9 and 0.8 (extra imagenet)."""

from __future__ import annotations

from dataclasses import replace

from attricert.lab.experiments.largest_eps import LargestEps

__all__ = ["FULL", "QUICK"]

FULL = LargestEps(
    table="table7", data="photographs", models=("imagenet-efficientnet-lite0",), inputs=5, radii=(0.5, 3.5)
)
QUICK = replace(FULL, inputs=1, radii=(3.5,), n_samples=200)
