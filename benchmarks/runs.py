"""Runs over data sets: inputs per minute of one worker and of two, what the store costs.

Usage: python benchmarks/runs.py [inputs [turns]]; both cores of a machine with two must be free.
"""

from __future__ import annotations

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


def rate(workers: int, inputs: int) -> tuple[float, float]:
    """Inputs per minute, of the whole run and from the moment that every worker has done one."""
    begun: list[float] = []

    def report(state: runs.State) -> None:
        if state.done > len(begun):
            begun.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        config = replace(CONFIG, data=f"mnist:sample[0:{inputs}]")
        start = time.perf_counter()
        runs.certify(config, Path(folder) / "run", executor=runs.Processes(workers), on_progress=report)
        seconds = time.perf_counter() - start
    steady = (len(begun) - workers) / (begun[-1] - begun[workers - 1])
    return 60 * inputs / seconds, 60 * steady


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
    """Measure in turns."""
    counts = [int(value) for value in sys.argv[1:]]
    inputs, turns = (*counts, *(40, 3)[len(counts) :])
    figures: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for _ in range(turns):
        for workers, found in figures.items():
            found.append(rate(workers, inputs))
            whole, steady = found[-1]
            print(f"{workers} workers: {whole:.1f} inputs a minute, {steady:.1f} once all have begun", flush=True)
    for which, name in enumerate(("whole run", "once all have begun")):
        one, two = (statistics.median(pair[which] for pair in figures[workers]) for workers in (1, 2))
        print(f"two workers by one, {name}, medians of {turns}: {two / one:.3f}")
    print(f"share of the store: {store_share(inputs):.4f}")


if __name__ == "__main__":
    main()
