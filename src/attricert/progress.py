"""Progress of long computations: a callback, or a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from attricert.errors import ArgumentError

__all__ = ["ProgressCallback", "StatusCallback", "reporting", "status_bar"]

ProgressCallback = Callable[[int], None]
"""Told how many attributions were computed since the last call."""


StatusCallback = Callable[[float, str], None]
"""Told what share of all is done, from 0 to 1, and how it is going."""


@contextmanager
def status_bar() -> Iterator[StatusCallback]:
    """Yield a function that moves a bar and changes the text beside it."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share, text: bar.update(task, completed=share, description=text)


@contextmanager
def reporting(progress: bool | ProgressCallback, total: int, what: str) -> Iterator[ProgressCallback]:
    """Yield the function to call as work gets done: the caller's own, a bar's, or one that does nothing."""
    if not isinstance(progress, bool):
        if not callable(progress):
            raise ArgumentError("progress", progress, "must be True, False, or a function told of what is done")
        yield progress
    elif not progress:
        yield lambda _: None
    else:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.advance(task, done)
