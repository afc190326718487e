"""Noisy copies of an input: which ones, and where in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from attricert.fixed import Fixed
from attricert.noise import Noise
from attricert.sampling.free import Free
from attricert.sampling.lattice import Lattice
from attricert.streams import Stream

__all__ = ["Copies"]

_CACHE_BYTES = 2**20  # of float64 noise: what is done to it in turn stays in a CPU's cache


@final
@dataclass(frozen=True)
class Copies:
    """How copies are made; the arguments are those of `Sampler`."""

    noise: Noise
    antithetic: bool
    exact: bool
    fixed: Fixed | None
    channels_last: bool

    def free(self, x: Float[Tensor, "*features"]) -> Free:
        """The entries that noise is added to."""
        return Free.of(x, self.fixed)

    def of(self, x: Float[Tensor, "*features"], stream: Stream, begin: int, end: int) -> Tensor:
        """With the noise of these rows of a stream, one a row or the two of a pair, shape (calls, *features).

        On a CPU they are made so many at a time as its caches hold.
        """
        step, each = end - begin, 2 if self.antithetic else 1
        if x.device.type == "cpu":
            step = max(1, _CACHE_BYTES // (8 * x.numel()))
        order = torch.channels_last if self.channels_last else torch.contiguous_format
        shape = ((end - begin) * each, *x.shape)
        copies = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=order)
        add = self._adding(x)
        for start in range(begin, end, step):
            made = add(self._noise(x, stream, start, min(start + step, end)))
            first = (start - begin) * each
            copies[first : first + len(made)] = made
        return copies

    def itself(self, x: Float[Tensor, "*features"]) -> Float[Tensor, "1 *features"]:
        """The input as a copy without noise."""
        return self._adding(x)(torch.zeros(1, self.free(x).dimension, dtype=torch.float64, device=x.device))

    def _noise(self, x: Tensor, stream: Stream, start: int, stop: int) -> Tensor:
        rng = stream.rows(start, stop, torch.float64 if self.exact else x.dtype, x.device)
        rows = self.noise.sample(rng, self.free(x).dimension)
        return torch.stack([rows, -rows], dim=1).flatten(0, 1) if self.antithetic else rows

    def _adding(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """What makes copies of an input from rows of noise."""
        free = self.free(x)
        if not self.exact:
            return lambda noise: x + free.spread(noise.to(x.device))
        lattice = Lattice.around(free.take(x), self.noise.lattice_step(free.dimension))
        return lambda noise: free.put(x, lattice.copies(noise).to(x.device))
