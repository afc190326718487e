"""Write a run's report: one HTML file to hand over, with pictures, numbers and terms; it needs nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from jsonargparse import ArgumentParser

from attricert.cli.arguments import add_options

__all__ = ["EXAMPLES", "Options", "configure"]

EXAMPLES = (
    "attricert report runs/a",
    "attricert report runs/a --out report.html --eps 0.05,0.1 --inputs 20",
)


@final
@dataclass(frozen=True)
class Options:
    """Which run, and what of it.

    Args:
        run: folder that attricert certify --out has written.
        out: the file to write; by default report.html in that folder.
        inputs: how many of the first certified inputs are shown in full; the table has the first 1,000.
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

    groups: ClassVar[Mapping[str, Collection[str]]] = {
        "what to report": ("out", "inputs", "eps", "cosine", "top_k"),
        "where the work is done": ("trust_code",),
    }


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options, first="run")
