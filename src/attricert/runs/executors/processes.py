"""Local processes, one a GPU or a group of cores; one that dies is replaced, and its input tried again."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import signal
import time
from collections import Counter, deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import final

import torch

from attricert import checks
from attricert.errors import AttricertError
from attricert.interrupts import ignore_sigint_in_children
from attricert.runs.executors.base import ATTEMPTS, LONGEST_WAIT, Executor, late, lost
from attricert.runs.rows import Row, Unit
from attricert.runs.work import InputCallback, Job, Note, Progress, Worker, limited_threads

__all__ = ["Processes"]

_READY = "ready"
_BEGINNINGS = 3  # workers in a row that end by themselves before they have begun
_KILLINGS = 100  # the same of those that somebody kills, who may stop
_INPUT, _BEGINNING = "input", "beginning"
_KILLED = ("SIGKILL", "SIGTERM")
_JOIN_TIMEOUT = 10.0  # seconds that a process whose pipe is closed may take to end
_SPAWN = multiprocessing.get_context("spawn")


@final
@dataclass(frozen=True)
class Processes(Executor):
    """Worker processes, each with a model of its own.

    Args:
        workers: how many; on CUDA they share the devices in turn.
        input_timeout: seconds that an input may take; one that takes longer fails, and its worker is replaced.
    """

    workers: int
    input_timeout: float | None = None

    def __post_init__(self) -> None:
        checks.count("workers", self.workers, 1)
        if self.input_timeout is not None:
            checks.positive("input_timeout", self.input_timeout)

    def run(self, job: Job, units: Iterable[Unit], on_progress: InputCallback) -> Generator[Row]:
        """Hand out units as workers get free; yield their rows."""
        todo, again = iter(units), deque[Unit]()
        deaths = Counter[tuple[str, str]]()
        slots = [_WorkerSlot(index, job, self.input_timeout) for index in range(self.workers)]
        try:
            while True:
                for slot in slots:
                    # A slot gets a worker only when there is something to do.
                    if slot.unit is None and (unit := again.popleft() if again else next(todo, None)) is not None:
                        slot.take(unit)
                busy = [slot for slot in slots if slot.unit is not None]
                if not busy:
                    return
                for slot in _ready(busy):
                    match slot.receive():
                        case Row() as row:
                            yield row
                        case Progress() as progress:
                            on_progress(progress)
                        case AttricertError() as error:
                            raise error
                        case _Death() as death:
                            deaths[death.whose] += 1
                            count, most = deaths[death.whose], death.patience
                            if count < most:
                                on_progress(Note(f"{death}; another is started ({count} of {most})"))
                                again.append(death.unit)
                            elif not death.begun:
                                raise AttricertError(f"workers die as they begin ({death.how}), {count} in a row")
                            else:
                                yield lost(death.unit, death.how)
                        case _:  # one has begun
                            deaths = Counter({whose: count for whose, count in deaths.items() if whose[0] == _INPUT})
                for slot in busy:
                    if self.input_timeout is not None and slot.is_late:
                        yield late(slot.give_up(), self.input_timeout)
        finally:
            for slot in slots:
                slot.clear()


@final
@dataclass(frozen=True, eq=False)
class _Death:
    """A worker is gone.

    Args:
        unit: what it was to work on.
        begun: whether it had begun to.
        how: a signal's name, or an exit code.
    """

    unit: Unit
    begun: bool
    how: str

    @property
    def whose(self) -> tuple[str, str]:
        """With which other deaths it is counted."""
        if self.begun:
            return _INPUT, self.unit.id
        return _BEGINNING, "killed" if self.how in _KILLED else "ended"

    @property
    def patience(self) -> int:
        """How many of them are too many."""
        if self.begun:
            return ATTEMPTS
        return _KILLINGS if self.how in _KILLED else _BEGINNINGS

    def __str__(self) -> str:
        when = f"on {self.unit.id}" if self.begun else "as it began"
        return f"a worker died {when} ({self.how})"


@final
@dataclass(eq=False)
class _WorkerSlot:
    """A place for a worker: at any time it holds one, or none."""

    index: int
    job: Job
    input_timeout: float | None
    unit: Unit | None = None
    _worker: tuple[SpawnProcess, Connection] | None = None
    _begun: bool = False
    _since: float = 0.0  # that a worker which has begun has worked on the unit

    def take(self, unit: Unit) -> None:
        """Work on this next."""
        self.unit, self._since = unit, time.monotonic()
        if self._worker is None:
            pipe, theirs = _SPAWN.Pipe()
            process = _SPAWN.Process(target=_serve, args=(theirs, self.job, self._device()), daemon=True)
            with ignore_sigint_in_children():
                process.start()
            theirs.close()  # so that the worker's death closes the pipe
            self._worker, self._begun = (process, pipe), False
        # A worker that has just died is found out on receiving.
        with contextlib.suppress(OSError):
            self.pipe.send(unit)

    def receive(self) -> object:
        """What the worker sends, or that it is gone."""
        try:
            message = self.pipe.recv()
        except Exception:  # cut off in the middle of a message, whatever that unpickles to
            return self._death()
        if not self._begun:
            self._begun, self._since = True, time.monotonic()
        if isinstance(message, Row):
            self.unit = None
        return message

    def clear(self) -> None:
        """Send the worker away, whatever it is doing: what it had finished has been received."""
        if self._worker is not None:
            process, pipe = self._worker
            process.kill()
            process.join()
            pipe.close()
            self._worker = None

    def give_up(self) -> Unit:
        """Send the worker away, and tell what it was working on."""
        unit, self.unit = self._working(), None
        self.clear()
        return unit

    @property
    def is_late(self) -> bool:
        """Whether there is no time left for the unit, and nothing of the worker's is still to be received."""
        return self.unit is not None and self.seconds_left <= 0 and not self.pipe.poll()

    @property
    def seconds_left(self) -> float:
        """For the unit; a worker that has not begun has all the time."""
        if self.input_timeout is None or not self._begun:
            return math.inf
        return self.input_timeout - (time.monotonic() - self._since)

    @property
    def pipe(self) -> Connection:
        """To the worker."""
        if self._worker is None:
            raise RuntimeError("there is no worker")
        return self._worker[1]

    def _death(self) -> _Death:
        unit, begun = self._working(), self._begun
        if self._worker is None:
            raise RuntimeError("there is no worker")
        process = self._worker[0]
        process.join(_JOIN_TIMEOUT)
        self.clear()
        code = process.exitcode or 0
        self.unit = None
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return _Death(unit, begun, how)

    def _working(self) -> Unit:
        if self.unit is None:
            raise RuntimeError("a worker without work has sent something")
        return self.unit

    def _device(self) -> str:
        name = self.job.config.device
        return f"cuda:{self.index % torch.cuda.device_count()}" if name == "cuda" else name


def _ready(slots: list[_WorkerSlot]) -> list[_WorkerSlot]:
    """Those whose worker has sent something, or is gone; none where time has run out."""
    left = min(LONGEST_WAIT, *(slot.seconds_left for slot in slots))
    heard = wait([slot.pipe for slot in slots], max(left, 0.0))
    return [slot for slot in slots if slot.pipe in heard]


def _serve(pipe: Connection, job: Job, device: str) -> None:
    """A worker's life: load, then a row for every unit until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # also where no handler could be set before
    # The pipe is gone: so is the run, and nobody is left to tell.
    with contextlib.suppress(EOFError, OSError), limited_threads(job.config.threads):
        try:
            worker = Worker(job, device)
        except Exception as error:
            pipe.send(AttricertError(f"a worker cannot begin: {error}"))
            return
        pipe.send(_READY)
        while True:
            pipe.send(worker.certify(pipe.recv(), pipe.send))
