"""Cross-entropy training, seeded to the last bit on one machine and thread count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import final

import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F

from attricert import checks
from attricert.datasets import Labelled
from attricert.errors import ArgumentError
from attricert.models import ARCHITECTURES

__all__ = ["Recipe", "accuracy", "train"]


@final
@dataclass(frozen=True)
class Recipe:
    """How a zoo model was made.

    Args:
        name: the model's name.
        architecture: a key of `attricert.models.ARCHITECTURES`.
        data: the data set.
        epochs: passes over the training split.
        batch_size: images in a step.
        learning_rate: the peak of a one-cycle schedule.
        weight_decay: AdamW's.
        seed: for initial weights and the order of images.
    """

    name: str
    architecture: str
    data: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int

    def __post_init__(self) -> None:
        checks.known("architecture", self.architecture, ARCHITECTURES)
        checks.count("epochs", self.epochs, 1)
        checks.count("batch_size", self.batch_size, 1)
        checks.positive("learning_rate", self.learning_rate)

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """From a YAML file."""
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        expected = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != expected:
            raise ArgumentError("recipe", str(path), f"must set exactly {', '.join(sorted(expected))}")
        return cls(**values)


def train(recipe: Recipe, data: Labelled, report: Callable[[str], None]) -> nn.Module:
    """Train on the data and return the model in eval mode.

    Args:
        recipe: the settings.
        data: training images.
        report: told of progress after each epoch.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = ARCHITECTURES[recipe.architecture]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * (len(data) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
    model.train()
    for epoch in range(recipe.epochs):
        total = 0.0
        for images, labels in _batches(data, recipe.batch_size, generator):
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += loss.item()
        report(f"epoch {epoch + 1}/{recipe.epochs}: loss {total * recipe.epochs / steps:.4f}")
    return model.eval().requires_grad_(False)


def accuracy(model: nn.Module, data: Labelled) -> float:
    """The share of images whose largest output is their label's."""
    with torch.no_grad():
        hits = [
            (model(images).argmax(dim=1) == labels).sum()
            for images, labels in zip(torch.split(data.images, 1000), torch.split(data.labels, 1000), strict=True)
        ]
    return float(sum(int(hit) for hit in hits)) / len(data)


def _batches(data: Labelled, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    order = torch.randperm(len(data), generator=generator)
    for i in range(len(data) // size):
        chosen = order[i * size : (i + 1) * size]
        yield data.images[chosen], data.labels[chosen]
