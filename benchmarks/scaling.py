"""How time grows with size: seconds per row, or per feature, at a large size against a small one; near 1 is linear.

Usage: python benchmarks/scaling.py; some minutes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from attricert import runs
from attricert.certificates.ranking import Ranking
from attricert.runs.parts import Part
from attricert.runs.results import gather
from attricert.runs.rows import Row

CONFIG = runs.Config(
    "mnist-standard", "mnist:sample[0:1]", noise="gaussian", parameters={"sigma": 0.125}, n_samples=1000, seed=0
)
ROWS = (1_000, 100_000)
FEATURES = (3_072, 150_528)
TURNS = 5  # of what takes seconds at the most
TOP = 1000
MOVES = (1e-4, 1e-3, 0.01, 0.05, 0.2)


@contextmanager
def offline(rows: int) -> Iterator[Callable[[], object]]:
    """Certificates of many rows at two sizes and a threshold, as ``attricert certificates`` makes them."""
    with tempfile.TemporaryDirectory() as folder:
        one = runs.certify(CONFIG, Path(folder) / "one")
        facts = {name: value for name, value in gather(one)[0].facts.items() if name != "digest"}
        many = runs.Store.create(Path(folder) / "many", replace(one.manifest, inputs=rows), {}, any_seed=False)
        for start in range(0, rows, 64):  # parts of the size that runs write
            numbers = range(start, min(start + 64, rows))
            norms = {i: facts["norm.lower"] * (0.5 + i / 2 / rows) for i in numbers}
            made = [Row({**facts, "id": str(i), "position": i, "norm.lower": norm}) for i, norm in norms.items()]
            Part(many.folder / "parts" / f"0000-of-0001-{start // 64:06d}.parquet", many.manifest).write(made)
        yield lambda: runs.certificates(many, runs.Asked((0.01, 0.02), (0.9,)))


@contextmanager
def overlaps(features: int) -> Iterator[Callable[[], object]]:
    """Top-k overlaps of one map at five distances."""
    map_ = np.random.default_rng(0).standard_normal(features) * features**-0.5
    near = [Ranking(map_ - 1e-4, map_ + 1e-4, map_ - 1e-4 - m, map_ + 1e-4 + m, m) for m in MOVES]
    yield lambda: [ranking.overlap(TOP) for ranking in near]


@contextmanager
def taus(features: int) -> Iterator[Callable[[], object]]:
    """Kendall's tau of one map."""
    map_ = np.random.default_rng(0).standard_normal(features) * features**-0.5
    ranking = Ranking(map_ - 1e-4, map_ + 1e-4, map_ - 2e-3, map_ + 2e-3, 0.05)
    yield ranking.kendall_tau


def seconds(work: Callable[[], object], turns: int) -> float:
    """The median of some turns, after one that warms up."""
    work()
    found = []
    for _ in range(turns):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def main() -> None:
    """Measure small and large."""
    for name, made, sizes in (
        ("certificates of stored rows", offline, ROWS),
        ("top-k overlaps", overlaps, FEATURES),
        ("Kendall's tau", taus, FEATURES),
    ):
        each = []
        for size in sizes:
            with made(size) as work:
                each.append(seconds(work, TURNS if size < max(ROWS) or made is not offline else 1) / size)
        small, large = (f"{1e6 * value:.1f}" for value in each)
        print(f"{name}: microseconds each {small} at {sizes[0]:,}, {large} at {sizes[1]:,}: {each[1] / each[0]:.2f}")


if __name__ == "__main__":
    main()
