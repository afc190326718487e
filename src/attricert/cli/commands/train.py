"""Train a model from a recipe; goes on where it stopped."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from jsonargparse import ArgumentParser

from attricert.cli.arguments import add_options

__all__ = ["EXAMPLES", "Options", "configure"]

EXAMPLES = (
    "attricert train --recipe recipe.yaml",
    "attricert train --recipe recipe.yaml --out runs/models --device cuda",
)


@final
@dataclass(frozen=True)
class Options:
    """What to train, and where.

    Args:
        recipe: YAML file.
        out: folder for the model, its card, its figures (JSON lines) and, while it is trained, its checkpoint.
        device: torch device.
        tensorboard: write the figures for TensorBoard too, in the folder's tensorboard/ (extra tensorboard).
        json: print JSON.
    """

    recipe: str
    out: str = "runs/models"
    device: str = "cpu"
    tensorboard: bool = False
    json: bool = False

    groups: ClassVar[Mapping[str, Collection[str]]] = {
        "what to train": ("recipe",),
        "where the work is done": ("device", "out", "tensorboard"),
        "what to report": ("json",),
    }


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options)
