"""How far a run is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from jsonargparse import ArgumentParser

from attricert.cli.arguments import add_options

__all__ = ["EXAMPLES", "Options", "configure"]

EXAMPLES = (
    "attricert status runs/a",
    "attricert status runs/a --json",
)


@final
@dataclass(frozen=True)
class Options:
    """Which run.

    Args:
        run: folder that attricert certify --out has written.
        json: print JSON.
    """

    run: str
    json: bool = False


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options, first="run")
