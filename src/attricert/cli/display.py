"""How far a run is: bars on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from attricert.cli.lines import say
from attricert.progress import LINES, Paced, clock, terminal
from attricert.report import shown
from attricert.runs import State
from attricert.runs.running import StateCallback
from attricert.text import one_line, printable

__all__ = ["displaying"]


@contextlib.contextmanager
def displaying() -> Iterator[StateCallback]:
    """Yield what a run reports to; it writes to standard error."""
    console = terminal()
    if console is None:
        lines = _Lines()
        yield lines
        lines.end()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[more]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bars(bars)


@final
class _Lines:
    """One line every few seconds, one for everything that goes wrong, and one in the end if anything was done."""

    def __init__(self) -> None:
        self._pace = Paced(LINES)
        self._state: State | None = None

    def __call__(self, state: State) -> None:
        """Print."""
        if state.note:
            say(state.note)
        self._state = state
        if self._pace.due():
            under_way = "".join(f"; {line}" for line in _under_way(state))
            say(f"{state.done} of {state.total} inputs, {_pace(state)}{under_way}")

    def end(self) -> None:
        """Print the last line."""
        if self._state is not None and self._state.done > self._state.before:
            done = f"{self._state.done} of {self._state.total} inputs"
            say(f"{done}, {clock(self._state.seconds)} gone{_failed(self._state)}")


@final
class _Bars:
    """A bar for the run, and one for every input under way."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._whole = bars.add_task("inputs", total=None, more="")
        self._inputs: dict[str, TaskID] = {}

    def __call__(self, state: State) -> None:
        """Show."""
        if state.note:
            self._bars.console.print(Text(one_line(state.note)))
        self._bars.update(self._whole, total=state.total, completed=state.done, more=_pace(state))
        for name in set(self._inputs) - set(state.running):
            self._bars.remove_task(self._inputs.pop(name))
        for name, progress in state.running.items():
            if name not in self._inputs:
                self._inputs[name] = self._bars.add_task(printable(name), total=state.draws, more="")
            more = f"eps {shown(progress.max_eps)} so far"
            self._bars.update(self._inputs[name], completed=progress.draws, more=more)


def _under_way(state: State) -> Iterator[str]:
    for name, p in state.running.items():
        yield f"{name}: {p.draws:,} of {state.draws:,} draws, eps {shown(p.max_eps)} so far"


def _pace(state: State) -> str:
    """Time gone and time left."""
    left = state.seconds_left
    return f"{clock(state.seconds)} gone, {'?' if left is None else clock(left)} left{_failed(state)}"


def _failed(state: State) -> str:
    return f", {state.failed} failed" if state.failed else ""
