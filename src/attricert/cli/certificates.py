"""Compute certificates anew from a run's evidence, at any sizes and thresholds; no model is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attricert import runs
from attricert.cli.commands.certificates import Options
from attricert.cli.output import show_json, show_run
from attricert.errors import ArgumentError
from attricert.files import write_atomically

__all__ = ["run"]


def run(**values: Any) -> int:
    """Compute, print, write."""
    options = Options(**values)
    if options.top_k is not None and not options.entries:
        raise ArgumentError("top_k", options.top_k, "goes with --entries")
    asked = runs.Asked.of({"eps": options.eps, "cosine": options.cosine, "top_k": options.top_k})
    if options.out is not None and Path(options.out).exists():
        raise ArgumentError("out", options.out, "exists already; choose another file")
    store = runs.Store.open(Path(options.run))
    rows = runs.certificates(store, asked, entries=options.entries)
    if options.out is not None:
        write_atomically(Path(options.out), runs.results_as_parquet(store, rows))
    if options.json:
        show_json({"rows": rows})
    else:
        show_run(store, rows, runs.summary(store, rows, asked), runs.terms(store))
    return 0
