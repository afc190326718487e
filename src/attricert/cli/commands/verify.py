"""Check a run: evidence, data, code, and some inputs sampled again; exit code 1 on any mismatch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from jsonargparse import ArgumentParser

from attricert.cli.arguments import add_options

__all__ = ["EXAMPLES", "Options", "configure"]

EXAMPLES = (
    "attricert verify runs/a",
    "attricert verify runs/a --sample 5 --json",
)


@final
@dataclass(frozen=True)
class Options:
    """Which run, and how much of it to sample again.

    Args:
        run: folder that attricert certify --out has written.
        sample: inputs to sample again, chosen at random.
        seed: of that choice and of the other draws; by default a fresh secret one.
        trust_code: run code (path.py:factory) that the folder names, after showing its path and SHA-256, if it is what
            the run was made with; without, what needs it is skipped.
        json: print JSON.
    """

    run: str
    sample: int = 20
    seed: int | None = None
    trust_code: bool = False
    json: bool = False

    groups: ClassVar[Mapping[str, Collection[str]]] = {
        "how much to check": ("sample", "seed"),
        "what to report": ("json",),
        "where the work is done": ("trust_code",),
    }


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options, first="run")
