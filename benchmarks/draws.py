"""How many draws `stop_at` takes: MNIST test digits, Gaussian(0.125), Saliency, alpha = 0.001, n_samples = 10,000.

For each digit E is its certified max_eps(0.9) from all 10,000 draws, and the claim is a cosine of 0.9 or more at a part
of E. Told are the draws that `stop_at` took, pilot included, and the least ``n_samples`` of a grid with which a
certificate without it proves the claim.

Usage: python benchmarks/draws.py [digits [parts of E, with commas]]. Writes one line a digit as it goes.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import torch

import attricert as ac

N, ALPHA, COSINE = 10_000, 1e-3, 0.9
PROVE = ("top_variance", "cone")
GRID = (300, 400, 500, 600, 800, 1_000, 1_300, 1_600, 2_000, 2_500, 3_200, 4_000, 5_000, 6_500, 8_000)


def main() -> None:
    """All digits, then medians and quartiles."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    parts = [float(part) for part in (sys.argv[2] if len(sys.argv) > 2 else "0.5").split(",")]
    data = ac.datasets.load("mnist", split="sample")
    sm = ac.SmoothedAttribution(ac.Saliency(ac.models.load("mnist-standard")), ac.Gaussian(0.125))

    def certify(x: torch.Tensor, y: torch.Tensor, n: int, claim: ac.Claim | None = None) -> ac.Certificate:
        prove = PROVE if claim is None else PROVE[:1]
        return sm.certify(x, y, n_samples=n, alpha=ALPHA, seed=0, prove=prove, stop_at=claim, preflight=False)

    outcomes = {part: Counter[str]() for part in parts}
    taken: dict[float, list[int]] = {part: [] for part in parts}
    fixed: dict[float, list[float]] = {part: [] for part in parts}
    for i in range(count):
        x, y = data.images[i : i + 1], data.labels[i : i + 1]
        largest = float(certify(x, y, N).max_eps(COSINE)[0])
        least = dict.fromkeys(parts, float("inf"))
        for n in GRID:
            waiting = [part for part in parts if least[part] > n]
            if not waiting:
                break
            cosines = certify(x, y, n).cosine(np.array(waiting) * largest)[0]
            least |= {part: n for part, cosine in zip(waiting, cosines, strict=True) if cosine >= COSINE}
        for part in parts:
            evidence = certify(x, y, N, ac.Claim(eps=part * largest, cosine=COSINE)).evidence
            draws = int(evidence.sampling.n_samples[0] + evidence.sampling.n_pilot[0])
            outcomes[part][evidence.outcome[0]] += 1
            taken[part].append(draws)
            fixed[part].append(least[part])
            text = f"digit {i}: E {largest:.4f}, part {part}: {evidence.outcome[0]} with {draws}, fixed {least[part]}"
            print(text, flush=True)
    for part in parts:
        for name, values in (("stop_at", taken[part]), ("fixed", fixed[part])):
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], method="lower")
            print(f"part {part}, {name}: median {middle:,.0f}, quartiles {low:,.0f} and {high:,.0f}")
        print(f"part {part}: {dict(outcomes[part])}", flush=True)


if __name__ == "__main__":
    main()
