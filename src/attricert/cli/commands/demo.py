"""Certify eight real test digits, offline, draw them, and write a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from jsonargparse import ArgumentParser

from attricert.cli.arguments import add_options

__all__ = ["EXAMPLES", "Options", "configure"]

EXAMPLES = ()


@final
@dataclass(frozen=True)
class Options:
    """How much to spend.

    Args:
        n_samples: noisy copies of each digit for its certificate.
        seed: seed of the keyed streams.
        out: folder for maps.png, curves.png and report.html.
        json: print JSON instead of a table.
    """

    n_samples: int = 4_000
    seed: int = 0
    out: str = "attricert-demo"
    json: bool = False


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options)
