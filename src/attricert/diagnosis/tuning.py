"""Which way of computing draws is fastest here: real draws, timed in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from attricert.diagnosis.surroundings import processors
from attricert.errors import AttricertError
from attricert.sampling import BatchSize, Compute, Sampler
from attricert.showing import shown_by
from attricert.streams import Stream

__all__ = ["Rate", "Tuning", "tuned"]

_ROUNDS = (3, 7)  # of which medians are taken
_SIZES = (0.25, 0.5, 1, 2, 4)  # times the present batch size
_LEAST = 0.02  # seconds that one measurement takes, about
_CLEAR, _OFTEN = 1.05, 0.8  # so many times as fast, and faster in such a share of rounds: else nothing is changed
_STREAM = Stream(0, "", "tuning")


@final
@dataclass(frozen=True)
class Rate:
    """How fast draws come in one way.

    Args:
        compute: the way.
        batch_size: noisy copies computed at once.
        draws_a_second: the median of a few measurements, in turn with the other ways.
        spread: the difference of the largest and the smallest, relative to the median.
        faster: in which share of the rounds it was faster than what it was compared with.
    """

    compute: Compute
    batch_size: int
    draws_a_second: float
    spread: float
    faster: float = 0.0


@final
@dataclass(frozen=True)
class Tuning:
    """What was measured, and what to choose.

    Args:
        rates: the first is that of the present way; later ones start from the best before them.
        best: the one to choose: the present one, unless another is clearly faster.
        alone: with one thread, all else as in the best; None where there is no other number.
        processors: that this process may use.
    """

    rates: tuple[Rate, ...]
    best: Rate
    alone: Rate | None
    processors: int

    __repr__ = shown_by("attricert.report.brief:tuning")

    @property
    def compute(self) -> Compute:
        """To choose."""
        return self.best.compute

    @property
    def batch_size(self) -> int:
        """To choose."""
        return self.best.batch_size

    @property
    def gain(self) -> float:
        """How many times as fast as the present way that is; 1 if it is the present way."""
        return self.best.draws_a_second / self.rates[0].draws_a_second

    @property
    def workers_gain(self) -> float:
        """How many times as fast a process for each processor, of one thread, would be; an estimate.

        As if they did not stand in each other's way. 1 where that cannot be told.
        """
        if self.alone is None:
            return 1.0
        return self.processors * self.alone.draws_a_second / self.best.draws_a_second

    @property
    def workers(self) -> int:
        """Processes to use for many inputs (``--workers``): one for each processor where that is clearly faster."""
        return self.processors if self.workers_gain > _CLEAR else 1


def tuned(
    sampler: Sampler,
    x: Tensor,
    target: Tensor | None,
    *,
    seconds: float,
    compile: bool = False,
    sizes: Sequence[float] = _SIZES,
    most: int | None = None,
) -> Tuning:
    """Measure one choice after the other: memory format, compiling, batch size, threads; each from the best so far.

    Args:
        sampler: the present way.
        x: an input.
        target: class to explain, or None.
        seconds: that this may take, about; slow models take longer.
        compile: try that too, which takes far longer.
        sizes: batch sizes to try, times the present one.
        most: draws of one measurement; None for a batch or more.
    """
    ready = sampler.settled(x, target)
    size = ready.batch.choose(lambda: ready.bytes_per_draw(x, target, _STREAM), x.device)
    timed = _Timed(sampler, x, target, seconds / 4, most)
    first, *rates = timed.beside(None, [(sampler.compute, size), *((one, size) for one in timed.layouts(ready))])
    best = _best(first, rates)
    if compile and not best.compute.compile and timed.compiles(replace(best.compute, compile=True), size):
        rates += (found := timed.beside(best, [(replace(best.compute, compile=True), size)]))
        best = _best(best, found)
    if sizes and not best.compute.compile:  # each size would be compiled anew
        fit = timed.largest(ready, size)
        tried = dict.fromkeys(max(1, min(round(size * factor), fit)) for factor in sizes)
        rates += (found := timed.beside(best, [(best.compute, n) for n in tried if n != size]))
        best = _best(best, found)
    used, there = best.compute.threads or torch.get_num_threads(), processors()
    others = [n for n in (1, there) if n != used] if x.device.type == "cpu" else []
    rates += (found := timed.beside(best, [(replace(best.compute, threads=n), best.batch_size) for n in others]))
    alone = next((rate for rate in (best, *found) if (rate.compute.threads or used) == 1 < there), None)
    return Tuning((first, *rates), _best(best, found), alone, there)


@final
@dataclass(frozen=True)
class _Timed:
    """Times draws of an input."""

    sampler: Sampler
    x: Tensor
    target: Tensor | None
    seconds: float
    most: int | None

    def beside(self, best: Rate | None, ways: Sequence[tuple[Compute, int]]) -> list[Rate]:
        """The rates of these ways, in turn with the best so far, whose rate then is what it was before."""
        if not ways:
            return []
        known = [] if best is None else [(best.compute, best.batch_size)]
        samplers = [self._sampler(*way) for way in (*known, *ways)]
        sizes = [size for _, size in (*known, *ways)]
        draws = [self._draws(one, size) for one, size in zip(samplers, sizes, strict=True)]
        end, rounds = time.perf_counter() + self.seconds, list[list[float]]()
        while len(rounds) < _ROUNDS[0] or (time.perf_counter() < end and len(rounds) < _ROUNDS[1]):
            rounds.append([self._seconds(one, n) / n for one, n in zip(samplers, draws, strict=True)])
        each = [sorted(column) for column in zip(*rounds, strict=True)]
        middle = [statistics.median(column) for column in each]
        scale = 1.0 if best is None else best.draws_a_second * middle[0]
        return [
            Rate(
                compute,
                samplers[i].batch.size,  # which is halved where it does not fit
                scale / middle[i],
                (each[i][-1] - each[i][0]) / middle[i],
                sum(row[i] < row[0] for row in rounds) / len(rounds),
            )
            for i, (compute, _) in enumerate(ways, start=len(known))
        ]

    def largest(self, ready: Sampler, size: int) -> int:
        """Batches may have so many draws: what memory allows, or the present size where two at once fail."""
        try:
            return max(size, ready.batch.most(ready.bytes_per_draw(self.x, self.target, _STREAM), self.x.device))
        except AttricertError:
            return size

    def compiles(self, compute: Compute, size: int) -> bool:
        """Whether something is compiled when it is asked for."""
        return self._sampler(compute, size).attribution is not self.sampler.attribution

    def layouts(self, ready: Sampler) -> list[Compute]:
        """The other order of channels in memory, where copies can be had in it."""
        for last in (None, not ready.channels_last):
            other = replace(ready.compute, channels_last=last, compile=False)
            try:
                found = replace(self.sampler, compute=other).settled(self.x, self.target)
            except AttricertError:  # no images, other maps, or one at a time
                continue
            if found.channels_last != ready.channels_last:
                return [replace(other, compile=ready.compute.compile)]
        return []

    def _draws(self, sampler: Sampler, size: int) -> int:
        """As many as take long enough to be timed; what is only done once is done then."""
        few = size if self.most is None else min(size, self.most)
        if self._seconds(sampler, few) > _LEAST or few < size:
            return few
        return few * max(1, round(_LEAST / self._seconds(sampler, few)))

    def _sampler(self, compute: Compute, size: int) -> Sampler:
        ready = replace(self.sampler, compute=compute, batch=BatchSize(size))
        with compute.in_threads():
            return ready.settled(self.x, self.target)

    def _seconds(self, sampler: Sampler, draws: int) -> float:
        with sampler.compute.in_threads():
            begin = time.perf_counter()
            for _ in sampler.draws(self.x, self.target, _STREAM, 0, draws):
                pass
            return time.perf_counter() - begin


def _best(first: Rate, others: Sequence[Rate]) -> Rate:
    """The fastest, if it is clearly faster than the first, and not by chance alone."""
    often = [rate for rate in others if rate.faster >= _OFTEN]
    fastest = max(often, key=lambda rate: rate.draws_a_second, default=first)
    return fastest if fastest.draws_a_second > _CLEAR * first.draws_a_second else first
