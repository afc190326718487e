"""What every experiment is, and what it gives."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

from matplotlib.figure import Figure

from attricert import checks, datasets
from attricert.errors import ArgumentError
from attricert.files import write_atomically
from attricert.lab.experiments.bench import Bench, Measurement
from attricert.lab.experiments.subject import slices
from attricert.plots import save_figure
from attricert.report import Column, to_csv, to_markdown
from attricert.runs.loading import load_data, load_model

__all__ = ["Experiment", "Result"]

_LEAST = {"inputs": 1, "n_samples": 100, "n_steps": 1, "seed": 0}


@final
@dataclass(frozen=True)
class Result:
    """A table or a figure, made anew.

    Args:
        title: what it is of.
        rows: all figures, one line each; the same keys in every row.
        columns: those that are shown to people.
        figure: the picture.
        notes: what a reader must know, a paragraph each.
        failures: what contradicts a claim; empty if all is well.
    """

    title: str
    rows: Sequence[Mapping[str, Any]]
    columns: Sequence[Column]
    figure: Figure
    notes: Sequence[str] = ()
    failures: Sequence[str] = ()

    def to_markdown(self) -> str:
        """The whole page."""
        notes = "".join(f"{note}\n\n" for note in (*self.notes, *(f"**FAILED: {text}**" for text in self.failures)))
        return f"# {self.title}\n\n{notes}{to_markdown(self.rows, self.columns)}"

    def write(self, folder: Path, name: str, command: str) -> None:
        """``NAME.csv`` (all digits), ``NAME.md`` and ``NAME.png``."""
        write_atomically(folder / f"{name}.csv", to_csv(self.rows).encode())
        page = f"{self.to_markdown()}\nMade by `{command}`. All digits are in [{name}.csv]({name}.csv).\n"
        write_atomically(folder / f"{name}.md", f"{page}\n![{self.title}]({name}.png)\n".encode())
        save_figure(self.figure, folder / f"{name}.png")


M = TypeVar("M", bound=Measurement)


@dataclass(frozen=True, kw_only=True)
class Experiment(ABC):
    """One of the paper's tables or figures; subclasses are dataclasses that add the settings it needs.

    Args:
        models: zoo models.
        inputs: how many, from the first of the test split on.
        data: data set.
        seed: of the keyed streams.
    """

    models: tuple[str, ...]
    inputs: int
    data: str = "mnist"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if hasattr(self, name):
                checks.count(name, getattr(self, name), least)
        for name in ("models", "radii"):
            if getattr(self, name, None) == ():
                raise ArgumentError(name, (), "must name at least one")
        for radius in getattr(self, "radii", ()):
            checks.positive("radii", radius)

    @abstractmethod
    def run(self, bench: Bench) -> Result:
        """Measure, or take from the bench what was measured before."""

    @final
    def adjusted(self, settings: Mapping[str, Any]) -> Experiment:
        """With other settings."""
        known = [field.name for field in dataclasses.fields(self)]
        for name, value in settings.items():
            if name not in known:
                raise ArgumentError(name, value, f"is no setting of this experiment, which has {', '.join(known)}")
        return dataclasses.replace(self, **settings)

    @final
    def measurements(self, kind: type[M], **cell: Any) -> list[M]:
        """One of each input: of this cell of the table, all else as the fields of the same name are here."""
        known = {field.name for field in dataclasses.fields(self)}
        shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(kind) if field.name in known}
        return [kind(**{**shared, **cell, "data": data}) for data in slices(self.data, self.inputs)]

    @final
    def check(self) -> None:
        """That all models can be loaded, and take this data, of which there is enough."""
        for model in self.models:
            load_model(model)
            load_data(f"{self.data}:test[0:1]", model)
        known = len(datasets.parse(f"{self.data}:test"))
        if self.inputs > known:
            raise ArgumentError("inputs", self.inputs, f"must be <= {known}, as many as there are in {self.data}:test")
