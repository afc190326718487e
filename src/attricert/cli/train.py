"""Train a model from a recipe; goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attricert.cli.commands.train import Options
from attricert.cli.going_on import command, resumable
from attricert.cli.output import show, show_json
from attricert.lab.training import event_writer, make
from attricert.progress import status_bar
from attricert.runs.loading import load_device

__all__ = ["run"]


def run(**values: Any) -> int:
    """Train, measure, write."""
    options = Options(**values)
    path, folder = Path(options.recipe), Path(options.out)
    load_device(options.device)
    on_epoch = event_writer(folder / "tensorboard" / path.stem) if options.tensorboard else None
    with (
        resumable(lambda: f"all whole epochs are kept; go on with: {command('train', **values)}"),
        status_bar() as on_progress,
    ):
        facts = make(path, folder, options.device, on_progress, on_epoch)
    if options.json:
        show_json(dict(facts))
    else:
        show(f"test accuracy {facts['test_accuracy']:.4f}; written to {folder}")
    return 0
