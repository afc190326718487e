"""What a whole data set takes, worked out from a rate that was measured somewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, final

from attricert import checks
from attricert.errors import ArgumentError

if TYPE_CHECKING:
    import torch
else:  # readable annotations without torch
    torch = SimpleNamespace(device=Any)

__all__ = ["WORKERS", "Workload", "measured_on"]

WORKERS = (1, 8, 64)
"""Numbers of workers of which is told what they would take."""

_UNITS = ((86_400.0, 2.0, "days"), (3_600.0, 2.0, "h"), (60.0, 2.0, "min"))  # each from so many of it on


@final
@dataclass(frozen=True)
class Workload:
    """Inputs to certify, and how fast one worker is: a worker is a process, or an accelerator.

    Args:
        inputs: of the whole data set.
        n_samples: draws an input.
        rate: draws a second of one worker by itself.
        device: what the rate was measured on; others need a measurement of their own.
        overhead: seconds that an input takes beside its draws.
        startup: seconds until a worker has begun; all begin at the same time.
        efficiency: weak scaling: which part of its own rate a worker has beside all others, > 0 and <= 1.
    """

    inputs: int
    n_samples: int
    rate: float
    device: str
    overhead: float = 0.0
    startup: float = 0.0
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        for name in ("inputs", "n_samples"):
            checks.count(name, getattr(self, name), 1)
        checks.positive("rate", self.rate)
        checks.text("device", self.device)
        for name in ("overhead", "startup"):
            checks.nonnegative_values(name, getattr(self, name))
        if not 0 < checks.positive("efficiency", self.efficiency) <= 1:
            raise ArgumentError("efficiency", self.efficiency, "must be > 0 and <= 1")

    @property
    def seconds_an_input(self) -> float:
        """On one worker by itself."""
        return self.overhead + self.n_samples / self.rate

    def seconds(self, workers: int = 1) -> float:
        """Until the last of so many equal workers is done; inputs are not divided.

        Args:
            workers: at least 1.
        """
        share = math.ceil(self.inputs / checks.count("workers", workers, 1))
        slowed = self.efficiency if workers > 1 else 1.0
        return self.startup + share * self.seconds_an_input / slowed

    def to_dict(self, workers: Sequence[int] = WORKERS) -> dict[str, Any]:
        """As plain values, with the seconds for some numbers of workers, at least one."""
        return {**asdict(self), "seconds": {str(n): seconds for n, seconds in self._times(workers)}}

    def told(self, workers: Sequence[int] = WORKERS) -> str:
        """In a line, for some numbers of workers, at least one."""
        times = [f"{_duration(seconds)} on {n:,}" for n, seconds in self._times(workers)]
        return (
            f"{self.inputs:,} input{'' if self.inputs == 1 else 's'} of {self.n_samples:,} samples: "
            f"{', '.join(times)} worker{'' if tuple(workers) == (1,) else 's'}, "
            f"worked out from {self.rate:.3g} samples a second of one ({self.device})"
        )

    def _times(self, workers: Sequence[int]) -> list[tuple[int, float]]:
        """Each number of workers with its seconds."""
        if not len(workers):
            raise ArgumentError("workers", workers, "must name at least one number")
        return [(n, self.seconds(n)) for n in workers]


def measured_on(device: torch.device) -> str:
    """A device in general words, with the threads that a processor's share of the work has."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} thread{'' if threads == 1 else 's'}" if device.type == "cpu" else device.type


def _duration(seconds: float) -> str:
    for size, least, word in _UNITS:
        if seconds >= least * size:
            return f"{seconds / size:.3g} {word}"
    return f"{seconds:.3g} s"
