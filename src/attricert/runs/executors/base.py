"""What an executor is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable

from attricert.runs.rows import Row, Unit
from attricert.runs.work import InputCallback, Job

__all__ = ["ATTEMPTS", "LONGEST_WAIT", "Executor", "late", "lost"]

ATTEMPTS = 6  # times that an input may take its worker along before it is given up
LONGEST_WAIT = 3600.0  # seconds in one go; the system's calls refuse numbers that are much larger


class Executor(ABC):
    """Turns inputs into rows; which worker gets an input, and in which order, is its own business."""

    @abstractmethod
    def run(self, job: Job, units: Iterable[Unit], on_progress: InputCallback) -> Generator[Row]:
        """Yield one row for every unit, as they get done; units are asked for as they can be worked on.

        Args:
            job: what each worker loads.
            units: the inputs.
            on_progress: told how far inputs are, where that can be known, and of workers that die.

        Raises:
            AttricertError: a worker cannot begin.
        """


def late(unit: Unit, seconds: float) -> Row:
    """The row of an input that took too long."""
    return Row.failed(unit.position, unit.id, f"took more than {seconds:g} s (--input_timeout)")


def lost(unit: Unit, how: str) -> Row:
    """The row of an input that took its worker along too often."""
    guess = "; out of memory?" if how == "SIGKILL" else ""
    return Row.failed(unit.position, unit.id, f"its worker died {ATTEMPTS} times ({how}){guess}")
