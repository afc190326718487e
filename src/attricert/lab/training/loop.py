"""One loop for all objectives, seeded to the last bit on one machine and thread count."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from attricert import checks, models
from attricert.datasets import Labelled
from attricert.errors import ArgumentError
from attricert.files import write_atomically
from attricert.lab.training.checkpoint import Checkpoint
from attricert.lab.training.recipe import Recipe
from attricert.lab.training.tensorboard import EpochCallback
from attricert.models import ARCHITECTURES
from attricert.progress import StatusCallback

__all__ = ["accuracy", "train"]

_PADDING, _PART = 4, 1000


def train(
    recipe: Recipe,
    data: Labelled,
    *,
    device: torch.device | str = "cpu",
    folder: str | Path | None = None,
    on_progress: StatusCallback | None = None,
    on_epoch: EpochCallback | None = None,
) -> nn.Module:
    """Train on the data and return the model in eval mode, on the CPU.

    Args:
        recipe: the settings.
        data: training images.
        device: on accelerators the forward pass runs in bfloat16.
        folder: where ``NAME.checkpoint`` is kept after each epoch, and ``NAME.jsonl`` gets a line of figures; if a
            checkpoint is there, training goes on from it and ends as if it had never stopped.
        on_progress: told of progress.
        on_epoch: told the figures of each epoch trained now.
    """
    run = _Run(recipe, data, torch.device(device))
    where = None if folder is None else checks.path("folder", folder)
    checkpoint = None if where is None else where / f"{recipe.name}.checkpoint"
    if checkpoint is not None and checkpoint.exists():
        run.restore(Checkpoint.load(checkpoint))
    while not run.finished:
        run.train_epoch(on_progress or (lambda *_: None))
        if where is not None and checkpoint is not None:
            run.checkpoint().save(checkpoint)
            lines = "".join(json.dumps(line) + "\n" for line in run.history)
            write_atomically(where / f"{recipe.name}.jsonl", lines.encode())
        if on_epoch is not None:
            on_epoch(run.history[-1])
    return run.result()


def accuracy(model: nn.Module, data: Labelled) -> float:
    """The share of images whose largest output is their label's."""
    device = next(model.parameters()).device
    hits = 0
    with torch.no_grad():
        for images, labels in zip(torch.split(data.images, _PART), torch.split(data.labels, _PART), strict=True):
            hits += int((model(images.to(device)).argmax(dim=1).cpu() == labels).sum())
    return hits / len(data)


