"""Compute certificates anew from a run's evidence, at any sizes and thresholds; no model is needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from jsonargparse import ArgumentParser

from attricert.cli.arguments import add_options

__all__ = ["EXAMPLES", "Options", "configure"]

EXAMPLES = (
    "attricert certificates runs/a --eps 0.01 0.05 --cosine 0.8 0.95",
    "attricert certificates runs/a --entries --top_k 100 --out runs/a-entries.parquet",
)


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

    groups: ClassVar[Mapping[str, Collection[str]]] = {
        "what to report": ("eps", "cosine", "entries", "top_k", "out", "json"),
    }


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options, first="run")
