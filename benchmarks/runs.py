"""Weak scaling of runs: inputs per minute of one worker and of two, in processes and on Ray; what the store costs.

Usage: python benchmarks/runs.py [inputs [turns [n_samples]]]; inputs are those of one worker, two get twice as many.
Both cores of a machine with two must be free. Ray's actors need the extra ray; the cluster is started once, before.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

from attricert import runs
from attricert.runs.rows import Row

CONFIG = runs.Config(
    "mnist-standard", "mnist:sample[0:100]", noise="gaussian", parameters={"sigma": 0.125}, n_samples=10_000, seed=0
)
WORKERS = (1, 2)


def rate(executor: runs.Executor, workers: int, inputs: int, n_samples: int) -> tuple[float, float]:
    """Inputs per minute, of the whole run and from the moment that every worker has done one."""
    begun: list[float] = []

    def report(state: runs.State) -> None:
        if state.done > len(begun):
            begun.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        config = replace(CONFIG, data=f"mnist:sample[0:{inputs}]", n_samples=n_samples)
        start = time.perf_counter()
        runs.certify(config, Path(folder) / "run", executor=executor, on_progress=report)
        seconds = time.perf_counter() - start
    steady = (len(begun) - workers) / (begun[-1] - begun[workers - 1])
    return 60 * inputs / seconds, 60 * steady


def contenders() -> dict[tuple[str, int], runs.Executor]:
    """By kind and number of workers, a thread each."""
    found: dict[tuple[str, int], runs.Executor] = {("processes", n): runs.Processes(n) for n in WORKERS}
    if importlib.util.find_spec("ray"):
        found |= {("Ray", n): runs.Ray(n) for n in WORKERS}
    return found


def store_share(inputs: int) -> float:
    """Seconds spent in storing rows (digests, Parquet, safetensors, fsync), by those of the whole run."""
    spent, append = [0.0], runs.Store.append

    def timed(store: runs.Store, rows: list[Row], shard: str) -> None:
        start = time.perf_counter()
        append(store, rows, shard)
        spent[0] += time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(runs.Store, "append", timed):
        start = time.perf_counter()
        runs.certify(replace(CONFIG, data=f"mnist:sample[0:{inputs}]"), Path(folder) / "run")
        return spent[0] / (time.perf_counter() - start)


def main() -> None:
    """Measure in turns, in an order that changes from one to the next."""
    counts = [int(value) for value in sys.argv[1:]]
    inputs, turns, n_samples = (*counts, *(20, 3, 2_000)[len(counts) :])
    executors = contenders()
    if any(kind == "Ray" for kind, _ in executors):
        import ray

        ray.init(num_cpus=max(WORKERS), include_dashboard=False, log_to_driver=False, configure_logging=False)
    figures: dict[tuple[str, int], list[tuple[float, float]]] = {who: [] for who in executors}
    for turn in range(turns):
        for kind, workers in sorted(executors, reverse=bool(turn % 2)):
            figures[kind, workers].append(rate(executors[kind, workers], workers, workers * inputs, n_samples))
            whole, steady = figures[kind, workers][-1]
            print(f"{kind}, {workers}: {whole:.1f} inputs a minute, {steady:.1f} once all have begun", flush=True)
    for kind in dict.fromkeys(kind for kind, _ in executors):
        for which, name in enumerate(("whole run", "once all have begun")):
            one, two = ([pair[which] for pair in figures[kind, workers]] for workers in WORKERS)
            each = sorted(b / a for a, b in zip(one, two, strict=True))
            print(
                f"{kind}, two workers by one, {name}: {statistics.median(each):.3f} ({each[0]:.3f} to {each[-1]:.3f})"
            )
    print(f"share of the store: {store_share(inputs):.4f}")


if __name__ == "__main__":
    main()
