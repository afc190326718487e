"""What higher moments add at many samples, and what they cost: MNIST test digits 0-19, Gaussian noise.

Usage: python benchmarks/moments.py [n_samples [digits]]. Writes one line a digit as it goes.
"""

from __future__ import annotations

import dataclasses
import sys
import time

import attricert as ac

SIGMA = 3.5 / 786**0.5


def main() -> None:
    """With moments (2, 4, 6); without them, from the same evidence; and for the first digit from a run of its own."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    data = ac.datasets.load("mnist", split="sample")
    sm = ac.SmoothedAttribution(ac.Saliency(ac.models.load("mnist-standard")), ac.Gaussian(SIGMA))

    def certify(i: int, moments: tuple[int, ...]) -> tuple[ac.Certificate, float]:
        start, x, target = time.perf_counter(), data.images[i : i + 1], data.labels[i : i + 1]
        certificate = sm.certify(x, target, n_samples=n, alpha=1e-3, seed=0, moments=moments)
        return certificate, time.perf_counter() - start

    plain, seconds = certify(0, (2,))
    print(f"digit 0, a run without: {plain.max_eps(0.9)[0]:.5f} ({seconds:.1f} s)", flush=True)
    sums = [0.0, 0.0]
    for i in range(count):
        full, seconds = certify(i, (2, 4, 6))
        dropped = ac.Certificate(dataclasses.replace(full.evidence, moments=None, tail=None))
        with_, without = float(full.max_eps(0.9)[0]), float(dropped.max_eps(0.9)[0])
        sums = [sums[0] + with_, sums[1] + without]
        print(
            f"digit {i}: without {without:.5f}, with {with_:.5f}, {full.binding(with_)[0]} ({seconds:.1f} s)",
            flush=True,
        )
    print(f"mean max_eps(0.9) at n = {n:,}: without {sums[1] / count:.5f}, with {sums[0] / count:.5f}", flush=True)
    print(f"ratio {sums[0] / sums[1]:.4f}")


if __name__ == "__main__":
    main()
