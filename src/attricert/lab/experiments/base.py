"""What every experiment is, and what it gives."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

from matplotlib.figure import Figure

from attricert.errors import ArgumentError
from attricert.files import write_atomically
from attricert.lab.experiments.bench import Bench
from attricert.report import Column, save_figure, to_csv, to_markdown
from attricert.runs.loading import load_data, load_model

__all__ = ["Experiment", "Result"]


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


class Experiment(ABC):
    """One of the paper's tables or figures; subclasses are dataclasses that have the settings it needs as fields.

    Attributes:
        about: in one line, what it shows.
        data: the data set.
        models: zoo models.
    """

    about: ClassVar[str]
    data: str
    models: tuple[str, ...]

    @abstractmethod
    def run(self, bench: Bench) -> Result:
        """Measure, or take from the bench what was measured before."""

    @final
    def adjusted(self, settings: Mapping[str, Any]) -> Experiment:
        """With other settings."""
        if not dataclasses.is_dataclass(self):
            raise TypeError(f"{type(self).__name__} must be a dataclass")
        known = [field.name for field in dataclasses.fields(self)]
        for name, value in settings.items():
            if name not in known:
                raise ArgumentError(name, value, f"is no setting of this experiment, which has {', '.join(known)}")
        changed: Experiment = dataclasses.replace(self, **settings)
        return changed

    @final
    def check(self) -> None:
        """That all models can be loaded, and take this data."""
        for model in self.models:
            load_model(model)
            load_data(f"{self.data}:test[0:1]", model)
