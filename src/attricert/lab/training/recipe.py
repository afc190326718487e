"""Recipes: everything that decides what a trained model is."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast, final, get_type_hints

from attricert import checks, models, yaml_text
from attricert.errors import ArgumentError, IntegrityError
from attricert.lab.training.objectives import IGR, IGNorm, NoiseAugmented, Objective, Standard, Trades
from attricert.models import ARCHITECTURES

__all__ = ["OBJECTIVES", "Recipe"]

OBJECTIVES: dict[str, type[Objective]] = {
    "standard": Standard,
    "noise": NoiseAugmented,
    "trades": Trades,
    "ig-norm": IGNorm,
    "igr": IGR,
}

_OPTIMIZERS = ("adamw", "sgd")


@final
@dataclass(frozen=True)
class Recipe:
    """How a zoo model is made.

    Args:
        name: the model's name.
        architecture: a key of `attricert.models.ARCHITECTURES`.
        data: the data set.
        epochs: passes over the training images.
        batch_size: images in a step.
        learning_rate: the peak of a one-cycle schedule.
        weight_decay: the optimizer's.
        seed: for initial weights, the order of images, and all that is drawn.
        objective: what is made small.
        optimizer: ``"adamw"``, or ``"sgd"`` with Nesterov momentum 0.9.
        augment: random crops of the image padded by 4, and flips from left to right.
        start: the zoo model whose weights are the first ones; None for random ones.
        images: how many training images, drawn anew, are an epoch; None for all.
        held_out: images at the end of the training split that are kept to validate on; 0 for none.
        patience: epochs without a better validation accuracy after which to stop, and take the best epoch's weights;
            None to train to the end.
    """

    name: str
    architecture: str
    data: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    objective: Objective = field(default_factory=Standard)
    optimizer: str = "adamw"
    augment: bool = False
    start: str | None = None
    images: int | None = None
    held_out: int = 0
    patience: int | None = None

    def __post_init__(self) -> None:
        checks.known("architecture", self.architecture, ARCHITECTURES)
        checks.known("optimizer", self.optimizer, _OPTIMIZERS)
        if not re.fullmatch(r"\w[\w.-]*", str(self.name)):
            raise ArgumentError("name", self.name, "must be letters, digits, _, - and dots: files are named by it")
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0), ("held_out", 0)):
            checks.count(name, getattr(self, name), least)
        if self.start is not None:
            checks.known("start", self.start, models.names())
            if models.card(self.start).facts["architecture"] != self.architecture:
                raise ArgumentError("start", self.start, f"must be a {self.architecture}")
        if self.images is not None:
            checks.count("images", self.images, self.batch_size)
        checks.positive("learning_rate", self.learning_rate)
        if self.patience is not None:
            checks.count("patience", self.patience, 1)
            if not self.held_out:
                raise ArgumentError("patience", self.patience, "needs held_out images to validate on")

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """From a YAML file."""
        path = checks.path("recipe", path)
        try:
            values = yaml_text.read(path.resolve())
        except IntegrityError as error:
            raise ArgumentError("recipe", str(path), f"must be a readable YAML file ({error})") from None
        objective = _objective(values.pop("objective", {"name": "standard"}))
        recipe: Recipe = _made(cls, "recipe", {**values, "objective": objective})
        return recipe

    def to_dict(self) -> dict[str, Any]:
        """As the YAML file has it."""
        values = dataclasses.asdict(self)
        name = next(name for name, kind in OBJECTIVES.items() if kind is type(self.objective))
        return {**values, "objective": {"name": name, **values["objective"]}}


def _objective(values: Any) -> Objective:
    if not isinstance(values, dict) or "name" not in values:
        raise ArgumentError("objective", values, f"must be a mapping with a name: {', '.join(OBJECTIVES)}")
    kind = OBJECTIVES[checks.known("objective", values["name"], OBJECTIVES)]
    objective: Objective = _made(kind, "objective", {key: value for key, value in values.items() if key != "name"})
    return objective


def _made(kind: Any, what: str, values: Mapping[str, Any]) -> Any:
    """A dataclass from a mapping; fields that are dataclasses themselves are made from theirs."""
    known = {f.name: f for f in fields(kind)}
    missing = [n for n, f in known.items() if f.default is f.default_factory is dataclasses.MISSING and n not in values]
    if missing or set(values) - set(known):
        rule = f"takes {', '.join(known)}"
        wrong = f"without {', '.join(missing)}" if missing else f"with {', '.join(sorted(set(values) - set(known)))}"
        raise ArgumentError(what, wrong, rule)
    hints = get_type_hints(kind)
    nested = {
        name: _made(hints[name], name, value)
        for name, value in values.items()
        if dataclasses.is_dataclass(hints[name]) and isinstance(value, dict)
    }
    return cast("Any", kind)(**{**values, **nested})
