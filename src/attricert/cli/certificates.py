"""Compute certificates anew from a run's evidence, at any sizes and thresholds; no model is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from jsonargparse import ArgumentParser

from attricert import runs
from attricert.cli.arguments import add_options
from attricert.cli.output import show_json, show_run
from attricert.errors import ArgumentError
from attricert.files import write_atomically

__all__ = ["Options", "configure", "run"]


@final
@dataclass(frozen=True)
class Options:
    """Which run, and what to ask of its evidence.

    Args:
        run: folder that attricert certify --out has written.
        eps: l2 sizes at which to report the certified cosine; by default 0.1, 0.25 and 0.5 sigma, or what is like
            these for other noise.
        cosine: thresholds at which to report the largest certified eps.
        entries: also signs, ranks and the top set, where maps were kept; takes far longer.
        top_k: size of the top set, by default a tenth of the features.
        out: Parquet file to write; must not exist.
        json: print JSON instead of a table.
    """

    run: str
    eps: tuple[float, ...] | None = None
    cosine: tuple[float, ...] = (0.8, 0.9)
    entries: bool = False
    top_k: int | None = None
    out: str | None = None
    json: bool = False


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options, first="run")


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
