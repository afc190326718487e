"""Local processes, one a GPU or a group of cores; one that dies is replaced, and its input tried again."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import final

import torch

from attricert import checks
from attricert.errors import AttricertError
from attricert.runs.executors.base import ATTEMPTS, Executor, lost
from attricert.runs.interrupts import deaf_children
from attricert.runs.rows import Row, Unit
from attricert.runs.work import Job, Progress, Watch, Worker, limited_threads

__all__ = ["Processes"]

_READY, _NOBODY = "ready", ""
_BEGINNINGS = 100  # deaths in a row of workers that have not begun
_LAST_BREATH = 10.0  # seconds between the end of the conversation and that of the process
_SPAWN = multiprocessing.get_context("spawn")


@final
@dataclass(frozen=True)
class Processes(Executor):
    """Worker processes, each with a model of its own.

    Args:
        workers: how many; on CUDA they share the devices in turn.
    """

    workers: int

    def __post_init__(self) -> None:
        checks.count("workers", self.workers, 1)

    def run(self, job: Job, units: Iterable[Unit], watch: Watch) -> Generator[Row]:
        """Hand out units as workers get free; yield their rows."""
        todo, again = iter(units), deque[Unit]()
        deaths = Counter[str]()
        seats = [_Seat(index, job) for index in range(self.workers)]
        try:
            while True:
                for seat in seats:
                    # A seat is manned only when there is something to do.
                    if seat.unit is None and (unit := again.popleft() if again else next(todo, None)) is not None:
                        seat.take(unit)
                busy = [seat for seat in seats if seat.unit is not None]
                if not busy:
                    return
                for seat in _speaking(busy):
                    match seat.listen():
                        case Row() as row:
                            yield row
                        case Progress() as progress:
                            watch(progress)
                        case AttricertError() as error:
                            raise error
                        case _Death() as death:
                            deaths[death.whose] += 1
                            if deaths[death.whose] < _patience(death):
                                again.append(death.unit)
                            elif death.whose == _NOBODY:
                                raise AttricertError(f"workers die as they begin ({death.how}), {_BEGINNINGS} in a row")
                            else:
                                yield lost(death.unit, death.how)
                        case _:
                            deaths[_NOBODY] = 0  # one has begun
        finally:
            for seat in seats:
                seat.clear()


@final
@dataclass(frozen=True, eq=False)
class _Death:
    """A worker is gone.

    Args:
        unit: what it was to work on.
        whose: the unit's id, or nobody's where the worker had not even begun.
        how: a signal's name, or an exit code.
    """

    unit: Unit
    whose: str
    how: str


def _patience(death: _Death) -> int:
    return _BEGINNINGS if death.whose == _NOBODY else ATTEMPTS


@final
@dataclass(eq=False)
class _Seat:
    """A place for a worker: at any time it holds one, or none."""

    index: int
    job: Job
    unit: Unit | None = None
    _hired: tuple[SpawnProcess, Connection] | None = None
    _begun: bool = False

    def take(self, unit: Unit) -> None:
        """Work on this next."""
        self.unit = unit
        if self._hired is None:
            pipe, theirs = _SPAWN.Pipe()
            process = _SPAWN.Process(target=_serve, args=(theirs, self.job, self._device()), daemon=True)
            with deaf_children():
                process.start()
            theirs.close()  # so that the worker's death ends the conversation
            self._hired, self._begun = (process, pipe), False
        # A worker that has just died is found out on listening.
        with contextlib.suppress(OSError):
            self.pipe.send(unit)

    def listen(self) -> object:
        """What the worker has to say."""
        try:
            said = self.pipe.recv()
        except Exception:  # cut off in the middle of a word, whatever that unpickles to
            return self._bury()
        self._begun = True
        if isinstance(said, Row):
            self.unit = None
        return said

    def clear(self) -> None:
        """Send the worker away, whatever it is doing: what it had finished has been heard."""
        if self._hired is not None:
            process, pipe = self._hired
            process.kill()
            process.join()
            pipe.close()
            self._hired = None

    @property
    def pipe(self) -> Connection:
        """To the worker."""
        if self._hired is None:
            raise RuntimeError("there is no worker")
        return self._hired[1]

    def _bury(self) -> _Death:
        unit, begun = self.unit, self._begun
        if unit is None or self._hired is None:
            raise RuntimeError("a worker without work has spoken")
        process = self._hired[0]
        process.join(_LAST_BREATH)
        self.clear()
        code = process.exitcode or 0
        self.unit = None
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return _Death(unit, unit.id if begun else _NOBODY, how)

    def _device(self) -> str:
        name = self.job.config.device
        return f"cuda:{self.index % torch.cuda.device_count()}" if name == "cuda" else name


def _speaking(seats: list[_Seat]) -> list[_Seat]:
    """Those whose worker has something to say, or is gone; at least one."""
    heard = wait([seat.pipe for seat in seats])
    return [seat for seat in seats if seat.pipe in heard]


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
