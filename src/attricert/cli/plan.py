"""From a small pilot on a few inputs: which noise scale and how many samples reach a target, and at what cost."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from attricert import checks
from attricert.attributions import scores_of
from attricert.certificates import Claim
from attricert.cli.commands.plan import Options
from attricert.cli.containing import contained
from attricert.cli.lines import say
from attricert.cli.output import show, show_json, show_table
from attricert.noise import NOISES
from attricert.planning import Plan
from attricert.report import shown
from attricert.runs.loading import attribution_arguments, load_attribution, load_data, load_model
from attricert.smoothed import plan
from attricert.units import InputUnits

__all__ = ["run"]


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
    data = load_data(options.data, options.model)
    data = data.slice(0, min(options.inputs, len(data)))
    say(f"data: {data.reading}")
    target = scores_of(model, data.images).argmax(dim=1)
    found = plan(
        load_attribution(options.attribution, model, parameters),
        data.images,
        target,
        classifier=model,
        claim=claim,
        noise=options.noise,
        scales=options.scales,
        n_pilot=options.n_pilot,
        n_samples=options.n_samples,
        alpha=options.alpha,
        seed=options.seed,
        progress=True,
    )
    return found, InputUnits("image", tuple(data.images.shape[1:]))


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
