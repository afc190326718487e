"""Ratios of what is measured alternately in one process: neighbours in time meet the same machine."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

Name = TypeVar("Name", bound=Hashable)

_AMX = ("amx_tile", "amx_bf16", "amx_int8")


def alternate(
    contenders: Mapping[Name, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[Name, list[float]]:
    """Seconds of each, once a round, in an order that rotates; a first round warms up and does not count.

    Args:
        contenders: what is done, by name.
        rounds: that count, at least 2.
        clock: the time; on accelerators their work is waited for before it is looked at.
    """
    names = list(contenders)
    found: dict[Name, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begun = _now(clock)
            contenders[name]()
            if turn > 0:
                found[name].append(_now(clock) - begun)
    return found


def ratio(of: Sequence[float], by: Sequence[float]) -> dict[str, float]:
    """Of seconds, round by round: the median, and the quartiles as the spread."""
    low, middle, high = statistics.quantiles([a / b for a, b in zip(of, by, strict=True)], n=4)
    return {"median": round(middle, 4), "low": round(low, 4), "high": round(high, 4)}


def machine(device: str = "cpu") -> dict[str, Any]:
    """What a figure was measured on, in general terms."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return {
        "cores": torch.multiprocessing.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": [torch.backends.cpu.get_cpu_capability(), *(word for word in _AMX if word in flags)],
        "torch": torch.__version__,
        "accelerator": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
    }


def peak_memory_mib(device: str = "cpu") -> float:
    """Of this process so far: resident, or on the accelerator."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _now(clock: Callable[[], float]) -> float:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return clock()
