"""Look at model, attribution and data before certifying, and tell all of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from attricert import checks, datasets
from attricert.cli.commands.doctor import Options
from attricert.cli.containing import contained
from attricert.cli.lines import say
from attricert.cli.output import show, show_json
from attricert.cli.whole_set import WholeSet, apart
from attricert.diagnosis import Diagnosis, mode_told
from attricert.errors import AttricertError, ModelModeWarning
from attricert.noise import NOISES
from attricert.runs import Config
from attricert.runs.loaded import LoadedConfig
from attricert.runs.loading import load_data
from attricert.runs.results import units_of
from attricert.runs.work import limited_threads

__all__ = ["run"]

_MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


def run(**values: Any) -> int:
    """Look, print; 1 if there is a problem."""
    own, asked, given = apart(values, Options, WholeSet)
    options, whole = Options(**own), WholeSet(**asked)
    checks.count("inputs", options.inputs, 1)
    config, scaled = _of(given)
    with contained(), limited_threads(config.threads):
        found, inputs = _examined(config, options.inputs, scaled=scaled)
    takes = None if found.cost.seconds_a_draw is None else whole.of(found.cost.workload(inputs))
    if options.json:
        show_json({**found.to_dict(), "workload": None if takes is None else takes.to_dict(whole.workers)})
    else:
        _show(config, found, "" if takes is None else takes.told(whole.workers))
    return 1 if found.problems else 0


def _of(given: Mapping[str, Any]) -> tuple[Config, bool]:
    """The config, and whether its noise has a scale that was asked for."""
    noise = given.get("noise") or NOISES.fitting(given)
    checks.known("noise", noise, NOISES)
    (word,) = NOISES.required(noise)
    plain = {name: value for name, value in given.items() if value is not None}
    return Config.of({word: 1.0, **plain}), word in plain


def _examined(config: Config, count: int, *, scaled: bool) -> tuple[Diagnosis, int]:
    """What is found of the first inputs, and how many inputs there are."""
    modes: list[str] = []
    with _noted(modes):
        loaded = LoadedConfig.load(config)
    data = load_data(config.data, config.model, config.reading())
    inputs_in_all = len(data)
    data = data.slice(0, min(count, inputs_in_all))
    say(f"data: {data.reading}")
    items = datasets.cast(data, loaded.input_dtype)
    inputs = torch.stack([items[i][0] for i in range(len(items))])
    explained = loaded.inputs(inputs)
    try:
        predicted = loaded.predicted(explained)
    except AttricertError:  # which the looks will tell; meanwhile any class will do
        predicted = torch.zeros(len(inputs), dtype=torch.int64)
    found = loaded.smoothed().doctor(
        explained,
        loaded.target(data.labels, predicted),
        n_samples=config.n_samples,
        units=units_of(loaded.form(data.form), tuple(inputs.shape[1:])),
        own_scale=scaled,
    )
    # Whoever loads a model for a run puts it in eval mode.
    found = found.with_finding(mode_told("; ".join(modes))) if modes else found
    return found, inputs_in_all


@contextmanager
def _noted(modes: list[str]) -> Iterator[None]:
    """What is said of modes goes into the list; all else is said as ever."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for one in caught:
        if issubclass(one.category, ModelModeWarning):
            modes.append(str(one.message).partition(";")[0])  # which parts; the finding says the rest
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _show(config: Config, found: Diagnosis, takes: str) -> None:
    show(f"{config.model}, {config.data}: {found.subject}")
    longest = max(len(finding.name) for finding in found.findings)
    for finding in found.findings:
        margin = " " * (longest + 10)
        show(f"{_MARKS[finding.status]} {finding.name:<{longest}}  {finding.seen}")
        if finding.meaning:
            show(f"{margin}{finding.meaning}")
        if finding.way_out:
            show(f"{margin}-> {finding.way_out}")
    if takes:
        show(takes)
    problems, notes = len(found.problems), len(found.notes)
    show(f"{problems or 'no'} problem{'' if problems == 1 else 's'}, {notes or 'no'} note{'' if notes == 1 else 's'}")
