"""Put the shards of a run together: from its own folder, and from folders elsewhere, into results.parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attricert import runs
from attricert.cli.commands.merge import Options
from attricert.cli.output import exit_code, show, show_json, show_run
from attricert.errors import ArgumentError

__all__ = ["run"]


def run(**values: Any) -> int:
    """Merge, write, print; 1 if an input failed."""
    options = Options(**values)
    store = runs.Store.open(Path(options.run))
    runs.merge(store, [Path(source) for source in options.sources])
    asked = store.asked()
    rows = runs.certificates(store, asked)
    missing = store.manifest.inputs - len(rows)
    if missing and not options.partial:
        raise ArgumentError(
            "run", options.run, f"lacks {missing} of {store.manifest.inputs} inputs; --partial merges it"
        )
    runs.write_results(store, rows)
    if options.compact:
        runs.compact(store)
    summary = runs.summary(store, rows, asked)
    if options.json:
        show_json({"rows": rows})
    else:
        show_run(store, rows, summary, runs.terms(store))
        show(f"written to {store.folder}")
    return exit_code(summary)
