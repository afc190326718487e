"""From a small pilot on a few inputs: which noise scale, how many samples, which bound on entries, at what cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from attricert import checks, datasets
from attricert.certificates import Claim
from attricert.cli.commands.plan import Options
from attricert.cli.containing import contained
from attricert.cli.going_on import command
from attricert.cli.lines import say
from attricert.cli.output import show, show_json, show_table
from attricert.cli.whole_set import WholeSet, apart
from attricert.errors import ArgumentError
from attricert.noise import NOISES
from attricert.planning import FEWEST, Plan
from attricert.report import shown
from attricert.rounding import short
from attricert.runs import Config
from attricert.runs.loaded import LoadedConfig
from attricert.runs.loading import load_data
from attricert.runs.results import units_of
from attricert.runs.work import limited_threads
from attricert.smoothing import FEWEST_TO_FORECAST
from attricert.units import InputUnits

__all__ = ["run"]

_THREE_VALUED = tuple(field.name for field in fields(Config) if field.type == "bool | None")
_SCALES = tuple(word for name in NOISES for word in NOISES.required(name))


def run(**values: Any) -> int:
    """Sample, estimate, print; 1 if the target cannot be reached."""
    own, asked, given = apart(values, Options, WholeSet)
    options, whole = Options(**own), WholeSet(**asked)
    checks.count("inputs", options.inputs, 1)
    config, scales = _of(given, options)
    _check(config, options, scales)
    claim = None if options.eps is None else Claim(eps=options.eps, cosine=_cosine(options))
    if options.picture is not None:
        _refuse_form(options.picture)
    with contained(), limited_threads(config.threads):
        found, units, inputs = _estimated(config, options, claim, scales)
    takes = None if found.best is None else whole.of(found.workload(inputs))
    if options.json:
        best = None if found.best is None else asdict(found.best)
        rows, entries = ([asdict(row) for row in some] for some in (found.scales, found.entries))
        told: dict[str, Any] = {"entries": entries, "entries_eps": found.entries_eps, "max_entry": found.max_entry}
        told["workload"] = None if takes is None else takes.to_dict(whole.workers)
        show_json({"rows": rows, "best": best, "shortfall": found.shortfall, **told})
    else:
        _show(config, options, found, units)
        _show_command(given, found, config)
        if takes is not None:
            show(takes.told(whole.workers))
    if options.picture is not None:
        from attricert import plots

        plots.save_figure(plots.plan(found), options.picture)
        say(f"picture in {options.picture}")
    return 0 if found.best else 1


def _check(config: Config, options: Options, scales: tuple[float, ...] | None) -> None:
    """What would be refused once the data are read."""
    checks.count("n_pilot", options.n_pilot, FEWEST_TO_FORECAST)
    checks.count("n_samples", config.n_samples, FEWEST)
    if options.cosine is not None:
        checks.fraction("cosine", options.cosine)
    for scale in scales or ():
        checks.positive("scales", scale)


def _cosine(options: Options) -> float:
    return 0.9 if options.cosine is None else options.cosine


def _of(given: Mapping[str, Any], options: Options) -> tuple[Config, tuple[float, ...] | None]:
    """The config at any scale, and the scales to try."""
    named = [word for word in _SCALES if given.get(word) is not None]
    if named and options.scales is not None:
        raise ArgumentError("scales", options.scales, f"must be left out where {named[0]} is given")
    noise = given.get("noise") or NOISES.fitting(given)
    checks.known("noise", noise, NOISES)
    (word,) = NOISES.required(noise)
    scales = options.scales if given.get(word) is None else (given[word],)
    # Estimates that can be had again: they prove nothing, and no seed of theirs is one of a certificate.
    config = Config.of({"seed": 0, word: 1.0, **{name: value for name, value in given.items() if value is not None}})
    if config.method == "printed":
        raise ArgumentError("method", config.method, "cannot be planned for: estimates are of sound certificates")
    return config, scales


def _estimated(
    config: Config, options: Options, claim: Claim | None, scales: tuple[float, ...] | None
) -> tuple[Plan, InputUnits, int]:
    """The plan, the units of eps, and how many inputs there are."""
    loaded = LoadedConfig.load(config)
    data = load_data(config.data, config.model, config.reading())
    inputs_in_all = len(data)
    data = data.slice(0, min(options.inputs, inputs_in_all))
    say(f"data: {data.reading}")
    items = datasets.cast(data, loaded.input_dtype)
    inputs = torch.stack([items[i][0] for i in range(len(items))])
    explained = loaded.inputs(inputs)
    found = loaded.smoothed().plan_with(
        config.options(),
        explained,
        loaded.target(data.labels, loaded.predicted(explained)),
        claim=claim,
        cosine=options.cosine if claim is None else None,
        scales=scales,
        n_pilot=options.n_pilot,
        entries=config.maps == "keep",
        progress=True,
    )
    return found, units_of(loaded.form(data.form), tuple(inputs.shape[1:])), inputs_in_all


def _show(config: Config, options: Options, found: Plan, units: InputUnits) -> None:
    (name,) = NOISES.required(config.noise)
    reached = "certified" if found.claim is None else "reached"
    table = [
        {
            name: f"{row.scale:.4g}",
            reached: f"{row.reached} of {found.inputs}",
            "samples each": "-" if row.samples_needed is None else f"{row.samples_needed:,}",
            "seconds each": "-" if row.seconds is None else f"{row.seconds:.3g}",
            "class kept": "-" if row.kept is None else f"{row.kept} of {found.inputs}",
            "its votes": "-" if row.class_votes is None else f"{row.class_votes:.3f}",
            "likeness, least": "-" if row.likeness is None else shown(row.likeness),
            "norm, least": shown(row.norm),
            f"eps at n={found.n_samples:,}, least": shown(row.least_max_eps),
            "mean": shown(row.mean_max_eps),
            "in the limit, least": shown(row.least_max_eps_in_the_limit),
        }
        for row in found.scales
    ]
    about = (
        "class kept: certain to be the smoothed model's; its votes: the share of noisy copies put in it; likeness: "
        "cosine similarity of the smoothed map and the map without noise"
    )
    goal = "eps that is certified" if found.claim is None else f"to certify eps = {found.claim.eps!r}"
    pilot = f"estimates from {options.n_pilot:,} samples on each of {found.inputs} inputs, nothing is proven"
    title = f"{goal} at a cosine of {found.threshold!r}: {config.model}, {config.data}"
    show_table(table, title, f"{pilot}; {about}")
    chosen = found.chosen
    if found.claim is not None:
        show(units.note(found.claim.eps))
    elif chosen is not None and chosen.least_max_eps > 0:
        show(units.note(float(f"{chosen.least_max_eps:.2g}")))
    if found.entries and chosen is not None:
        _show_entries(found, f"{name} = {chosen.scale:.4g}")


def _show_entries(found: Plan, at: str) -> None:
    table = [
        {
            "max_entry": "none" if entry.max_entry is None else repr(entry.max_entry),
            "signs certain": f"{short(100 * entry.signs)} %",
            "top tenth certain": f"{short(100 * entry.top_k)} %",
            f"eps at cosine {found.threshold!r}, least": shown(entry.least_max_eps),
            "mean": shown(entry.mean_max_eps),
            "": "most is certain" if entry is found.best_entry else "",
        }
        for entry in found.entries
    ]
    title = f"bounds on entries, at {at} and eps = {found.entries_eps!r}"
    show_table(table, title, f"estimates with {found.n_samples:,} samples on each of {found.inputs} inputs")


def _show_command(given: Mapping[str, Any], found: Plan, config: Config) -> None:
    """What will do, and the command for it."""
    best = found.best
    if best is None:
        show(found.shortfall)
        return
    (name,) = NOISES.required(config.noise)
    seconds = (best.seconds_a_sample or 0.0) * found.n_samples
    if found.claim is None:
        what = "the largest eps" + ("" if best.kept is None else " with all classes kept")
        show(f"{what}: {name} = {best.scale:.4g}. Less noise changes the map less, and proves less.")
    else:
        samples = best.samples_needed or found.n_samples
        what = "least noise that will do" + ("" if best.kept is None else " and keeps the classes")
        show(
            f"{what}: {name} = {best.scale:.4g}, with {samples:,} samples an input, about "
            f"{best.seconds:.3g} s each here. More noise needs fewer samples and blurs the map more."
        )
    spent = found.samples
    data = config.data if found.max_entry is None else datasets.beyond(config.data, found.inputs)
    if data is None:
        show(
            f"max_entry was chosen on the first {found.inputs} inputs of {config.data}: certify others with it, as a "
            "certificate of an input that it was chosen on is void"
        )
    kept = {key: value for key, value in given.items() if key not in (*_SCALES, "noise", "n_samples", "max_entry")}
    flags = {key: tuple(value) if isinstance(value, list) else value for key, value in kept.items()}
    flags |= {key: str(flags[key]).lower() for key in _THREE_VALUED if flags.get(key) is not None}
    flags |= {"no_preflight": True} if flags.pop("preflight", True) is False else {}
    flags |= {"model": config.model, "data": "OTHER_DATA" if data is None else data, "noise": config.noise}
    bound = found.max_entry if found.max_entry is not None else given.get("max_entry")
    flags |= {name: f"{best.scale:.4g}", "n_samples": spent, "max_entry": bound}
    show(f"about {seconds * spent / found.n_samples:.3g} s an input here: {command('certify', **flags)}")


def _refuse_form(picture: str) -> None:
    """Before any work."""
    if Path(picture).suffix.lower() not in (".png", ".pdf", ".svg"):
        raise ArgumentError("picture", picture, "must end in .png, .pdf, .svg")
