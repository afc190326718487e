"""How draws are computed: nothing of what is certified."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch

from attricert import checks

__all__ = ["Compute"]

_THREADS = 4096


@final
@dataclass(frozen=True)
class Compute:
    """How a smoothed attribution is computed. Results stay the same up to rounding, whatever is chosen.

    Args:
        channels_last: give copies of images, shape (n, channels, rows, columns), with the channels of a pixel beside
            each other in memory. None: where it is of use (convolutions on a CPU) and gives the same maps.
        compile: compile the model of an attribution that has one (`torch.compile`), once for each model and batch size
            of a process; it takes seconds to minutes. Other attributions go on as they are; so do, after a warning,
            models that cannot be compiled here. Attacks never use it.
        threads: of torch while draws are made; None for as many as there are.
    """

    channels_last: bool | None = None
    compile: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.channels_last is not None:
            checks.flag("channels_last", self.channels_last)
        checks.flag("compile", self.compile)
        if self.threads is not None:
            checks.keep(self, threads=checks.count("threads", self.threads, 1, _THREADS))

    @contextlib.contextmanager
    def in_threads(self) -> Iterator[None]:
        """Within: so many threads of torch."""
        before = torch.get_num_threads()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