@final
class _Run:
    """A model on its way."""

    def __init__(self, recipe: Recipe, data: Labelled, device: torch.device) -> None:
        if recipe.held_out + recipe.batch_size > len(data):
            rule = f"must leave a batch of {recipe.batch_size} among {len(data)} images"
            raise ArgumentError("held_out", recipe.held_out, rule)
        fit = len(data) - recipe.held_out
        self.recipe, self.device = recipe, device
        self.data, self.validation = data.slice(0, fit), data.slice(fit, None)
        self.images_per_epoch = min(fit, recipe.images or fit) // recipe.batch_size * recipe.batch_size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.model = ARCHITECTURES[recipe.architecture]()
        if recipe.start is not None:
            self.model.load_state_dict(models.load(recipe.start).state_dict())
        self.model.to(device)
        self.optimizer = _optimizer(recipe, self.model)
        steps = recipe.epochs * (self.images_per_epoch // recipe.batch_size)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, recipe.learning_rate, total_steps=steps)
        # Orders and draws apart: the order of images is then the same for all objectives.
        self.order = torch.Generator().manual_seed(recipe.seed)
        self.draws = torch.Generator().manual_seed(recipe.seed + 1)
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] | None = None

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or there was no better one for too long."""
        patience = self.recipe.patience
        tired = patience is not None and self.epoch - self._best_epoch() > patience
        return self.epoch == self.recipe.epochs or tired

    def train_epoch(self, on_progress: StatusCallback) -> None:
        """Once through the images."""
        start, total, seen, last = time.perf_counter(), 0.0, 0, self.history[-1:]
        known = "".join(f", accuracy {line['accuracy']:.4f} before" for line in last)
        self.model.train()
        for images, labels in self._batches():
            self.optimizer.zero_grad(set_to_none=True)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "cpu"):
                loss = self.recipe.objective(self.model, images, labels, self.draws)
            torch.autograd.backward(loss)
            self.optimizer.step()
            self.schedule.step()
            total, seen = total + loss.item() * len(images), seen + len(images)
            share = (self.epoch + seen / self.images_per_epoch) / self.recipe.epochs
            on_progress(share, f"epoch {self.epoch + 1}/{self.recipe.epochs}, loss {total / seen:.4f}{known}")
        self.model.eval()
        # Without images held out, what is reported is how well some of the training images are known.
        judged = self.validation if len(self.validation) else self.data.slice(0, _PART)
        line = {"epoch": self.epoch + 1, "loss": total / seen, "accuracy": accuracy(self.model, judged)}
        self.history.append({**line, "seconds": round(time.perf_counter() - start, 2)})
        if self.recipe.patience is not None and self._best_epoch() == self.epoch:
            self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def result(self) -> nn.Module:
        """The model of the best epoch, if one was sought, else of the last."""
        if self.best is not None:
            self.model.load_state_dict(self.best)
        return self.model.cpu().eval().requires_grad_(False)

    def checkpoint(self) -> Checkpoint:
        """Everything that the next epoch depends on."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in (self.best or {}).items()}
        state = self.optimizer.state_dict()
        for index, values in state["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
        tensors |= {"order": self.order.get_state(), "draws": self.draws.get_state()}
        facts = {
            "recipe": self.recipe.to_dict(),
            "history": self.history,
            "groups": state["param_groups"],
            "schedule": self.schedule.state_dict(),
        }
        return Checkpoint(tensors, facts)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from there."""
        recipe, facts = json.loads(json.dumps(self.recipe.to_dict())), checkpoint.facts
        changed = [key for key, value in recipe.items() if facts["recipe"].get(key) != value]
        if changed:
            rule = f"the checkpoint was made with another {', '.join(changed)}; remove it to start anew"
            raise ArgumentError("recipe", self.recipe.name, rule)
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
        for name, tensor in checkpoint.tensors.items():
            kind, _, rest = name.partition(".")
            if kind in parts:
                parts[kind][rest] = tensor
        self.model.load_state_dict(parts["model"])
        self.best = parts["best"] or None
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            index, _, key = name.partition(".")
            moments.setdefault(int(index), {})[key] = tensor
        self.optimizer.load_state_dict({"state": moments, "param_groups": facts["groups"]})
        self.schedule.load_state_dict(facts["schedule"])
        self.order.set_state(checkpoint.tensors["order"])
        self.draws.set_state(checkpoint.tensors["draws"])
        self.history = list(facts["history"])

    def _best_epoch(self) -> int:
        """The first of those with the largest accuracy; 0 before the first."""
        scores = [line["accuracy"] for line in self.history]
        return scores.index(max(scores)) + 1 if scores else 0

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.data), generator=self.order)
        for chosen in torch.split(order[: self.images_per_epoch], self.recipe.batch_size):
            images, labels = self.data.images[chosen], self.data.labels[chosen]
            images = _augmented(images, self.draws) if self.recipe.augment else images
            yield images.to(self.device), labels.to(self.device)


def _optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    settings: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=0.9, nesterov=True, **settings)
    return torch.optim.AdamW(model.parameters(), **settings)


def _augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image padded by 4 and cropped somewhere, and every other one flipped."""
    n, _, height, width = images.shape
    padded = functional.pad(images, (_PADDING,) * 4)
    tops, lefts = torch.randint(0, 2 * _PADDING + 1, (2, n), generator=generator)
    rows = tops[:, None] + torch.arange(height)
    columns = lefts[:, None] + torch.arange(width)
    flipped = torch.rand(n, generator=generator) < 0.5
    columns = torch.where(flipped[:, None], columns.flip(1), columns)
    index = torch.arange(n)[:, None, None]
    return padded[index, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
