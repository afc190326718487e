"""Integrated gradients by a rule and by random nodes: what a draw costs, what is certified, how alike the maps are.

python benchmarks/path.py speed | draws | gradients | likeness DIGITS
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator

import torch

import attricert as ac
from attricert.metrics import cosine_similarity

MODEL, SIGMA, COSINE, SEED = "mnist-standard", 0.0635, 0.9, 0
BOUNDS = (ac.Normalize(), ac.Clip(5.0))  # no draw of these digits is that large, at any node
RULE, RANDOM, MANY = 32, (1, 2, 4), 50
TURNS, TURN = 5, 256
DRAWS, GRADIENTS = 2_000, 5_000
REFERENCE = 100  # draws of MANY nodes, and as many gradients of the others


def attributions(rules: tuple[int, ...]) -> dict[str, tuple[ac.Attribution, int]]:
    """By name, with gradients a draw."""
    model = ac.models.load(MODEL)
    by_rule = {f"rule of {n} nodes": (ac.IntegratedGradients(model, n_steps=n), n) for n in rules}
    random = {f"random, {n} a draw": (ac.StochasticIntegratedGradients(model, n_steps=n), n) for n in RANDOM}
    return {**by_rule, **random}


def pictures(digits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first digits, with the classes that the model predicts."""
    images = ac.datasets.load("mnist", "sample").slice(0, digits).images
    return images, ac.models.load(MODEL)(images).argmax(dim=1)


def certified(g: ac.Attribution, bound: ac.Bound, digits: int, draws: int) -> ac.Certificate:
    """All of them, by cones."""
    smoothed = ac.SmoothedAttribution(g, ac.Gaussian(SIGMA), bound)
    return smoothed.certify(*pictures(digits), n_samples=draws, seed=SEED, prove=["cone"])


def speed(digits: int) -> Iterator[str]:
    """Draws a second, in turns, relative to the rule's of the same round."""
    x, y = pictures(digits)
    ways = attributions((RULE,))
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS + 1):
        for name in (*ways, *reversed(ways))[turn % 2 * len(ways) :][: len(ways)]:
            smoothed = ac.SmoothedAttribution(ways[name][0], ac.Gaussian(SIGMA))
            begun = time.perf_counter()
            smoothed.certify(x, y, n_samples=TURN, seed=turn, prove=["cone"])
            seconds[name].append(time.perf_counter() - begun)
    first = next(iter(ways))
    for name, taken in seconds.items():
        ratios = sorted(a / b for a, b in zip(seconds[first][1:], taken[1:], strict=True))  # the first round warms up
        yield f"{name}: {statistics.median(ratios):.1f} times the draws a second ({ratios[0]:.1f} to {ratios[-1]:.1f})"


def at_equal_draws(digits: int) -> Iterator[str]:
    """The certified size, a digit each, and its median ratio to the rule's."""
    for bound in BOUNDS:
        yield f"{bound}, {DRAWS:,} draws, max_eps({COSINE})"
        yield from _sizes({name: (g, DRAWS) for name, (g, _) in attributions((RULE,)).items()}, bound, digits)


def at_equal_gradients(digits: int) -> Iterator[str]:
    """The same where all pay for as many gradients."""
    for bound in BOUNDS:
        yield f"{bound}, {GRADIENTS:,} gradients, max_eps({COSINE})"
        ways = {name: (g, GRADIENTS // each) for name, (g, each) in attributions((2, 5, MANY)).items()}
        yield from _sizes(ways, bound, digits)


def _sizes(ways: dict[str, tuple[ac.Attribution, int]], bound: ac.Bound, digits: int) -> Iterator[str]:
    """Of attributions with their draws."""
    first = None
    for name, (g, draws) in ways.items():
        sizes = certified(g, bound, digits, draws).max_eps(COSINE)
        first = sizes if first is None else first
        ratio = statistics.median(a / b for a, b in zip(sizes, first, strict=True))
        median = statistics.median(map(float, sizes))
        yield f"  {name}: median {median:.4f} ({' '.join(f'{e:.4f}' for e in sizes)}), ratio {ratio:.3f}"


def likeness(digits: int) -> Iterator[str]:
    """Cosine of smoothed maps with those of many nodes; smallest, median, largest over digits."""
    for bound in BOUNDS:
        yield f"{bound}, cosine with {MANY} nodes, {REFERENCE * MANY:,} gradients each"
        maps = {}
        for name, (g, gradients) in attributions((MANY, 2, 5)).items():
            smoothed = ac.SmoothedAttribution(g, ac.Gaussian(SIGMA), bound)
            maps[name] = smoothed.attribute(*pictures(digits), n_samples=REFERENCE * MANY // gradients, seed=SEED)
            cosine = sorted(map(float, cosine_similarity(maps[name], next(iter(maps.values())))))
            yield f"  {name}: {cosine[0]:.4f} {statistics.median(cosine):.4f} {cosine[-1]:.4f}"


MEASURED = {"speed": speed, "draws": at_equal_draws, "gradients": at_equal_gradients, "likeness": likeness}


def main(what: str, digits: str) -> None:
    """Lines, as they come."""
    torch.set_num_threads(1)
    print(f"{MODEL}, sigma = {SIGMA}, {digits} digits, one thread")
    for line in MEASURED[what](int(digits)):
        print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
