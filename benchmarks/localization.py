"""Certified localization (the second metric of Anani et al. 2025): is a class explained by where it is?

A grid of four pictures of different classes, each recognized by itself with a probability >= 0.99 (photographs: 0.5);
one of them is explained. A column for each size eps: of the pixels that are certain to be among the K largest, the
share in the cell of the explained class (0 where none is certain), the mean over grids; with how many are certain.

- *theirs*, *their claim, our certificate*, *ours, top K*: as in ``pixels.py``;
- *ours, share of the map*: nothing is reduced to ones; a lower bound on the cell's share of the mean map's sum at every
  x~ within eps (pointing game on a grid, R. Rao et al. 2022), from two functionals, one run for all eps;
- *mean map, not certified*: the same share, estimated at x.

Digits: the classifier's scores are the mean of those of the four cells (it takes 28 x 28). Photographs: EfficientNet
takes the whole grid, and ends in a mean over places itself; its maps' channels are summed, as the authors do.

Usage: python benchmarks/localization.py [--data {mnist,photographs}] [--attribution NAME] [--grids N] [--n_samples N]
[--device cuda]
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import numpy.typing as npt
import torch
from pixels import ALPHA, TOPS, Asked, compared, head, line
from torch import Tensor, nn

import attricert as ac
from attricert.lab.baselines.pixelwise import localization

CONFIDENT = {"mnist": 0.99, "photographs": 0.5}  # of the 20 photographs four are recognized with 0.97 or more
SIZES = {"mnist": (0.02, 0.05, 0.0843, 0.12, 0.2), "photographs": (0.02, 0.05, 0.1012, 0.2, 0.3)}
SIGMAS = {"mnist": 0.125, "photographs": 0.15}
MODELS = {"mnist": "mnist-standard", "photographs": "imagenet-efficientnet-lite0"}


class Cells(nn.Module):
    """A classifier of one cell, for a grid of them: the mean of its scores over the four."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, 2 height, 2 width) to (n, classes)."""
        n, c, height, width = x.shape
        cells = x.reshape(n, c, 2, height // 2, 2, width // 2).permute(0, 2, 4, 1, 3, 5)
        scores: Tensor = self.model(cells.reshape(4 * n, c, height // 2, width // 2))
        return scores.reshape(n, 4, -1).mean(dim=1)


def pixels_of(model: nn.Module, word: str) -> ac.Attribution:
    """A map of one value a pixel, none negative: absolute saliency, or what of input times gradient is positive."""
    of = {"saliency": ac.Saliency(model, abs=True), "input_x_gradient": ac.InputXGradient(model)}[word]

    def attribution(x: Tensor, target: Tensor) -> Tensor:
        return of(x, target).sum(dim=1).clamp(min=0)

    return ac.wrap(attribution, nonnegative=True)


def grids_of(model: nn.Module, data: ac.datasets.Labelled, count: int, sure: float) -> tuple[Tensor, Tensor, Tensor]:
    """Grids of pictures of four classes, which cell is explained, and its class; no picture is used twice."""
    with torch.no_grad():
        surest, found = torch.cat([model(x).softmax(dim=1) for x in data.inputs.split(50)]).max(dim=1)
    right = (found == data.labels) & (surest >= sure)
    order = [int(i) for i in torch.randperm(len(found), generator=torch.Generator().manual_seed(0)) if right[i]]
    grids, classes = [], []
    while len(grids) < count:
        chosen: dict[int, int] = {}
        for i in order:
            if len(chosen) < 4:
                chosen.setdefault(int(found[i]), i)
        if len(chosen) < 4:
            raise SystemExit(f"only {len(grids)} grids of four classes can be made of these pictures")
        order = [i for i in order if i not in chosen.values()]
        a, b, c, d = data.inputs[list(chosen.values())]
        grids.append(torch.cat([torch.cat([a, b], dim=-1), torch.cat([c, d], dim=-1)], dim=-2))
        classes.append(list(chosen)[len(classes) % 4])
    return torch.stack(grids), torch.arange(count) % 4, torch.tensor(classes)


def insides(cells: Tensor, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Masks of the explained cells, (grids, height, width)."""
    height, width = shape
    rows, columns = np.arange(height)[:, None] // (height // 2), np.arange(width) // (width // 2)
    return np.stack([2 * rows + columns == int(cell) for cell in cells])


def share_of_map(at: Asked, inside: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The cell's share of the mean map: lower bounds at each size, (grids, sizes), and an estimate, (grids,)."""
    smoothed = ac.SmoothedAttribution(at.attribution, ac.Gaussian(at.sigma))
    bounds, estimates = [], []
    for x, y, mask in zip(at.x, at.y, inside, strict=True):
        certificate = smoothed.certify(
            x[None], y[None], n_samples=at.n, alpha=ALPHA, seed=0, prove=("top_variance",), functionals=mask.astype(int)
        )
        low, high = (end[0] for end in certificate.functionals(at.sizes))  # (sizes, 2): outside, inside
        bounds.append(np.maximum(low[:, 1], 0) / (np.maximum(low[:, 1], 0) + high[:, 0]))  # no map is negative
        mean = smoothed.attribute(x[None], y[None], n_samples=at.n, seed=1)[0].cpu().numpy()
        estimates.append(mean[mask].sum() / mean.sum())
    return np.array(bounds), np.array(estimates)


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=sorted(MODELS), default="mnist")
    parser.add_argument("--attribution", choices=["saliency", "input_x_gradient"], default="input_x_gradient")
    parser.add_argument("--grids", type=int, default=10)
    parser.add_argument("--n_samples", type=int, default=2_000)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ac.MeaningWarning)  # a grid has four classes
    model = ac.models.load(MODELS[asked.data])
    data = ac.datasets.load(asked.data, "test").slice(0, 500) if asked.data == "mnist" else ac.datasets.load(asked.data)
    grids, cells, classes = grids_of(model, data, asked.grids, CONFIDENT[asked.data])
    explained = (Cells(model).eval() if asked.data == "mnist" else model).to(asked.device)
    sizes, n = SIZES[asked.data], asked.n_samples
    x, y = grids.to(asked.device), classes.to(asked.device)
    at = Asked(pixels_of(explained, asked.attribution), x, y, n, SIGMAS[asked.data], sizes, max_entry=0.05)
    inside = insides(cells, tuple(grids.shape[-2:]))
    head(f"{asked.data}, {asked.attribution}, {len(x)} grids, n = {n:,}", sizes, "s a grid")
    for name, found, seconds in compared(at):
        if not name.endswith("signs"):
            line(name, localization(found, inside.reshape(len(x), 1, -1)).mean(axis=0), f"{seconds:.1f}")
            line("... certain, share of the K", (found == 1).mean(axis=(0, 2)) / top_of(name), "")
    bounds, estimates = share_of_map(at, inside)
    line("ours, share of the map", bounds.mean(axis=0), "")
    line("mean map, not certified", [estimates.mean()] * len(sizes), "")


def top_of(name: str) -> float:
    """The K in a method's name."""
    return next(top for top in TOPS if name.endswith(f"{top:.0%}"))


if __name__ == "__main__":
    main()
