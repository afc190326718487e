"""From a small pilot on a few inputs: which noise scale and how many samples reach a target, and at what cost."""

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
    "attricert plan --model mnist-standard --data mnist:sample[0:4]",
    "attricert plan --model mnist-standard --data mnist:sample --total_inputs 50000 --workers 1,8,64",
    "attricert plan --model mine.py:model --data images --eps 0.05 --cosine 0.9 --scales 0.1,0.2,0.4",
)


@final
@dataclass(frozen=True)
class Options:
    """The target, and what to try; all other flags are those of certify, and stand for what is planned.

    Args:
        eps: l2 size that the certificate should reach, in input units; without it, what can be had is told.
        cosine: cosine similarity that it should keep (0.9 by default).
        scales: sigmas (or radii) to try; by default a range around what the target needs, or without one up to where
            the explained classes are lost. One that is given as for certify is the only one.
        inputs: how many of the first inputs to draw the pilot for. With max_entry chosen on them, certify others.
        n_pilot: samples for each input and scale.
        picture: file for a picture of eps, likeness and classes against the scale: .png, .pdf or .svg.
        trust_code: run code that a --config file names, after showing its path and SHA-256.
        json: print JSON instead of a table.
    """

    eps: float | None = None
    cosine: float | None = None
    scales: tuple[float, ...] | None = None
    inputs: int = 4
    n_pilot: int = 400
    picture: str | None = None
    trust_code: bool = False
    json: bool = False

    groups: ClassVar[Mapping[str, Collection[str]]] = {
        "what to try": ("eps", "cosine", "scales", "inputs", "n_pilot"),
        "what to report": ("picture", "json"),
        "where the work is done": ("trust_code",),
    }


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Config)
    add_options(parser, Options)
    add_options(parser, WholeSet)
