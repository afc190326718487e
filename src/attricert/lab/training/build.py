"""From a recipe to a zoo model with its card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from attricert import checks, datasets, models
from attricert.errors import ArgumentError
from attricert.lab.training.loop import accuracy, train
from attricert.lab.training.recipe import Recipe
from attricert.lab.training.tensorboard import EpochCallback
from attricert.progress import StatusCallback

__all__ = ["make"]

_ORIGINS = {
    "mnist": (
        "cc-by-sa-3.0",
        "The training and test images are MNIST's, by Yann LeCun, Corinna Cortes and Christopher J. C. Burges,\n"
        "available under the terms of the Creative Commons Attribution-Share Alike 3.0 licence.",
    ),
    "cifar10": (
        "none stated by its authors; used for research",
        "The training and test images are CIFAR-10's, by Alex Krizhevsky, Vinod Nair and Geoffrey Hinton.",
    ),
}

_TEXT = """\
Made by `attricert train --recipe {recipe}`, for certifying its explanations and for nothing else.

{origin}"""


def make(
    recipe: str | Path,
    folder: str | Path,
    device: str,
    on_progress: StatusCallback,
    on_epoch: EpochCallback | None = None,
) -> Mapping[str, Any]:
    """Train what a recipe says, measure it, and write weights and card to a folder; gives the facts on the card.

    Args:
        recipe: a YAML file; the card names it.
        folder: for the model and, while it is trained, its checkpoint. A checkpoint found there is gone on from.
        device: torch device.
        on_progress: told of progress.
        on_epoch: told the figures of each epoch trained now.

    Raises:
        ArgumentError: the folder already holds a model of this name.
    """
    file, where = checks.path("recipe", recipe), checks.path("folder", folder)
    settings = Recipe.read(file)
    if (where / f"{settings.name}.safetensors").exists():
        raise ArgumentError("out", str(folder), f"already holds {settings.name}; choose another folder or remove it")
    parts = {split: datasets.load(settings.data, split) for split in ("train", "test")}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)  # sums in one order, whatever the machine's core count
        model = train(settings, parts["train"], device=device, folder=where, on_progress=on_progress, on_epoch=on_epoch)
    finally:
        torch.set_num_threads(threads)
    licence, origin = _ORIGINS[settings.data]
    facts = {
        "name": settings.name,
        "architecture": settings.architecture,
        "input_shape": list(parts["train"].images.shape[1:]),
        "input_range": [0, 1],
        "classes": 10,
        "recipe": f"recipes/{file.name}",
        **(
            {}
            if settings.start is None
            else {"start": settings.start, "start_sha256": models.card(settings.start).facts["sha256"]}
        ),
        "seed": settings.seed,
        **{f"{split}_accuracy": round(accuracy(model, part), 4) for split, part in parts.items()},
        "license": "apache-2.0",
        "data": settings.data,
        "data_license": licence,
    }
    models.save(model, where, facts, _TEXT.format(recipe=facts["recipe"], origin=origin))
    (where / f"{settings.name}.checkpoint").unlink()
    return facts
