"""Where experiments are done: runs and single measurements, each done once and kept."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import multiprocessing
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, final

from attricert import runs
from attricert._version import __version__
from attricert.certificates import Certificate, PaperCertificate
from attricert.errors import IntegrityError, NotABoundWarning
from attricert.interrupts import ignore_sigint_in_children, terminable
from attricert.lab.experiments.journal import Journal
from attricert.models import card
from attricert.runs.running import StateCallback
from attricert.runs.work import limited_threads

__all__ = ["Bench", "Certified", "Measurement"]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One measurement on one input: what it is of decides its result. Subclasses add fields of plain values.

    Args:
        model: a zoo model's name.
        data: a slice that is one input, such as mnist:test[3:4].
        seed: of the keyed streams.
    """

    model: str
    data: str
    seed: int

    @property
    def key(self) -> str:
        """Everything that decides the result, as text."""
        facts = {"weights": card(self.model).facts["sha256"], "version": __version__}
        return json.dumps({**dataclasses.asdict(self), **facts}, sort_keys=True)


M = TypeVar("M", bound=Measurement)


@final
@dataclass(frozen=True)
class Certified:
    """What a run has certified.

    Args:
        store: the run.
        facts: a row each, as stored: ``id``, ``position``, ``target``, ...
        certificate: of these inputs, in this order.
    """

    store: runs.Store
    facts: Sequence[Mapping[str, Any]]
    certificate: Certificate | PaperCertificate


@final
@dataclass(frozen=True)
class Bench:
    """A folder with everything that was measured so far; experiments that need the same run share it.

    Args:
        folder: for results; runs are in its ``runs/``, single measurements in its ``measured/``.
        workers: processes.
        on_progress: told how far a run is.
        on_message: told what is being done.
    """

    folder: Path
    workers: int = 1
    on_progress: StateCallback = lambda _: None
    on_message: Callable[[str], None] = lambda _: None

    def certify(self, name: str, config: runs.Config) -> Certified:
        """The run of a config, under this name: made, finished, or as it is there."""
        self.on_message(f"{name}, {config.data}")
        executor = runs.Inline() if self.workers == 1 else runs.Processes(self.workers)
        store = runs.certify(config, self.folder / "runs" / name, executor=executor, on_progress=self.on_progress)
        rows, certificate = runs.certified(store)
        if len(rows) < store.manifest.inputs:
            raise IntegrityError(f"{name}: {store.manifest.inputs - len(rows)} inputs failed; see attricert status")
        runs.compact(store)
        return Certified(store, [row.facts for row in rows], certificate)

    def measure(self, name: str, function: Callable[[M], dict[str, Any]], jobs: Sequence[M]) -> list[dict[str, Any]]:
        """What the function gives for each job; those that were done before are not done again.

        Args:
            name: of the file in ``measured/`` that keeps them, a line each.
            function: top-level, so that processes can import it; returns plain values.
            jobs: in the order of the results.
        """
        journal = Journal(self.folder / "measured" / f"{name}.jsonl")
        with journal.writing(), terminable():
            known = journal.read()
            todo = [job for job in jobs if job.key not in known]
            self.on_message(f"{name}: {len(jobs) - len(todo)} of {len(jobs)} measured before")
            for done, (job, found) in enumerate(self._each(function, todo), 1):
                journal.append(job.key, found)
                known[job.key] = found
                self.on_message(f"{name}: {done} of {len(todo)}")
        return [known[job.key] for job in jobs]

    def _each(self, function: Callable[[M], dict[str, Any]], jobs: Sequence[M]) -> Iterator[tuple[M, dict[str, Any]]]:
        """As they get done."""
        one = partial(_on_one_thread, function)
        if self.workers == 1 or len(jobs) < 2:
            yield from ((job, one(job)) for job in jobs)
            return
        spawn, others = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
        with concurrent.futures.ProcessPoolExecutor(self.workers, mp_context=spawn) as pool:
            with ignore_sigint_in_children():
                waiting = {pool.submit(one, job): job for job in jobs}
            try:
                for future in concurrent.futures.as_completed(waiting):
                    yield waiting[future], future.result()
            except BaseException:
                for child in set(multiprocessing.active_children()) - others:
                    child.kill()  # what they are at would not be kept
                raise


def _on_one_thread(function: Callable[[M], dict[str, Any]], job: M) -> dict[str, Any]:
    """So that the same sums come out whoever does it."""
    with limited_threads(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotABoundWarning)  # the tables say so
        return function(job)
