"""Put the shards of a run together: from its own folder, and from folders elsewhere, into results.parquet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, final

from jsonargparse import ArgumentParser

from attricert.cli.arguments import add_options

__all__ = ["EXAMPLES", "Options", "configure"]

EXAMPLES = (
    "attricert merge runs/a",
    "attricert merge runs/a --sources runs/from-elsewhere --partial",
)


@final
@dataclass(frozen=True)
class Options:
    """Which run.

    Args:
        run: folder that attricert certify --out has written.
        sources: further folders with shards of the same run, seed included; their rows are taken over.
        partial: write results of the inputs that are done, though others are missing.
        compact: put the many files of a finished run together; without maps it then takes a fraction of the room.
        json: print JSON instead of a table.
    """

    run: str
    sources: tuple[str, ...] = field(default=(), metadata={"paths": True})
    partial: bool = False
    compact: bool = False
    json: bool = False

    groups: ClassVar[Mapping[str, Collection[str]]] = {
        "which run": ("run", "sources", "partial", "compact"),
        "what to report": ("json",),
    }


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options, first="run")
