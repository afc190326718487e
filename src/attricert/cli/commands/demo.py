"""Certify eight real test digits, offline, draw them, and write a report."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from jsonargparse import ArgumentParser

from attricert.cli.arguments import add_options

__all__ = ["EXAMPLES", "Options", "configure"]

EXAMPLES = (
    "attricert demo",
    "attricert demo --n_samples 1000 --out runs/demo",
)


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

    groups: ClassVar[Mapping[str, Collection[str]]] = {
        "how much and how sure": ("n_samples", "seed"),
        "what to report": ("out", "json"),
    }


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options)
