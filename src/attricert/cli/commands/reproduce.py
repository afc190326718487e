"""Make the paper's tables and figure anew; goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from jsonargparse import ArgumentParser

from attricert.cli.arguments import add_options

__all__ = ["EXAMPLES", "Options", "configure"]

EXAMPLES = (
    "attricert reproduce table4 --quick",
    "attricert reproduce all --quick --workers 4",
)


@final
@dataclass(frozen=True)
class Options:
    """What to make, and how thoroughly.

    Args:
        what: table4, table5, table6, table7, table8, table9, claims, figure3, montecarlo, or all.
        quick: a small part of each, in minutes; shows that all works, and figures of little weight.
        out: folder for NAME.csv, NAME.md and NAME.png, and for all that was measured (by default runs/reproduce, or
            runs/reproduce-quick). What is there already is not measured again.
        workers: processes that work at the same time.
        models: zoo models, instead of the paper's three.
        inputs: the first so many inputs.
        radii: smoothing radii, in input units.
        n_samples: draws for a certificate.
        n_steps: nodes of integrated gradients.
        seed: seed of the keyed streams.
        trust_code: run code that a --config file names, after showing its path and SHA-256.
        json: print JSON instead of tables.
    """

    what: str
    quick: bool = False
    out: str | None = None
    workers: int = 1
    models: tuple[str, ...] | None = None
    inputs: int | None = None
    radii: tuple[float, ...] | None = None
    n_samples: int | None = None
    n_steps: int | None = None
    seed: int | None = None
    trust_code: bool = False
    json: bool = False

    groups: ClassVar[Mapping[str, Collection[str]]] = {
        "how much": ("quick", "models", "inputs", "radii", "n_samples", "n_steps", "seed"),
        "what to report": ("out", "json"),
        "where the work is done": ("workers", "trust_code"),
    }


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options, first="what")
