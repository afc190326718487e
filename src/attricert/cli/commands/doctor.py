"""Look at model, attribution and data before certifying: what would stop it, what is worth knowing, what it takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from jsonargparse import ArgumentParser

from attricert.cli.arguments import add_options
from attricert.cli.whole_set import WholeSet
from attricert.runs.config import Config

__all__ = ["EXAMPLES", "Options", "configure"]

EXAMPLES = (
    "attricert doctor --model mnist-standard --data mnist:sample[0:4]",
    "attricert doctor --model mine.py:model --data images --sigma 0.25 --json",
)


@final
@dataclass(frozen=True)
class Options:
    """What to look at; all other flags are those of certify. Without a noise scale one is taken from the inputs.

    Args:
        inputs: how many of the first inputs to look at.
        trust_code: run code that a --config file names, after showing its path and SHA-256.
        json: print JSON instead of text.
    """

    inputs: int = 4
    trust_code: bool = False
    json: bool = False

    groups: ClassVar[Mapping[str, Collection[str]]] = {
        "what to look at": ("inputs",),
        "what to report": ("json",),
        "where the work is done": ("trust_code",),
    }


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Config)
    add_options(parser, Options)
    add_options(parser, WholeSet)
