"""What the preflight costs: certify with and without it, alternately, on the same work.

python benchmarks/preflight.py [pairs]
"""

import statistics
import sys
import time

import torch
from alternating import alternate

import attricert as ac

SAMPLES = 10_000


def main(pairs=10):
    torch.set_num_threads(1)
    data = ac.datasets.load("mnist", "sample")
    smoothed = ac.SmoothedAttribution(ac.Saliency(ac.models.load("mnist-standard")), ac.Gaussian(0.155))
    x, y = data.images[:1], data.labels[:1]

    def certify(preflight):
        return lambda: smoothed.certify(x, y, n_samples=SAMPLES, seed=0, preflight=preflight)

    with_it, without = alternate({True: certify(True), False: certify(False)}, pairs).values()
    # The two differ by less than one certify differs from the next: what the calls take is measured by themselves, too.
    batch = smoothed._batch(x, y, None)[0]
    sampler = smoothed._sampler(smoothed._classifier(y))
    alone = []
    for _ in range(10 * pairs):
        begun = time.perf_counter()
        smoothed._preflight(sampler, batch).again()
        alone.append(time.perf_counter() - begun)
    share = statistics.median(alone) / statistics.median(without)
    print(f"{SAMPLES:,} samples of mnist-standard, one thread, {pairs} pairs")
    print(f"with / without: {statistics.median(with_it) / statistics.median(without):.4f} of the medians, ", end="")
    print(f"{statistics.median(a / b for a, b in zip(with_it, without, strict=True)):.4f} of the pairs, ", end="")
    print(f"{min(with_it) / min(without):.4f} of the least")
    print(f"the preflight alone: {1e3 * statistics.median(alone):.1f} ms, {100 * share:.2f} % of a certify")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
