"""Kill a run at random, again and again: every input must be there once, with the bits of the uninterrupted run.

200 MNIST digits, in local processes and on a Ray cluster of this machine; at random moments a worker or the process
that writes is killed with SIGKILL (the latter is started again), at least 50 times each.

Usage: python tests/faults/campaign.py FOLDER [kills [seed]]; exit code 1 if anything is lost, twice there or different.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from attricert import runs
from attricert.runs.results import gather

INPUTS, WORKERS = 200, 2
CONFIG = runs.Config(
    "mnist-standard", f"mnist:test[0:{INPUTS}]", noise="gaussian", parameters={"sigma": 0.125}, n_samples=2_000, seed=1
)
PAUSE = (1.0, 9.0)  # seconds between kills
WRITER_SHARE = 0.08  # of kills go to the process that writes


def command(folder: Path, *extra: str) -> list[str]:
    """The run from a command line."""
    values = {
        "model": CONFIG.model,
        "data": CONFIG.data,
        "noise": CONFIG.noise,
        "sigma": str(CONFIG.parameters["sigma"]),
    }
    values |= {
        "n_samples": str(CONFIG.n_samples),
        "seed": str(CONFIG.seed),
        "workers": str(WORKERS),
        "out": str(folder),
    }
    flags = [word for name, value in values.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "attricert", "certify", *flags, *extra]


def children(writer: psutil.Process) -> list[psutil.Process]:
    """Local workers: processes that multiprocessing has spawned."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child for child in writer.children(recursive=True) if "spawn_main" in " ".join(child.cmdline())]
    return []


def actors(_: psutil.Process) -> list[psutil.Process]:
    """Ray's processes that hold an actor of ours."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::_Actor"):
                found.append(process)
    return found


def torture(
    run: list[str], workers: Callable[[psutil.Process], list[psutil.Process]], chance: random.Random
) -> Counter[str]:
    """Start it, kill of it what chance says, start it again, until it is done; the number of kills of each kind."""
    count = Counter[str]()
    while True:
        with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            writer = psutil.Process(process.pid)
            while process.poll() is None:
                time.sleep(chance.uniform(*PAUSE))
                alive = workers(writer)
                victim = writer if chance.random() < WRITER_SHARE or not alive else chance.choice(alive)
                # Before workers have begun there is hardly anything but the writer: let it come so far mostly.
                if process.poll() is not None or (victim is writer and not alive and chance.random() < 0.9):
                    continue
                with contextlib.suppress(psutil.NoSuchProcess):
                    victim.kill()
                    count["writer" if victim is writer else "worker"] += 1
        if process.returncode in (0, 1):  # 1: an input failed, which is found to differ
            return count
        print(f"  {count.total()} kills, {len(ids(Path(run[run.index('--out') + 1])))} rows", flush=True)


def ids(folder: Path) -> list[str]:
    """Inputs in the parts, as often as they are there."""
    if not (folder / "manifest.json").exists():
        return []
    return [row.facts["id"] for part in runs.Store.open(folder).parts() for row in part.rows()]


def digests(folder: Path) -> dict[str, str]:
    """Of every row; they cover maps too."""
    store = runs.Store.open(folder)
    return {row.facts["id"]: row.digest(store.manifest.digest) for row in gather(store)}


@contextlib.contextmanager
def ray_cluster() -> Iterator[str]:
    """Two nodes with object stores of their own; yields the address."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80 * 2**20})
    for _ in range(WORKERS):
        cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    cluster.wait_for_nodes()
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


def main() -> int:
    """Run, torture, compare."""
    folder = Path(sys.argv[1])
    kills, seed = (int(sys.argv[i]) if len(sys.argv) > i else usual for i, usual in ((2, 50), (3, 0)))
    chance = random.Random(seed)
    start = time.monotonic()
    runs.certify(CONFIG, folder / "whole", executor=runs.Processes(WORKERS))
    whole = digests(folder / "whole")
    print(f"uninterrupted: {len(whole)} inputs, {time.monotonic() - start:.0f} s", flush=True)
    failed = False
    for name in ("processes", "ray"):
        start, total, rounds = time.monotonic(), Counter[str](), 0
        while total.total() < kills:
            # A run that was done before it was killed often enough is done anew.
            rounds += 1
            out = folder / f"{name}-{rounds}"
            with contextlib.ExitStack() as stack:
                extra = ["--ray", stack.enter_context(ray_cluster())] if name == "ray" else []
                total += torture(command(out, *extra), actors if name == "ray" else children, chance)
            there = ids(out)
            wrong = sum(value != whole.get(key) for key, value in digests(out).items())
            once = sorted(there) == sorted(whole)
            failed |= wrong > 0 or not once
            print(
                f"{out.name}: {len(there)} rows, {'each input once' if once else 'INPUTS LOST OR TWICE THERE'}, "
                f"{wrong} differ; {total['worker']} workers and {total['writer']} writers killed so far, "
                f"{time.monotonic() - start:.0f} s",
                flush=True,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
