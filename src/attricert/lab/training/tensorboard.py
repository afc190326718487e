"""Figures for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attricert.checks import extra

__all__ = ["EpochCallback", "event_writer"]

EpochCallback = Callable[[Mapping[str, Any]], None]
"""Told the figures of an epoch when it is over."""


def event_writer(folder: str | Path) -> EpochCallback:
    """A function that adds an event file with an epoch's figures to a folder; ``tensorboard --logdir`` shows them.

    Raises:
        ArgumentError: TensorBoard is not installed.
    """
    extra("tensorboard", "tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    def write(figures: Mapping[str, Any]) -> None:
        with SummaryWriter(str(folder)) as writer:
            for name, value in figures.items():
                if name != "epoch":
                    writer.add_scalar(name, value, figures["epoch"])

    return write
