"""Pixel-level certificates (Anani et al. 2025) beside ours: same model, digits, sigma, draws and alpha.

A row for each size eps and share K: which pixels' importance is certain at every x~ within eps,

- *theirs*: the pixel is among the K largest absolute values of a noisy copy's map more often than not, or less often
  than not (`PixelCertification`): with the tau that this eps takes, as if each (eps, K) were asked alone, with draws of
  its own;
- *their claim, our certificate*: the same claim, from intervals of the mean of the map of ones: all eps from one run,
  and no tau chosen beforehand; a run for each K;
- *ours, top K*: the pixel is among the K largest absolute values of the mean map at x and at every x~, or is not: all
  eps and all K from one run;
- *ours, signs*: the mean map's entry keeps its sign: likewise.

Usage: python benchmarks/pixels.py [--inputs N] [--n_samples N] [--model NAME]
"""

from __future__ import annotations

import argparse
import dataclasses
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import attricert as ac
from attricert.attributions import among_largest
from attricert.certificates.ranking import Ranking
from attricert.lab.baselines import PixelCertification
from attricert.lab.baselines.pixelwise import ABSTAIN, classes_of_pixels
from attricert.sampling import Sampler
from attricert.streams import Stream

SIGMA, ALPHA, TOPS, SIZES = 0.125, 0.001, (0.25, 0.5), (0.02, 0.05, 0.0843, 0.12, 0.16, 0.2)
MAX_ENTRY = 0.15  # of the maps whose mean is ranked
PILOT = 10

Classes = npt.NDArray[np.int64]
"""Of each pixel at each size, (inputs, sizes, pixels): 1 among the largest, 0 not, `ABSTAIN` where it is uncertain."""


@dataclass(frozen=True)
class Asked:
    """On what all methods are compared.

    Args:
        attribution: the maps, of one value a pixel.
        x: inputs.
        y: explained classes.
        n: draws.
        sigma: of the noise.
        sizes: eps.
        max_entry: bound on the entries of maps whose mean is ranked.
    """

    attribution: ac.Attribution
    x: Tensor
    y: Tensor
    n: int
    sigma: float = SIGMA
    sizes: tuple[float, ...] = SIZES
    max_entry: float = MAX_ENTRY


def theirs(at: Asked, top: float) -> Classes:
    """One set of counts, judged as each size's own draws would be."""
    asked = PixelCertification(at.attribution, at.sigma, top=top, n_samples=at.n, n_pilot=PILOT, alpha=ALPHA)
    sampler, found = Sampler(at.attribution, ac.Gaussian(at.sigma), ac.Normalize()), []
    for image, target in zip(at.x, at.y, strict=True):
        counts, own = [], sampler.settled(image, target)
        for stage, m in (("pilot", PILOT), ("main", at.n - PILOT)):
            drawn = own.draws(image, target, Stream(0, "", stage), 0, m)
            counts.append(sum(among_largest(draws.rows, top).sum(0).cpu().numpy() for draws in drawn))
        taus = [asked.within(eps).tau for eps in at.sizes]
        found.append([classes_of_pixels(counts[0], PILOT, counts[1], at.n - PILOT, tau, ALPHA) for tau in taus])
    return np.array(found)


def their_claim(at: Asked, top: float) -> Classes:
    """The mean of the map of ones, by our intervals: on one side of a half."""
    ones = ac.Sparsified(at.attribution, top)
    with torch.no_grad():
        pixels = at.attribution(at.x[:1], at.y[:1]).numel()
    smoothed = ac.SmoothedAttribution(ones, ac.Gaussian(at.sigma), ac.Clip(ones.max_norm(pixels), max_entry=1.0))
    certificate = smoothed.certify(at.x, at.y, n_samples=at.n, alpha=ALPHA, seed=0, prove=("entries",))
    low, high = certificate.intervals(at.sizes)
    return flat(np.where(low > 0.5, 1, np.where(high < 0.5, 0, ABSTAIN)))


def ours(at: Asked) -> dict[str, Classes]:
    """Top K for every K, and signs, of the mean map."""
    smoothed = ac.SmoothedAttribution(at.attribution, ac.Gaussian(at.sigma), ac.Normalize(max_entry=at.max_entry))
    certificate = smoothed.certify(
        at.x, at.y, n_samples=at.n, alpha=ALPHA, seed=0, prove=("top_variance", "cone", "entries")
    )
    rankings = [certificate.rankings(eps, absolute=True) for eps in at.sizes]
    found = {f"ours, top {top:.0%}": np.array([[ranked(r, top) for r in size] for size in rankings]) for top in TOPS}
    found = {label: classes.swapaxes(0, 1) for label, classes in found.items()}
    signs = certificate.signs(at.sizes)
    return found | {"ours, signs": flat(np.where(signs != 0, 1, ABSTAIN))}


def ranked(ranking: Ranking, top: float) -> Classes:
    """Of each pixel: among the largest share at x and wherever it may move, or not."""
    k = max(1, round(top * len(ranking.low)))
    return np.where(ranking.stays(k), 1, np.where(never(ranking, k), 0, ABSTAIN))


def never(ranking: Ranking, k: int) -> npt.NDArray[np.bool_]:
    """Features that are among the k largest nowhere: of the negative map, k are surely below them."""
    mirrored = dataclasses.replace(
        ranking, low=-ranking.high, high=-ranking.low, least=-ranking.most, most=-ranking.least
    )
    return np.asarray(mirrored.surely_below() >= k)


def flat(classes: Classes) -> Classes:
    """Maps as rows, (inputs, sizes, pixels)."""
    return classes.reshape(*classes.shape[:2], -1)


def compared(at: Asked) -> Iterator[tuple[str, Classes, float]]:
    """Every method's name, its classes, and its seconds an input."""
    runs: dict[str, Callable[[], dict[str, Classes]]] = {"": lambda: ours(at)}
    for top in TOPS:
        for label, method in (("theirs", theirs), ("their claim, our certificate", their_claim)):
            name = f"{label}, top {top:.0%}"
            runs[name] = lambda name=name, method=method, top=top: {name: method(at, top)}
    for run in runs.values():
        start = time.perf_counter()
        found = run()
        seconds = (time.perf_counter() - start) / len(at.x)
        for name, classes in found.items():
            yield name, classes, seconds


def line(name: str, values: Iterable[float], *more: str) -> None:
    """A row of a table, its numbers rounded down."""
    cells = [f"{np.floor(1e4 * value) / 1e4:.4f}" for value in values]
    print(f"| {' | '.join([name, *cells, *more])} |", flush=True)


def head(first: str, sizes: Iterable[float], *more: str) -> None:
    """Of a table."""
    cells = [first, *(f"eps {eps:g}" for eps in sizes), *more]
    print(f"| {' | '.join(cells)} |")
    print("|---" * len(cells) + "|")


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mnist-standard")
    parser.add_argument("--inputs", type=int, default=10)
    parser.add_argument("--n_samples", type=int, default=10_000)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ac.MeaningWarning)
    model = ac.models.load(asked.model)
    data = ac.datasets.load(asked.model.partition("-")[0], "sample")
    x, g, n = data.images[: asked.inputs], ac.Saliency(model), asked.n_samples
    with torch.no_grad():
        y = model(x).argmax(dim=1)
    head(f"share of pixels, {asked.inputs} inputs, n = {n:,}", SIZES, "s an input")
    for name, classes, seconds in compared(Asked(g, x, y, n)):
        line(name, (classes != ABSTAIN).mean(axis=(0, 2)), f"{seconds:.1f}")


if __name__ == "__main__":
    main()
