"""A run from beginning to end: what is left to do, done somewhere, stored as it comes."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from torch import nn

from attricert import checks
from attricert.attributions import Attribution
from attricert.datasets import Dataset, cast
from attricert.errors import ArgumentError, AttricertError, IntegrityError
from attricert.interrupts import deferred_interrupts, terminable
from attricert.runs.asked import Asked
from attricert.runs.config import Config
from attricert.runs.executors import Executor, Inline, Processes, rehearse
from attricert.runs.inputs import first_unit, units
from attricert.runs.loaded import LoadedConfig
from attricert.runs.loading import load_items
from attricert.runs.manifest import Manifest, told_reading
from attricert.runs.objects import Objects
from attricert.runs.results import positions, state, terms
from attricert.runs.rows import FAILED, Row, Unit
from attricert.runs.store import Store
from attricert.runs.trust import refuse_other_code
from attricert.runs.work import Job, Note, Progress, dry_run, limited_threads
from attricert.streams import fresh_seed

__all__ = ["Shard", "State", "StateCallback", "certify"]

# A part is written when so much has come together.
_ROWS, _BYTES, _SECONDS = 64, 64 * 2**20, 10.0
_UNWRITTEN = 8  # times that much is kept while the disk is full


@final
@dataclass(frozen=True)
class Shard:
    """Every so-manieth input, for arrays of jobs that share a folder.

    Args:
        index: which, from 0.
        count: of how many.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        checks.count("shard", self.count, 1)
        if not 0 <= self.index < self.count:
            raise ArgumentError("shard", f"{self.index}/{self.count}", f"must be from 0/{self.count} on")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From ``i/N``."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if match is None:
            raise ArgumentError("shard", text, "must be i/N, such as 0/16")
        return cls(int(match[1]), int(match[2]))

    @property
    def name(self) -> str:
        """For files."""
        return f"{self.index:04d}-of-{self.count:04d}"

    def has(self, position: int) -> bool:
        """Whether an input is in it."""
        return position % self.count == self.index


@final
@dataclass(frozen=True)
class State:
    """How far a run is.

    Args:
        total: inputs in this shard.
        before: those that were done when it was started.
        done: those that are done now, failed ones included.
        failed: those that failed since it was started.
        draws: noisy copies of an input.
        seconds: since it was started.
        running: inputs under way, as far as is known.
        note: what people should know, or empty.
    """

    total: int
    before: int
    done: int
    failed: int
    draws: int
    seconds: float
    running: Mapping[str, Progress] = field(default_factory=dict)
    note: str = ""

    @property
    def seconds_left(self) -> float | None:
        """An estimate; None before there is anything to go by."""
        partly = sum(progress.draws for progress in self.running.values()) / self.draws
        done = self.done - self.before + partly
        return (self.total - self.done - partly) * self.seconds / done if done > 0 else None


StateCallback = Callable[[State], None]
"""Told how far a run is."""


