"""Progress of long computations: a callback, or what fits where people look.

A bar on a terminal; in a notebook one line of plain text that changes in place, which takes no widgets; elsewhere (a
log, a pipe) a line now and then, and one in the end.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from attricert.errors import ArgumentError

__all__ = ["LINES", "Paced", "ProgressCallback", "StatusCallback", "clock", "reporting", "status_bar", "terminal"]

_IN_PLACE = 0.5  # seconds between changes in a notebook

LINES = 10.0
"""Seconds between lines elsewhere."""

ProgressCallback = Callable[[int], None]
"""Told how many attributions were computed since the last call."""


StatusCallback = Callable[[float, str], None]
"""Told what share of all is done, from 0 to 1, and how it is going."""


@contextmanager
def status_bar() -> Iterator[StatusCallback]:
    """Yield a function that moves a bar and changes the text beside it."""
    if console := terminal():
        with _bar(console, TaskProgressColumn()) as bar:
            task = bar.add_task("", total=1.0)
            yield lambda share, text: bar.update(task, completed=share, description=text)
        return
    with _plain() as say:
        yield lambda share, text: say(share, f"{text} ({share:.0%})")


@contextmanager
def reporting(progress: bool | ProgressCallback, total: int, what: str) -> Iterator[ProgressCallback]:
    """Yield the function to call as work gets done: the caller's own, a bar's, or one that does nothing."""
    if not isinstance(progress, bool):
        if not callable(progress):
            raise ArgumentError("progress", progress, "must be True, False, or a function told of what is done")
        yield progress
    elif not progress:
        yield lambda _: None
    elif console := terminal():
        with _bar(console, MofNCompleteColumn()) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.advance(task, done)
    else:
        with _plain() as say:
            so_far = 0

            def advance(done: int) -> None:
                nonlocal so_far
                so_far += done
                say(so_far / total, f"{what}: {so_far:,} of {total:,}")

            yield advance


def _bar(console: Console, count: ProgressColumn) -> Progress:
    """What is done, as a bar and as the column says it, and the time that is left."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), count, TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


def terminal() -> Console | None:
    """Standard error, if it is a terminal on which lines can be drawn anew."""
    console = Console(stderr=True)
    return console if console.is_terminal and not console.is_dumb_terminal and not console.is_jupyter else None


def clock(seconds: float) -> str:
    """Hours, minutes and seconds: ``0:01:05``."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


@final
class Paced:
    """Whether it is time again.

    Args:
        seconds: between two times.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def due(self) -> bool:
        """True if so much time has passed since the last True, or the beginning."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


@contextmanager
def _plain() -> Iterator[StatusCallback]:
    """Yield a function that is told all, and shows what is worth it; the last text is shown if all goes well."""
    place = _Place() if _in_notebook() else None
    show: Callable[[str], None] = _print if place is None else place.show
    pace, start, last = Paced(LINES if place is None else _IN_PLACE), time.monotonic(), ""

    def say(share: float, text: str) -> None:
        nonlocal last
        last, gone = text, time.monotonic() - start
        if pace.due():
            left = f", {clock(gone * (1 - share) / share)} left" if 0 < share < 1 else ""
            show(f"{text}, {clock(gone)} gone{left}")

    yield say
    if last:
        show(f"{last}, {clock(time.monotonic() - start)} gone")


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this; the shell of IPython in a terminal is none."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


@final
class _Place:
    """An output of a notebook's cell that is changed in place; IPython is there, as its kernel runs this."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, text: str) -> None:
        """Put text there, in place of what was there before."""
        content = {"text/plain": text}
        if self._handle is None:
            self._handle = importlib.import_module("IPython.display").display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
