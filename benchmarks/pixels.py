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
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import attricert as ac
from attricert.attributions import among_largest
from attricert.lab.baselines import PixelCertification
from attricert.lab.baselines.pixelwise import classes_of_pixels
from attricert.sampling import Sampler
from attricert.streams import Stream

SIGMA, ALPHA, TOPS, SIZES = 0.125, 0.001, (0.25, 0.5), (0.02, 0.05, 0.0843, 0.12, 0.16, 0.2)
MAX_ENTRY = 0.15  # of the maps whose mean is ranked
PILOT = 10

Shares = npt.NDArray[np.float64]


def theirs(attribution: ac.Attribution, x: Tensor, y: Tensor, n: int, top: float) -> Shares:
    """Shares of certified pixels, (inputs, sizes): one set of counts, judged as each size's own draws would be."""
    asked = PixelCertification(attribution, SIGMA, top=top, n_samples=n, n_pilot=PILOT, alpha=ALPHA)
    sampler, found = Sampler(attribution, ac.Gaussian(SIGMA), ac.Normalize()), []
    for image, target in zip(x, y, strict=True):
        counts = []
        for stage, m in (("pilot", PILOT), ("main", n - PILOT)):
            drawn = sampler.draws(image, target, Stream(0, "", stage), 0, m)
            counts.append(sum(among_largest(draws.rows, top).sum(0).numpy() for draws in drawn))
        taus = [asked.within(eps).tau for eps in SIZES]
        found.append(
            [(classes_of_pixels(counts[0], PILOT, counts[1], n - PILOT, tau, ALPHA) >= 0).mean() for tau in taus]
        )
    return np.array(found)


def their_claim(attribution: ac.Attribution, x: Tensor, y: Tensor, n: int, top: float) -> Shares:
    """The mean of the map of ones, by our intervals: on one side of a half."""

    ones = ac.Sparsified(attribution, top)
    smoothed = ac.SmoothedAttribution(ones, ac.Gaussian(SIGMA), ac.Clip(ones.max_norm(x[0].numel()), max_entry=1.0))
    certificate = smoothed.certify(x, y, n_samples=n, alpha=ALPHA, seed=0, prove=("entries",))
    low, high = certificate.intervals(SIZES)
    return share((low > 0.5) | (high < 0.5))


def ours(attribution: ac.Attribution, x: Tensor, y: Tensor, n: int) -> dict[str, Shares]:
    """Top K for every K, and signs, of the mean map."""
    smoothed = ac.SmoothedAttribution(attribution, ac.Gaussian(SIGMA), ac.Normalize(max_entry=MAX_ENTRY))
    certificate = smoothed.certify(x, y, n_samples=n, alpha=ALPHA, seed=0, prove=("top_variance", "cone", "entries"))
    d, found = x[0].numel(), dict[str, Shares]()
    for top in TOPS:
        k = max(1, round(top * d))
        found[f"ours, top {top:.0%}"] = np.array(
            [[(r.stays(k) | never(r, k)).mean() for r in certificate.rankings(eps, absolute=True)] for eps in SIZES]
        ).T
    found["ours, signs"] = share(certificate.signs(SIZES) != 0)
    return found


def never(ranking: Any, k: int) -> npt.NDArray[np.bool_]:
    """Features that are among the k largest nowhere: of the negative map, k are surely below them."""
    mirrored = dataclasses.replace(
        ranking, low=-ranking.high, high=-ranking.low, least=-ranking.most, most=-ranking.least
    )
    return np.asarray(mirrored.surely_below() >= k)


def one(method: Callable[..., Shares], *arguments: Any) -> dict[str, Shares]:
    """Of a method with one line, which is named where it is called."""
    return {"": method(*arguments)}


def share(flags: npt.NDArray[np.bool_]) -> Shares:
    """Of pixels, (inputs, sizes)."""
    return np.asarray(flags.reshape(*flags.shape[:2], -1).mean(axis=2))


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
    runs: dict[str, Callable[[], dict[str, Shares]]] = {"ours": lambda: ours(g, x, y, n)}
    for top in TOPS:
        runs[f"theirs, top {top:.0%}"] = partial(one, theirs, g, x, y, n, top)
        runs[f"their claim, our certificate, top {top:.0%}"] = partial(one, their_claim, g, x, y, n, top)
    sizes = " | ".join(f"eps {eps:g}" for eps in SIZES)
    print(f"| share of pixels, {asked.inputs} inputs, n = {n:,} | {sizes} | s an input |")
    print("|---" * (len(SIZES) + 2) + "|")
    for label, run in runs.items():
        start = time.perf_counter()
        found = {name or label: values for name, values in run().items()}
        seconds = (time.perf_counter() - start) / asked.inputs
        for name, values in found.items():
            cells = [f"{np.floor(1e4 * value) / 1e4:.4f}" for value in values.mean(axis=0)]
            print(f"| {name} | {' | '.join(cells)} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
