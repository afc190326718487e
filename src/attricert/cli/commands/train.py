"""Train a model from a recipe; goes on where it stopped."""

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


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options)
