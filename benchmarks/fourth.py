"""What the fourth moment adds at many samples, and what it costs: MNIST test digits 0-19, Gaussian noise.

Usage: python benchmarks/fourth.py [n_samples [digits]]. Writes one line a digit as it goes.
"""

from __future__ import annotations

import sys
import time

import attricert as ac

SIGMA = 3.5 / 786**0.5
WITHOUT = ("top_variance", "cone", "entries", "prediction")
WITH = (*WITHOUT, "fourth")


def main() -> None:
    """A run without and a run with it, from the same draws, each digit."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    data = ac.datasets.load("mnist", split="sample")
    sm = ac.SmoothedAttribution(ac.Saliency(ac.models.load("mnist-standard")), ac.Gaussian(SIGMA))

    def certify(i: int, prove: tuple[str, ...]) -> tuple[float, float]:
        start, x, target = time.perf_counter(), data.images[i : i + 1], data.labels[i : i + 1]
        certificate = sm.certify(x, target, n_samples=n, alpha=1e-3, seed=0, prove=prove)
        return float(certificate.max_eps(0.9)[0]), time.perf_counter() - start

    sums = [0.0, 0.0]
    for i in range(count):
        (without, seconds), (with_, more) = certify(i, WITHOUT), certify(i, WITH)
        sums = [sums[0] + with_, sums[1] + without]
        print(f"digit {i}: without {without:.5f} ({seconds:.1f} s), with {with_:.5f} ({more:.1f} s)", flush=True)
    print(f"mean max_eps(0.9) at n = {n:,}: without {sums[1] / count:.5f}, with {sums[0] / count:.5f}", flush=True)
    print(f"ratio {sums[0] / sums[1]:.4f}")


if __name__ == "__main__":
    main()
