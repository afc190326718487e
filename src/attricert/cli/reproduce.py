"""Make the paper's tables and figure anew; goes on where it was stopped."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from attricert import checks
from attricert.cli.commands.reproduce import Options
from attricert.cli.containing import contained
from attricert.cli.display import displaying
from attricert.cli.going_on import command, resumable
from attricert.cli.lines import say
from attricert.cli.output import show, show_json, show_table
from attricert.errors import ArgumentError
from attricert.lab.experiments import FULL, QUICK, Bench
from attricert.report import cells

__all__ = ["run"]

_ALL = "all"


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