def certify(
    config: Config | Mapping[str, Any],
    folder: str | Path,
    *,
    model: nn.Module | str | None = None,
    data: Any = None,
    attribution: Attribution | str | None = None,
    executor: Executor | None = None,
    shard: Shard | None = None,
    retry_failed: bool = False,
    input_timeout: float | None = None,
    asked: Asked | None = None,
    on_progress: StateCallback = lambda _: None,
) -> Store:
    """Certify every input of a config's data that the folder has no row of yet.

    Each input's draws are keyed by its name, so its row is the same to the last bit whatever the executor, the number
    of workers, the order and the interruptions (for one ``threads``, ``batch_size``, device and kind of machine).

    Args:
        config: what to certify and how, or its settings by name; its seed may be None for a run that exists, or for a
            fresh one.
        folder: the run; made if it is not there.
        model: a torch module instead of a name, on the config's device. The run keeps its class's name and the
            fingerprint of its weights, and nothing of its code. Whoever goes on with the run, or verifies it, gives it
            again.
        data: inputs, likewise: an array or a tensor, a tuple (inputs, labels, names), a data frame, a torch Dataset, or
            an `attricert.datasets.Labelled` (see `attricert.datasets.as_data`); the run keeps their fingerprint.
        attribution: a callable (inputs, target) -> attributions, likewise; the run keeps its name alone.
        executor: where; in this process if None.
        shard: a part of the inputs; all if None.
        retry_failed: try inputs again that have failed before.
        input_timeout: seconds that an input may take, in processes that are ended if need be; one that takes longer
            fails, as where its model hangs.
        asked: at which sizes and thresholds results are wanted; goes to ``config.yaml``.
        on_progress: told how far it is.

    Raises:
        ArgumentError: bad settings, a run of something else in the folder, or objects for workers elsewhere.
        KeyboardInterrupt: Ctrl-C or SIGTERM; all finished rows are stored.
    """
    executor, shard, asked, folder = (
        executor or Inline(),
        shard or Shard(),
        asked or Asked(),
        checks.path("folder", folder),
    )
    checks.flag("retry_failed", retry_failed)
    if input_timeout is not None:
        executor = _ending(executor, input_timeout)
    objects, names = Objects.of(model=model, data=data, attribution=attribution)
    config = _named(config, objects, names)
    if not isinstance(executor, Inline) and (objects.model is not None or objects.attribution is not None):
        rule = "works in other processes; a model or an attribution that is given as it is stays in this one (Inline)"
        raise ArgumentError("executor", executor, rule)
    refuse_other_code(config, folder)  # before any code that it names is run
    with limited_threads(config.threads):
        setting = LoadedConfig.load(config, objects=objects)
        items = load_items(config.data, config.model, config.reading(), objects)
        first = first_unit(items)
        if first is None:
            raise ArgumentError("data", config.data, "holds no input that can be read")
        wanted = setting.input_dtype
        if wanted is not None and str(first.image.dtype) != f"torch.{wanted}":
            items = cast(items, wanted)
            first = dataclasses.replace(first, image=items[first.position][0])
        if isinstance(executor, Processes) and executor.input_timeout is not None:
            rehearse(config, first, asked, executor.input_timeout)
        else:
            dry_run(setting, first, asked)
    given = Manifest.of(setting, items)
    reading = told_reading(given.data_reading)
    manifest = given.with_seed(fresh_seed()) if config.seed is None else given
    store = Store.create(folder, manifest, asked.to_dict(), any_seed=config.seed is None)
    with store.writing(shard.name), terminable():
        if retry_failed:
            store.drop_failed(shard.has)
        m = store.manifest
        cosine, here = max(asked.cosine, default=0.9), dataclasses.replace(objects, data=None)
        job = Job(m.config, m.weights_sha256, m.code_sha256, cosine, terms(store), here)
        done = _finish(store, items, tuple(first.image.shape), reading, executor, shard, job, on_progress)
        state(done)
        return done


def _named(config: Config | Mapping[str, Any], objects: Objects, names: Mapping[str, str]) -> Config:
    """The config, with names for what is given as it is."""
    values = config.to_dict() if isinstance(config, Config) else dict(config)
    return Config.of(objects.named_in({**values, **names}))


def _ending(executor: Executor, input_timeout: float) -> Executor:
    """One that does the same and ends what takes too long."""
    checks.positive("input_timeout", input_timeout)
    if isinstance(executor, Inline | Processes):
        return Processes(executor.workers if isinstance(executor, Processes) else 1, input_timeout)
    raise ArgumentError("input_timeout", input_timeout, "goes with local processes, and not with Ray")


