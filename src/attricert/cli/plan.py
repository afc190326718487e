"""From a small pilot on a few inputs: which noise scale and how many samples reach a target, and at what cost."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, final

import torch
from jsonargparse import ArgumentParser

from attricert import checks
from attricert.attributions import ATTRIBUTIONS, scores_of
from attricert.certificates import Claim
from attricert.cli.arguments import add_options
from attricert.cli.containing import contained
from attricert.cli.output import say, show, show_json, show_table
from attricert.datasets import Reading, cast
from attricert.noise import NOISES
from attricert.planning import Plan
from attricert.registry import choice
from attricert.report import shown
from attricert.runs.config import classifier_of
from attricert.runs.loading import attribution_arguments, input_dtype, load_attribution, load_data, load_model
from attricert.runs.results import units_of
from attricert.smoothed import plan
from attricert.tabular import Standardized
from attricert.units import InputUnits

__all__ = ["Options", "configure", "run"]


@final
@dataclass(frozen=True)
class Options:
    """The target, and what to try.

    Args:
        model: a zoo model's name, or path.py:factory where factory() returns a torch module.
        data: a data set slice such as mnist:test[0:100], a folder of images, a .npy, .npz, .csv or .parquet file, or
            path.py:factory where factory() returns data.
        eps: l2 size that the certificate should reach, in input units.
        cosine: cosine similarity that it should keep.
        size: of images in folders: the side of a square, or height and width.
        label_column: the column of a table that holds the classes.
        id_column: the column of a table that holds the rows' names.
        skip_columns: columns of a table that are left out.
        attribution: or path.py:factory where factory(model) returns a callable (inputs, target) -> attributions.
        parameters: of the attribution.
        noise: the smoothing distribution.
        scales: sigmas (or radii) to try; by default a range around what the target needs.
        inputs: how many of the first inputs to draw the pilot for.
        n_pilot: samples for each input and scale.
        n_samples: samples that may be spent on an input.
        alpha: probability that an input's certificates fail.
        seed: seed of the keyed streams.
        trust_code: run code that a --config file names, after showing its path and SHA-256.
        json: print JSON instead of a table.
    """

    model: str
    data: str
    eps: float
    cosine: float
    size: tuple[int, ...] | None = None
    label_column: str | None = None
    id_column: str | None = None
    skip_columns: tuple[str, ...] | None = None
    attribution: str = choice(ATTRIBUTIONS, "saliency")
    parameters: Mapping[str, Any] = field(default_factory=dict)
    noise: str = choice(NOISES, "gaussian", parameters=False)
    scales: tuple[float, ...] | None = None
    inputs: int = 4
    n_pilot: int = 400
    n_samples: int = 10_000
    alpha: float = 1e-3
    seed: int = 0
    trust_code: bool = False
    json: bool = False


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options)


def run(**values: Any) -> int:
    """Sample, estimate, print; 1 if the target cannot be reached."""
    names = {f.name for f in fields(Options)}
    own, rest = ({name: value for name, value in values.items() if (name in names) == known} for known in (True, False))
    options = Options(**own, parameters=rest)
    claim = Claim(eps=options.eps, cosine=options.cosine)
    checks.count("inputs", options.inputs, 1)
    checks.known("noise", options.noise, NOISES)
    parameters = attribution_arguments(options.attribution, options.parameters)
    with contained():
        found, units = _estimated(options, claim, parameters)
    if options.json:
        best = None if found.best is None else asdict(found.best)
        show_json({"rows": [asdict(row) for row in found.scales], "best": best, "shortfall": found.shortfall})
    else:
        _show(options, found, units)
    return 0 if found.best else 1


def _estimated(options: Options, claim: Claim, parameters: Mapping[str, Any]) -> tuple[Plan, InputUnits]:
    model = load_model(options.model)
    reading = Reading(options.size, options.label_column, options.id_column, options.skip_columns)
    data = load_data(options.data, options.model, reading)
    data = data.slice(0, min(options.inputs, len(data)))
    say(f"data: {data.reading}")
    items = cast(data, input_dtype(model))
    inputs = torch.stack([items[i][0] for i in range(len(items))])
    attribution, form = load_attribution(options.attribution, model, parameters), data.form
    if isinstance(attribution, Standardized):
        inputs, form = attribution.standardized(inputs), attribution.form(form)
    classifier = classifier_of(model, attribution)
    target = scores_of(classifier, inputs).argmax(dim=1)
    found = plan(
        attribution,
        inputs,
        target,
        classifier=classifier,
        claim=claim,
        noise=options.noise,
        scales=options.scales,
        n_pilot=options.n_pilot,
        n_samples=options.n_samples,
        alpha=options.alpha,
        seed=options.seed,
        progress=True,
    )
    return found, units_of(form, tuple(inputs.shape[1:]))


def _show(options: Options, found: Plan, units: InputUnits) -> None:
    (name,) = NOISES.required(options.noise)
    table = [
        {
            name: f"{row.scale:.4g}",
            "reached": f"{row.reached} of {found.inputs}",
            "samples each": "-" if row.samples_needed is None else f"{row.samples_needed:,}",
            "seconds each": "-" if row.seconds is None else f"{row.seconds:.3g}",
            "class kept": "-" if row.kept is None else f"{row.kept} of {found.inputs}",
            "its votes": "-" if row.class_votes is None else f"{row.class_votes:.3f}",
            "norm, least": shown(row.norm),
            f"eps at n={found.n_samples:,}, least": shown(row.least_max_eps),
            "mean": shown(row.mean_max_eps),
            "in the limit, least": shown(row.least_max_eps_in_the_limit),
        }
        for row in found.scales
    ]
    about = "class kept: certain to be the smoothed model's; its votes: the share of noisy copies put in it"
    title = f"to certify a cosine of {options.cosine!r} at eps = {options.eps!r}: {options.model}, {options.data}"
    pilot = f"estimates from {options.n_pilot:,} samples on each of {found.inputs} inputs, nothing is proven"
    show_table(table, title, f"{pilot}; {about}")
    show(units.note(options.eps))
    best = found.best
    if best is None:
        show(found.shortfall)
        return
    samples = best.samples_needed or found.n_samples
    what = "least noise that will do" + ("" if best.kept is None else " and keeps the classes")
    show(
        f"{what}: {name} = {best.scale:.4g}, with {samples:,} samples an input, about "
        f"{best.seconds:.3g} s each here. More noise needs fewer samples and blurs the map more."
    )
    command = f"--noise {options.noise} --{name} {best.scale:.4g} --n_samples {math.ceil(1.1 * samples)}"
    of = f"--model {shlex.quote(options.model)} --data {shlex.quote(options.data)}"
    show(f"with a tenth to spare: attricert certify {of} {command}")
