"""Make the paper's tables and figure anew; goes on where it was stopped."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from jsonargparse import ArgumentParser

from attricert import checks
from attricert.cli.arguments import add_options
from attricert.cli.containing import contained
from attricert.cli.display import displaying
from attricert.cli.going_on import command, resumable
from attricert.cli.output import say, show, show_json, show_table
from attricert.errors import ArgumentError
from attricert.lab.experiments import FULL, QUICK, Bench
from attricert.report import cells

__all__ = ["Options", "configure", "run"]

_ALL = "all"


@final
@dataclass(frozen=True)
class Options:
    """What to make, and how thoroughly.

    Args:
        what: table4, table5, table6, table7, table8, table9, figure3, montecarlo, or all.
        quick: a small part of each, in minutes; shows that all works, and figures of little weight.
        out: folder for NAME.csv, NAME.md and NAME.png, and for all that was measured (by default runs/reproduce, or
            runs/reproduce-quick). What is there already is not measured again.
        workers: processes that work at the same time.
        models: zoo models, instead of the paper's three.
        inputs: the first so many inputs.
        radii: smoothing radii, in input units.
        n_samples: draws for a certificate.
        n_steps: nodes of integrated gradients.
        seed: seed of the keyed streams.
        trust_code: run code that a --config file names, after showing its path and SHA-256.
        json: print JSON instead of tables.
    """

    what: str
    quick: bool = False
    out: str | None = None
    workers: int = 1
    models: tuple[str, ...] | None = None
    inputs: int | None = None
    radii: tuple[float, ...] | None = None
    n_samples: int | None = None
    n_steps: int | None = None
    seed: int | None = None
    trust_code: bool = False
    json: bool = False


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options, first="what")


def run(**values: Any) -> int:
    """Measure, write, print; 1 if a claim fails."""
    options = Options(**values)
    checks.known("what", options.what, (*FULL, _ALL))
    checks.count("workers", options.workers, 1)
    known = QUICK if options.quick else FULL
    names = list(known) if options.what == _ALL else [options.what]
    # All settings are looked at before anything is done.
    if options.models is not None and options.what == _ALL:
        raise ArgumentError("models", " ".join(options.models), "goes with one table; they are of different data")
    experiments = {name: known[name].adjusted(_settings(options)) for name in names}
    with contained():
        for experiment in experiments.values():
            experiment.check()
    folder = Path(options.out or ("runs/reproduce-quick" if options.quick else "runs/reproduce"))
    results, failed = {}, False
    again = command("reproduce", options.what, **{key: value for key, value in values.items() if key != "what"})
    with resumable(lambda: f"all that was measured is kept; go on with: {again}"), displaying() as on_progress:
        bench = Bench(folder, options.workers, on_progress, say)
        for name, experiment in experiments.items():
            start = time.monotonic()
            with contained():
                result = experiment.run(bench)
            result.write(folder, name, _command(options, name))
            failed = failed or bool(result.failures)
            results[name] = {"rows": result.rows, "failures": result.failures, "notes": list(result.notes)}
            if not options.json:
                show_table(cells(result.rows, result.columns), result.title)
                for line in (*result.notes, *(f"FAILED: {text}" for text in result.failures)):
                    show(line)
                show(f"{name}: {time.monotonic() - start:.0f} s; written to {folder / name}.csv, .md, .png\n")
    if options.json:
        show_json(results)
    return 1 if failed else 0


def _settings(options: Options) -> dict[str, Any]:
    names = ("models", "inputs", "radii", "n_samples", "n_steps", "seed")
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _command(options: Options, name: str) -> str:
    """What makes the same again."""
    return command("reproduce", name, quick=options.quick, **_settings(options))
