"""``python -m attricert.training recipes/mnist-standard.yaml [OUT_DIR]``: make a zoo model."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from attricert import datasets, models
from attricert.training.loop import Recipe, accuracy, train

_TEXT = """\
Made by `python -m attricert.training recipes/{name}.yaml`, for certifying its explanations and for nothing else.

The training and test images are MNIST's, by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, available
under the terms of the Creative Commons Attribution-Share Alike 3.0 licence."""


def main() -> None:
    """Train, measure, save."""
    path = Path(sys.argv[1])
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path("runs/models")
    recipe = Recipe.read(path)
    torch.set_num_threads(1)  # sums in one order, whatever the machine's core count
    train_split, test_split = (datasets.load(recipe.data, split) for split in ("train", "test"))
    model = train(recipe, train_split, print)
    facts = {
        "name": recipe.name,
        "architecture": recipe.architecture,
        "input_shape": list(train_split.images.shape[1:]),
        "input_range": [0, 1],
        "classes": 10,
        "recipe": f"recipes/{path.name}",
        "seed": recipe.seed,
        "train_accuracy": round(accuracy(model, train_split), 4),
        "test_accuracy": round(accuracy(model, test_split), 4),
        "license": "apache-2.0",
        "data": recipe.data,
        "data_license": "cc-by-sa-3.0",
    }
    models.save(model, folder, facts, _TEXT.format(name=recipe.name))
    print(f"test accuracy {facts['test_accuracy']:.4f}; written to {folder}")


if __name__ == "__main__":
    main()