def _finish(
    store: Store,
    items: Dataset,
    shape: tuple[int, ...],
    reading: str,
    executor: Executor,
    shard: Shard,
    job: Job,
    on_progress: StateCallback,
) -> Store:
    known = positions(store)
    mine = [position for position in range(len(items)) if shard.has(position)]
    todo = [position for position in mine if position not in known]
    done = len(mine) - len(todo)
    tracker = _Tracker(State(len(mine), done, done, 0, job.config.n_samples, 0.0), on_progress)
    if not todo:
        return store
    writer = _Writer(store, shard.name, tracker)
    unreadable: list[Row] = []

    def readable() -> Iterator[Unit]:
        for unit in units(items, todo, shape):
            if isinstance(unit, Unit):
                yield unit
            else:
                unreadable.append(unit)

    tracker.note(f"data: {reading}")
    started = {"shard": shard.name, "executor": repr(executor), "left": len(todo), "data": reading}
    store.log("started", started)
    rows = executor.run(job, readable(), tracker.progressed)
    try:
        for row in rows:
            writer.add([*unreadable, row])
            unreadable.clear()
    finally:
        # Also on the way out of an interrupt: what is finished is kept.
        with deferred_interrupts():
            rows.close()
            writer.add(unreadable)
            writer.flush(last=True)
            store.log("stopped", {"shard": shard.name, "done": tracker.state.done, "of": len(mine)})
    if gone := set(mine) - positions(store):
        text = f"{len(gone)} of {len(mine)} rows are not there, though all were written; the same command goes on"
        raise IntegrityError(f"{store.folder}: {text}")
    return store


@final
class _Tracker:
    """The state, and who wants to know."""

    def __init__(self, state: State, on_progress: StateCallback) -> None:
        self.state, self._on_progress, self._start = state, on_progress, time.monotonic()
        self._update()

    def progressed(self, progress: Progress | Note) -> None:
        """An input is on its way, or something is to be known."""
        if isinstance(progress, Note):
            self.note(progress.text)
            return
        self._update(running={**self.state.running, progress.id: progress})

    def finished(self, row: Row) -> None:
        """An input is done."""
        running = {name: progress for name, progress in self.state.running.items() if name != row.facts["id"]}
        failed = row.facts["status"] == FAILED
        note = f"{row.facts['id']} failed: {row.facts['reason']}" if failed else ""
        self._update(done=self.state.done + 1, failed=self.state.failed + failed, running=running, note=note)

    def note(self, text: str) -> None:
        """Something that people should know."""
        self._update(note=text)

    def _update(self, **changes: Any) -> None:
        changes.setdefault("note", "")
        self.state = dataclasses.replace(self.state, seconds=time.monotonic() - self._start, **changes)
        self._on_progress(self.state)


@final
class _Writer:
    """Puts rows together to parts."""

    def __init__(self, store: Store, shard: str, tracker: _Tracker) -> None:
        self._store, self._shard, self._tracker = store, shard, tracker
        self._rows: list[Row] = []
        self._tried, self._failing = time.monotonic(), False

    def add(self, rows: list[Row]) -> None:
        """Take rows in; write when there are enough, or the last part is some time ago."""
        for row in rows:
            self._rows.append(row)
            self._tracker.finished(row)
        size = sum(array.nbytes for row in self._rows for array in row.arrays.values())
        much = max(len(self._rows) / _ROWS, size / _BYTES)
        late = time.monotonic() - self._tried >= _SECONDS
        if late or much >= _UNWRITTEN or (much >= 1 and not self._failing):
            self.flush(last=much >= _UNWRITTEN)

    def flush(self, *, last: bool) -> None:
        """Write; where that cannot be done, keep the rows for another time, unless this is the last."""
        self._tried = time.monotonic()
        if not self._rows:
            return
        try:
            with deferred_interrupts():
                self._store.append(self._rows, self._shard)
                self._rows, self._failing = [], False
        except OSError as error:
            self._failing = True
            text = f"{len(self._rows)} rows could not be written ({error})"
            if last:
                raise AttricertError(f"{text}; the same command goes on from what is stored") from None
            self._tracker.note(f"{text}; trying again")
