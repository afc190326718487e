"""From a small pilot on a few inputs: which noise scale and how many samples reach a target, and at what cost."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, final

import torch
from jsonargparse import ArgumentParser

from attricert import checks
from attricert.attributions import ATTRIBUTIONS
from attricert.cli.arguments import add_options
from attricert.cli.output import show_json, show_table
from attricert.noise import NOISES, Noise
from attricert.proving import Forecast
from attricert.registry import choice
from attricert.report import shown
from attricert.runs.loading import attribution_arguments, load_attribution, load_data, load_model
from attricert.smoothed import SmoothedAttribution

__all__ = ["Options", "configure", "run"]

_FEWEST = 500  # samples: with fewer a forecast says too much, and little is proven
_PILOT, _MANY = 50, 1e8
# Scales tried by default, in units of the smallest that could do were the map's norm as large as can be.
_GRID = (1.05, 1.2, 1.5, 2.0, 2.8, 4.0)
_LOWER_GRID = (0.2, 0.28, 0.4, 0.57, 0.8, 1.13, 1.6)  # where second moments help


@final
@dataclass(frozen=True)
class Options:
    """The target, and what to try.

    Args:
        model: a zoo model's name, or path.py:factory where factory() returns a torch module.
        data: a data set slice such as mnist:test[0:100], or a folder of images.
        eps: l2 size that the certificate should reach, in input units.
        cosine: cosine similarity that it should keep.
        attribution: or path.py:factory where factory(model) returns a callable (inputs, target) -> attributions.
        parameters: of the attribution.
        noise: the smoothing distribution.
        scales: sigmas (or radii) to try; by default a range around what the target needs.
        inputs: how many of the first inputs to draw the pilot for.
        n_pilot: samples for each input and scale.
        n_samples: samples that may be spent on an input.
        alpha: probability that an input's certificates fail.
        seed: seed of the keyed streams.
        json: print JSON instead of a table.
    """

    model: str
    data: str
    eps: float
    cosine: float
    attribution: str = choice(ATTRIBUTIONS, "saliency")
    parameters: Mapping[str, Any] = field(default_factory=dict)
    noise: str = choice(NOISES, "gaussian", parameters=False)
    scales: tuple[float, ...] | None = None
    inputs: int = 4
    n_pilot: int = 400
    n_samples: int = 10_000
    alpha: float = 1e-3
    seed: int = 0
    json: bool = False


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options)


def run(**values: Any) -> int:
    """Sample, estimate, print; 1 if the target cannot be reached."""
    names = {f.name for f in fields(Options)}
    own, rest = ({name: value for name, value in values.items() if (name in names) == known} for known in (True, False))
    options = Options(**own, parameters=rest)
    checks.positive("eps", options.eps)
    checks.fraction("cosine", options.cosine)
    checks.count("inputs", options.inputs, 1)
    parameters = attribution_arguments(options.attribution, options.parameters)
    checks.count("n_pilot", options.n_pilot, _PILOT)
    checks.count("n_samples", options.n_samples, _FEWEST)
    _noise(options, 1.0)
    model = load_model(options.model)
    data = load_data(options.data, options.model)
    data = data.slice(0, min(options.inputs, len(data)))
    with torch.no_grad():
        target = model(data.images).argmax(dim=1)
    attribution = load_attribution(options.attribution, model, parameters)
    rows = []
    for scale in _scales(options, data.images[0].numel()):
        smoothed = SmoothedAttribution(attribution, _noise(options, scale))
        start = time.perf_counter()
        forecasts = smoothed.forecast(
            data.images, target, n_samples=options.n_pilot, alpha=options.alpha, seed=options.seed, progress=True
        )
        seconds = (time.perf_counter() - start) / (options.n_pilot * len(data))
        rows.append(_row(options, scale, forecasts, seconds))
    # Of all that will do the least noise, as it blurs the map least.
    best = min((row for row in rows if row["reached"] == len(data)), key=lambda row: row["scale"], default=None)
    if options.json:
        show_json({"rows": rows, "best": best})
    else:
        _show(options, rows, best, len(data))
    return 0 if best else 1


def _noise(options: Options, scale: float) -> Noise:
    return NOISES.build(options.noise, {NOISES.required(options.noise)[0]: scale})


def _scales(options: Options, d: int) -> Sequence[float]:
    if options.scales is not None:
        return [checks.positive("scales", scale) for scale in options.scales]
    noise = _noise(options, 1.0)
    mass = 0.5 * math.sqrt(1 - options.cosine**2)  # total variation with the largest possible norm
    needed = options.eps / float(noise.shift_of(mass, d))
    return [needed * factor for factor in (_LOWER_GRID if noise.dominated else _GRID)]


def _row(options: Options, scale: float, forecasts: Sequence[Forecast], seconds: float) -> dict[str, Any]:
    needed = [f.samples_needed(options.eps, options.cosine, _FEWEST, options.n_samples) for f in forecasts]
    reached = [n for n in needed if math.isfinite(n)]
    n = max(reached) if len(reached) == len(needed) else None
    affordable, limit = ([f.max_eps(options.cosine, many) for f in forecasts] for many in (options.n_samples, _MANY))
    return {
        "scale": scale,
        "reached": len(reached),
        "n_samples": n,
        "seconds": None if n is None else n * seconds,
        "norm": min(f.norm for f in forecasts),
        "least_max_eps": min(affordable),
        "mean_max_eps": sum(affordable) / len(affordable),
        "least_max_eps_in_the_limit": min(limit),
    }


def _show(options: Options, rows: Sequence[dict[str, Any]], best: dict[str, Any] | None, inputs: int) -> None:
    (name,) = NOISES.required(options.noise)
    table = [
        {
            name: f"{row['scale']:.4g}",
            "inputs reached": f"{row['reached']} of {inputs}",
            "samples an input": "-" if row["n_samples"] is None else f"{row['n_samples']:,}",
            "seconds an input": "-" if row["seconds"] is None else f"{row['seconds']:.3g}",
            "norm, least": shown(row["norm"]),
            f"eps at n={options.n_samples:,}, least": shown(row["least_max_eps"]),
            "mean": shown(row["mean_max_eps"]),
            "in the limit, least": shown(row["least_max_eps_in_the_limit"]),
        }
        for row in rows
    ]
    title = f"to certify a cosine of {options.cosine!r} at eps = {options.eps!r}: {options.model}, {options.data}"
    show_table(
        table, title, f"estimates from {options.n_pilot:,} samples on each of {inputs} inputs, nothing is proven"
    )
    if best is None:
        most = max(rows, key=lambda row: float(row["least_max_eps"]))
        print(
            f"out of reach for some input: the largest eps for all is about {most['least_max_eps']:.3g}, at {name} = "
            f"{most['scale']:.4g} with {options.n_samples:,} samples; try larger --scales, or a lower target"
        )
        return
    print(
        f"least noise that will do: {name} = {best['scale']:.4g}, with {best['n_samples']:,} samples an input, about "
        f"{best['seconds']:.3g} s each here. More noise needs fewer samples and blurs the map more."
    )
    command = f"--noise {options.noise} --{name} {best['scale']:.4g} --n_samples {math.ceil(1.1 * best['n_samples'])}"
    print(f"with a tenth to spare: attricert certify --model {options.model} --data '{options.data}' {command}")
