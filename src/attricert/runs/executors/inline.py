"""In this process."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import final

from attricert.runs.executors.base import Executor
from attricert.runs.rows import Row, Unit
from attricert.runs.work import InputCallback, Job, Worker, limited_threads

__all__ = ["Inline"]


@final
@dataclass(frozen=True)
class Inline(Executor):
    """One input after another, in this process."""

    def run(self, job: Job, units: Iterable[Unit], on_progress: InputCallback) -> Generator[Row]:
        """Certify and yield."""
        with limited_threads(job.config.threads):
            worker = Worker(job)
            for unit in units:
                yield worker.certify(unit, on_progress)
