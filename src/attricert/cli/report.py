"""Write a run's report: one HTML file to hand over, with pictures, numbers and terms; it needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from jsonargparse import ArgumentParser

from attricert import runs
from attricert.cli.arguments import add_options
from attricert.cli.containing import contained
from attricert.cli.output import show
from attricert.cli.trust import permit

__all__ = ["Options", "configure", "run"]


@final
@dataclass(frozen=True)
class Options:
    """Which run, and what of it.

    Args:
        run: folder that attricert certify --out has written.
        out: the file to write; by default report.html in that folder.
        inputs: how many of the first certified inputs are shown in full; all are in the table.
        eps: l2 sizes at which to report; by default those of the run.
        cosine: thresholds at which to report; by default those of the run.
        top_k: size of the top set; by default that of the run.
        trust_code: run code that the folder names, after showing its path and SHA-256, if it is what the run was made
            with; without, maps without noise are left out.
    """

    run: str
    out: str | None = None
    inputs: int = 200
    eps: tuple[float, ...] | None = None
    cosine: tuple[float, ...] | None = None
    top_k: int | None = None
    trust_code: bool = False


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options, first="run")


def run(**values: Any) -> int:
    """Write it."""
    options = Options(**values)
    if options.trust_code:
        config = runs.Store.open(Path(options.run)).manifest.config
        permit(config.own_code().values(), True, options.run)
    with contained():
        path = runs.report(
            options.run,
            options.out,
            inputs=options.inputs,
            eps=options.eps,
            cosine=options.cosine,
            top_k=options.top_k,
            trust_code=options.trust_code,
            progress=True,
        )
    show(f"written to {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0
