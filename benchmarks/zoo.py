"""The zoo's models side by side: accuracy, what an attack does to their saliency maps, and what is certified.

Usage: python benchmarks/zoo.py mnist|cifar10 [restarts [attacked [certified]]]
"""

from __future__ import annotations

import sys

import torch

import attricert as ac
from attricert import attacks, metrics

EPS, SIGMA, COSINE, SAMPLES = 1.0, 0.125, 0.9, 10_000
TOP = {"mnist": 100, "cifar10": 1_000}


def row(name: str, data: str, restarts: int, attacked: int, certified: int) -> str:
    """One line of the table."""
    model, images = ac.models.load(name), ac.datasets.load(data, "sample").images
    with torch.no_grad():
        predicted = model(images).argmax(dim=1)
    g, k = ac.Saliency(model), TOP[data]
    found = attacks.PGD(attacks.TopK(k), restarts=restarts).run(
        g, images[:attacked], predicted[:attacked], eps=EPS, seed=0
    )
    sm = ac.SmoothedAttribution(g, ac.Gaussian(SIGMA))
    certificate = sm.certify(images[:certified], predicted[:certified], n_samples=SAMPLES, seed=0, features=False)
    figures = (
        ac.models.card(name).facts["test_accuracy"],
        float(found.cosine.mean()),
        float(metrics.top_k_intersection(found.maps, found.clean, k).mean()),
        float(metrics.kendall_tau(found.maps, found.clean).mean()),
        float(certificate.max_eps(COSINE).mean()),
    )
    return f"| {name} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |"


def main() -> None:
    """The table, a line at a time."""
    data = sys.argv[1]
    counts = [int(value) for value in sys.argv[2:]]
    restarts, attacked, certified = (*counts, *(5, 100, 20)[len(counts) :])
    print(f"| model | test accuracy | cosine | top-{TOP[data]} | tau | certified max_eps({COSINE}) |")
    print("|---|---|---|---|---|---|")
    for name in ac.models.names():
        if ac.models.card(name).facts["data"] == data:
            print(row(name, data, restarts, attacked, certified), flush=True)


if __name__ == "__main__":
    main()
