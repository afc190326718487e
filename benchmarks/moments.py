"""What higher moments add at many samples, and what they cost: MNIST test digits 0-19, Gaussian noise.

Usage: python benchmarks/moments.py [n_samples [digits]]. Writes one line a digit as it goes.
"""

from __future__ import annotations

import sys
import time

import attricert as ac

SIGMA = 3.5 / 786**0.5


def main() -> None:
    """With moments (2, 4, 6) and without, from the same draws."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    data = ac.datasets.load("mnist", split="sample")
    sm = ac.SmoothedAttribution(ac.Saliency(ac.models.load("mnist-standard")), ac.Gaussian(SIGMA))
    totals = [0.0, 0.0, 0.0, 0.0]
    for i in range(count):
        row = []
        for moments in ((2,), (2, 4, 6)):
            start = time.perf_counter()
            x, target = data.images[i : i + 1], data.labels[i : i + 1]
            certificate = sm.certify(x, target, n_samples=n, alpha=1e-3, seed=0, moments=moments)
            row += [float(certificate.max_eps(0.9)[0]), time.perf_counter() - start]
        totals = [total + value for total, value in zip(totals, row, strict=True)]
        print(f"digit {i}: without {row[0]:.5f} ({row[1]:.1f} s), with {row[2]:.5f} ({row[3]:.1f} s)", flush=True)
    without, seconds, with_, more = (total / count for total in totals)
    print(f"mean max_eps(0.9) at n = {n:,}: without {without:.5f}, with {with_:.5f}, ratio {with_ / without:.4f}")
    print(f"time: {more / seconds:.2f} times as long")


if __name__ == "__main__":
    main()
