"""Bounded attributions of noisy copies of one input, streamed in batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from attricert.attributions import Attribution, is_nonnegative
from attricert.bounding import Bound
from attricert.errors import ArgumentError
from attricert.noise import Noise
from attricert.sampling.batching import BatchSize, bytes_per_draw, is_out_of_memory
from attricert.streams import Stream

__all__ = ["Draws", "Sampler"]

_PROBE = 2
_BATCHES = 4  # in a chunk: what surrounds the model is cheaper on larger arrays


@final
@dataclass(frozen=True)
class Draws:
    """A chunk of independent draws.

    Args:
        values: bounded attributions in float64, one row a draw (the mean of the two of an antithetic pair).
        calls: attributions computed for them.
        zeros: how many of those were zero.
        nonfinite: how many held NaN or inf; they count as zero.
    """

    values: Float[Tensor, "n m"]
    calls: int
    zeros: int
    nonfinite: int


@final
@dataclass(frozen=True)
class Sampler:
    """Streams draws of bound(g(x + a)), a ~ noise, in memory O(batch * d) whatever their number.

    Args:
        attribution: g.
        noise: distribution of a.
        bound: structural bound applied to each attribution.
        antithetic: draw pairs (a, -a); a pair is one draw, its value the mean of the two, at the cost of two.
        batch: batch size policy, shared by all inputs.
    """

    attribution: Attribution
    noise: Noise
    bound: Bound
    antithetic: bool = False
    batch: BatchSize = field(default_factory=BatchSize)

    @property
    def calls_per_draw(self) -> int:
        """Attributions computed for one draw."""
        return 2 if self.antithetic else 1

    def draws(
        self, x: Float[Tensor, "*features"], target: Tensor | None, stream: Stream, start: int, stop: int
    ) -> Iterator[Draws]:
        """Draws number ``start`` to ``stop`` of the stream, the same ones however they are split into batches.

        Yields chunks of a few batches each.
        """
        while start < stop:
            size = self.batch.choose(lambda: self._probe(x, target, stream), x.device)
            end = min(start + max(1, _BATCHES * size // self.calls_per_draw), stop)
            try:
                draws = self._chunk(x, target, self._noise(x, stream, start, end), size)
            except (RuntimeError, MemoryError) as error:
                if not (is_out_of_memory(error) and self.batch.halve()):
                    raise
                continue
            yield draws
            start = end

    def _chunk(self, x: Tensor, target: Tensor | None, noise: Tensor, size: int) -> Draws:
        """A few batches: only the attribution itself is computed batch by batch."""
        # No float64 on some accelerators: their statistics are kept on the CPU.
        device = "cpu" if x.device.type == "mps" else x.device
        rows = torch.empty(noise.shape, dtype=torch.float64, device=device)
        for part, out in zip(torch.split(noise, size), torch.split(rows, size), strict=True):
            out.copy_(self._attributions(x, target, part).flatten(1))
        values, norm = self.bound.with_norms(rows)
        nonfinite, zeros = int((~torch.isfinite(norm)).sum()), int((norm == 0).sum())
        if self.antithetic:
            values = values.reshape(len(values) // 2, 2, -1).mean(dim=1)
        return Draws(values, len(rows), zeros, nonfinite)

    def _noise(self, x: Tensor, stream: Stream, start: int, stop: int) -> Tensor:
        rng = stream.rows(start, stop, x.dtype, x.device)
        rows = self.noise.sample(rng, x.numel()).to(x.device)
        return torch.stack([rows, -rows], dim=1).flatten(0, 1) if self.antithetic else rows

    def _attributions(self, x: Tensor, target: Tensor | None, noise: Tensor) -> Tensor:
        noisy = x + noise.reshape(-1, *x.shape)
        targets = None if target is None else target.expand(len(noisy))
        attributions = self.attribution(noisy, targets)
        if attributions.shape != noisy.shape:
            raise ArgumentError(
                "attribution",
                tuple(attributions.shape),
                f"must return the inputs' shape, here {tuple(noisy.shape)}",
            )
        if is_nonnegative(self.attribution) and bool((attributions < 0).any()):
            raise ArgumentError("nonnegative", True, f"the attribution returned {float(attributions.min()):.3g}")
        return attributions.detach()

    def _probe(self, x: Tensor, target: Tensor | None, stream: Stream) -> int:
        noise = self._noise(x, Stream(stream.seed, stream.sample, "probe"), 0, _PROBE)
        return bytes_per_draw(lambda: self._attributions(x, target, noise), len(noise), x.numel())
