"""Actors on a Ray cluster, one model each; lost ones come back elsewhere, and their inputs are tried again."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, final

from attricert import checks
from attricert.errors import AttricertError
from attricert.runs.executors.base import ATTEMPTS, Executor, lost
from attricert.runs.rows import Row, Unit
from attricert.runs.work import InputCallback, Job, Note, Worker, limited_threads

__all__ = ["Ray"]

_QUIET = 60.0  # seconds after which it is said that no actor has begun


@final
@dataclass(frozen=True)
class Ray(Executor):
    """Actors, placed by Ray where there is room; an autoscaling cluster grows until all have a place.

    Args:
        workers: how many actors; each asks for the config's threads as CPUs, or for a GPU.
        address: of the cluster: ``"auto"``, ``"ray://head:10001"``, or ``"local"`` for one started here.
    """

    workers: int
    address: str = "auto"

    def __post_init__(self) -> None:
        checks.count("workers", self.workers, 1)
        checks.extra("ray", "ray")

    def run(self, job: Job, units: Iterable[Unit], on_progress: InputCallback) -> Generator[Row]:
        """Hand out units to actors that have begun; yield their rows."""
        import ray

        ours = not ray.is_initialized()
        if ours:
            ray.init(address=self.address, log_to_driver=False, configure_logging=False)
        try:
            yield from _run(self._actors(job), units, on_progress)
        finally:
            if ours:
                ray.shutdown()

    def _actors(self, job: Job) -> list[Any]:
        import ray

        cuda = job.config.device.startswith("cuda")
        kind = ray.remote(_Actor).options(
            num_cpus=job.config.threads, num_gpus=1 if cuda else 0, max_restarts=-1, max_task_retries=0
        )
        return [kind.remote(job) for _ in range(self.workers)]


@final
class _Actor:
    """A worker somewhere."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._worker: Worker | None = None

    def ready(self) -> AttricertError | None:
        """Load; says why where that cannot be done."""
        try:
            with limited_threads(self._job.config.threads):
                self._worker = Worker(self._job)
        except Exception as error:
            return AttricertError(f"a worker cannot begin: {error}")
        return None

    def certify(self, unit: Unit) -> Row:
        """One row."""
        if self._worker is None:
            raise RuntimeError("certify() before ready()")
        with limited_threads(self._job.config.threads):
            return self._worker.certify(unit, lambda _: None)


def _run(actors: list[Any], units: Iterable[Unit], on_progress: InputCallback) -> Generator[Row]:
    import ray

    def load(actor: Any) -> Any:
        # Tried until it has a place; work is handed out only to actors that have loaded.
        return actor.ready.options(max_task_retries=-1).remote()

    todo, again, deaths = iter(units), deque[Unit](), Counter[str]()
    # What is under way: a reference to the actor and the unit it works on, or None while it loads.
    flying: dict[Any, tuple[Any, Unit | None]] = {load(actor): (actor, None) for actor in actors}
    idle: list[Any] = []
    upcoming = next(todo, None)
    while upcoming is not None or any(unit is not None for _, unit in flying.values()):
        if idle and upcoming is not None:
            actor = idle.pop()
            flying[actor.certify.remote(upcoming)] = (actor, upcoming)
            upcoming = again.popleft() if again else next(todo, None)
            continue
        ended, _ = ray.wait(list(flying), num_returns=1, timeout=_QUIET)
        if not ended:
            # Ray starts actors again by itself, and does not tell those that die from those that wait for room.
            if all(unit is None for _, unit in flying.values()):
                text = "there is no room yet, or they die as they begin, which Ray's log shows"
                on_progress(Note(f"no actor has begun for {_QUIET:.0f} s: {text}"))
            continue
        (done,) = ended
        actor, unit = flying.pop(done)
        try:
            result = ray.get(done)
        except ray.exceptions.RayError as error:
            how = type(error).__name__
            flying[load(actor)] = (actor, None)
            if unit is None:
                on_progress(Note(f"an actor dies as it begins ({how}); it is started again"))
                continue
            deaths[unit.id] += 1
            if deaths[unit.id] == ATTEMPTS:
                yield lost(unit, how)
            else:
                on_progress(Note(f"an actor died on {unit.id} ({how}); it is started again"))
                again.append(unit)
                upcoming = again.popleft() if upcoming is None else upcoming
            continue
        if isinstance(result, AttricertError):
            raise result
        idle.append(actor)
        if unit is not None:
            yield result
