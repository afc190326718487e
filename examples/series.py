"""Certify explanations of time series: four motions, told from the sensors of a watch by a small network.

Run: python examples/series.py FOLDER  (makes FOLDER/series.html and FOLDER/series.png; fetches 8 MB once)
"""

import sys
from pathlib import Path

import numpy as np
import torch
from real_data import CHANNELS, MOTIONS, motions
from torch import nn

import attricert as ac

SIGMA = 0.25  # noise on each value, in standard deviations of its channel
EPS = (0.05, 0.1, 0.25)


def network() -> nn.Module:
    """Of series of shape (n, 6, 100)."""
    return nn.Sequential(
        nn.Conv1d(6, 16, 7, padding=3), nn.Softplus(), nn.AvgPool1d(2),
        nn.Conv1d(16, 16, 5, padding=2), nn.Softplus(), nn.AdaptiveAvgPool1d(5), nn.Flatten(),
        nn.Linear(80, 4),
    )  # fmt: skip


def trained(series: torch.Tensor, labels: torch.Tensor, steps: int) -> nn.Module:
    """With the noise that smoothing will add."""
    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(series + SIGMA * torch.randn_like(series)), labels).backward()
        optimizer.step()
    return model.eval()


def main(folder: str = ".", steps: int = 200, n_samples: int = 2_000) -> ac.Certificate:
    """Train, certify one series of each motion, and write a page and a picture."""
    data = motions()
    # Channels have units of their own: eps is a distance only after each is in its own standard deviations.
    mean, std = (f(data["train"][0], dim=(0, 2), keepdim=True) for f in (torch.mean, torch.std))
    train, test = ((data[split][0] - mean) / std for split in ("train", "test"))
    labels = data["test"][1]
    model = trained(train, data["train"][1], steps)
    right = int((model(test).argmax(dim=1) == labels).sum())
    print(f"{right} of {len(test)} motions are told right")

    chosen = [int((labels == motion).nonzero()[0]) for motion in range(len(MOTIONS))]
    x, y = test[chosen], labels[chosen]
    gradient = ac.Saliency(model)
    sizes = ac.wrap(lambda inputs, target: gradient(inputs, target).abs(), nonnegative=True)
    smoothed = ac.SmoothedAttribution(sizes, noise=ac.Gaussian(SIGMA), classifier=model)
    # One number a channel, too: all that the map holds for it.
    by_channel = torch.arange(6)[:, None].expand(6, 100)
    certificate = smoothed.certify(x, y, n_samples=n_samples, seed=0, functionals=by_channel)

    low, high = certificate.functionals(EPS[0])
    for i, motion in enumerate(y.tolist()):
        eps = np.floor(1000 * certificate.max_eps(cosine=0.9)[i]) / 1000  # a lower bound, so rounded down
        first = int(np.argmax(low[i]))
        surely = low[i, first] > np.delete(high[i], first).max()
        print(f"{MOTIONS[motion]:>10}: cosine 0.9 up to eps {eps:.3f}; most on {CHANNELS[first]}", end="")
        print(f", and so wherever eps <= {EPS[0]}" if surely else "")

    out = Path(folder)
    named = [MOTIONS[motion] for motion in y.tolist()]
    page = ac.report.page(
        certificate,
        x,
        ids=named,
        names=CHANNELS,
        kind="series",
        eps=EPS,
        title="What tells motions apart",
        about={"inputs": "BasicMotions; each channel in its own standard deviations, 0.1 s a step"},
    )
    (out / "series.html").write_text(page, encoding="utf-8")
    figure = ac.plots.attribution(
        certificate.maps[1], x[1], method="series", sign="absolute_value", title=f"{named[1]}: smoothed saliency"
    )
    figure.axes[0].set_yticks(range(6), CHANNELS)
    ac.plots.save_figure(figure, out / "series.png")
    return certificate


if __name__ == "__main__":
    main(*sys.argv[1:2])
