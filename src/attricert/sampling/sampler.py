"""Bounded attributions of noisy copies of one input, streamed in batches."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attricert.attributions import (
    Attribution,
    Classifier,
    attributions_of,
    checked_targets,
    classes_of,
    comes_singly,
    is_nonnegative,
    is_out_of_memory,
    is_random,
    modules_of,
    scores_of,
    seeded,
    with_output,
)
from attricert.bounding import Bound
from attricert.errors import ArgumentError
from attricert.fixed import Fixed
from attricert.noise import Noise
from attricert.sampling.arriving import Arriving
from attricert.sampling.batching import BatchSize, bytes_per_draw
from attricert.sampling.compiling import compiled
from attricert.sampling.compute import Compute
from attricert.sampling.copies import Copies
from attricert.sampling.free import Free
from attricert.sampling.layout import IMAGES, channels_last, gains_from_channels_last, takes_channels_last
from attricert.sampling.randomness import random_maps
from attricert.streams import Stream

__all__ = ["Draws", "Sampler"]

_PROBE = 2
_BATCHES, _CHUNK_BYTES = 8, 32 * 2**20  # in a chunk, at most: what surrounds the model is cheaper on larger arrays


@final
@dataclass(frozen=True)
class Draws:
    """A chunk of independent draws.

    Args:
        rows: bounded attributions in float64, one row a call; the two of an antithetic pair follow each other.
        calls_per_draw: 2 for antithetic pairs, else 1.
        norms: of the rows before they were bounded: 0 where taken as zero; inf where not finite, which counts as zero.
        classes: predicted class of each row, -1 where the output was not finite; None without a classifier.
        lowest: the least entry of all as they came, where none is to be negative; else None.
    """

    rows: Float[Tensor, "calls m"]
    calls_per_draw: int
    norms: Float[Tensor, " calls"]
    classes: Int[Tensor, " calls"] | None = None
    lowest: Float[Tensor, ""] | None = None

    @property
    def calls(self) -> int:
        """Attributions computed."""
        return len(self.rows)

    @property
    def values(self) -> Float[Tensor, "n m"]:
        """Independent draws: the rows, or the mean of each pair of them."""
        if self.calls_per_draw == 1:
            return self.rows
        return self.rows.reshape(-1, self.calls_per_draw, self.rows.shape[1]).mean(dim=1)

    @property
    def nonfinite(self) -> int:
        """How many rows held NaN or inf."""
        return int((~torch.isfinite(self.norms)).sum())

    @property
    def votes(self) -> Int[Tensor, " n"]:
        """One independent class a draw: that of the first of a pair."""
        if self.classes is None:
            raise AttributeError("there was no classifier")
        return self.classes[:: self.calls_per_draw]


@final
@dataclass(frozen=True)
class Sampler:
    """Streams draws of bound(g(x + a)), a ~ noise, in memory O(batch * d) whatever their number.

    Args:
        attribution: g.
        noise: distribution of a.
        bound: structural bound applied to each attribution.
        antithetic: draw pairs (a, -a); a pair is one draw, its value the mean of the two, at the cost of two.
        classifier: what predicts a class for each noisy copy, or None.
        batch: batch size policy, shared by all inputs.
        exact: round x + a to the noise's lattice; without it, as in version 0.1, the sum is that of the inputs' dtype,
            whose last bits tell x from a perturbed input.
        fixed: entries of an input to which no noise is added, or None.
        shape: of one map; None for that of the input.
        compute: how they are computed, as far as `settled` is to see to it.
        channels_last: copies of images are given with their channels last in memory.
    """

    attribution: Attribution
    noise: Noise
    bound: Bound
    antithetic: bool = False
    classifier: Classifier | None = None
    batch: BatchSize = field(default_factory=BatchSize)
    exact: bool = True
    fixed: Fixed | None = None
    shape: tuple[int, ...] | None = None
    compute: Compute = field(default_factory=Compute)
    channels_last: bool = False

    @property
    def calls_per_draw(self) -> int:
        """Attributions computed for one draw."""
        return 2 if self.antithetic else 1

    def draws(
        self, x: Float[Tensor, "*features"], target: Tensor | None, stream: Stream, start: int, stop: int
    ) -> Iterator[Draws]:
        """Draws number ``start`` to ``stop`` of the stream, the same ones however they are split into batches.

        Yields chunks of a few batches each.

        Raises:
            ArgumentError: an attribution that says that its maps are never negative gave one that is.
        """
        begin, lowest = start, None
        while start < stop:
            size = self.batch.choose(lambda: self.bytes_per_draw(x, target, stream), x.device)
            end = min(start + max(1, self._rows_at_once(x, size) // self.calls_per_draw), stop)
            try:
                with checked_targets() if start > begin else contextlib.nullcontext():
                    draws = self._chunk(x, target, stream, start, end, size)
            except (RuntimeError, MemoryError) as error:
                if not (is_out_of_memory(error) and self.batch.halve()):
                    raise
                continue
            _check_promise(lowest)  # of the chunk before: with this one a GPU has more to do
            lowest = None if draws.lowest is None else Arriving(draws.lowest)
            yield draws
            start = end
        _check_promise(lowest)

    def _rows_at_once(self, x: Tensor, size: int) -> int:
        """As many whole batches as fit in a chunk."""
        bytes_a_batch = 8 * size * max(math.prod(self.map_shape(x)), x.numel())
        return size * max(1, min(_BATCHES, _CHUNK_BYTES // bytes_a_batch))

    def _chunk(self, x: Tensor, target: Tensor | None, stream: Stream, begin: int, end: int, size: int) -> Draws:
        """A few batches: only the attribution itself is computed batch by batch."""
        copies, first = self._copies.of(x, stream, begin, end), begin * self.calls_per_draw
        # No float64 on some accelerators: their statistics are kept on the CPU.
        device = "cpu" if x.device.type == "mps" else x.device
        rows = torch.empty((len(copies), math.prod(self.map_shape(x))), dtype=torch.float64, device=device)
        classes = None if self.classifier is None else torch.empty(len(copies), dtype=torch.int64, device=device)
        for start in range(0, len(copies), size):
            part = slice(start, start + size)
            attributions, scores = self._attributions(copies[part], target, stream, first + start)
            rows[part] = attributions.flatten(1)
            if classes is not None and scores is not None:
                classes[part] = classes_of(scores)
        lowest = self._keep_promise(rows)
        return Draws(rows, self.calls_per_draw, self.bound.into(rows), classes, lowest)

    def map_shape(self, x: Float[Tensor, "*features"]) -> tuple[int, ...]:
        """Of one map of this input."""
        return tuple(x.shape) if self.shape is None else self.shape

    @property
    def _copies(self) -> Copies:
        return Copies(self.noise, self.antithetic, self.exact, self.fixed, self.channels_last)

    def free(self, x: Float[Tensor, "*features"]) -> Free:
        """The entries that noise is added to."""
        return self._copies.free(x)

    def settled(self, x: Float[Tensor, "*features"], target: Tensor | None) -> Sampler:
        """For maps of the shape that a noisy copy of this input has, computed as is asked for and possible.

        Raises:
            ArgumentError: channels are to come last in what are no images.
        """
        stream, last = Stream(0, "", "shape"), self.compute.channels_last

        def maps_of(copies: Tensor, attribution: Attribution = self.attribution) -> Tensor:
            with seeded(stream.seed_of(0)):
                return attributions_of(attribution, copies, index_of(copies))

        def index_of(copies: Tensor) -> Tensor | None:
            return None if target is None else target.expand(len(copies), *target.shape)

        def taken(copies: Tensor) -> Tensor:
            if self.classifier is not None:
                scores_of(self.classifier, copies, index_of(copies))
            return maps_of(copies)

        single = self.batch.fixed == 1 or comes_singly(self.attribution)
        copies = self.copies(x, stream, 2)[: 1 if single else 2]
        modules = modules_of(self.attribution, self.classifier)
        if last and copies.ndim != IMAGES:
            rule = f"goes with inputs of shape (channels, rows, columns), not {tuple(x.shape)}"
            raise ArgumentError("channels_last", last, rule)
        if last and not takes_channels_last(taken, copies, modules):
            rule = "must be left out: given that order, the model fails or gives other maps"
            raise ArgumentError("channels_last", last, rule)
        if last is None:
            last = gains_from_channels_last(copies, modules) and takes_channels_last(taken, copies, modules)
        copies = copies[:1]
        ready = replace(self, shape=tuple(maps_of(copies).shape[1:]), channels_last=last)
        if not self.compute.compile:
            return ready
        self.batch.choose(lambda: ready.bytes_per_draw(x, target, stream), x.device)
        given = channels_last(copies) if last else copies
        attribution, classifier = compiled(self.attribution, self.classifier, self.batch, partial(maps_of, given))
        return replace(ready, attribution=attribution, classifier=classifier)

    def copies(self, x: Float[Tensor, "*features"], stream: Stream, n: int) -> Float[Tensor, "n *features"]:
        """The first noisy copies of an input in a stream."""
        return self._copies.of(x, stream, 0, n)

    def votes(self, x: Float[Tensor, "*features"], target: Tensor | None, stream: Stream, n: int) -> float:
        """The share of the first noisy copies that the classifier puts in the target's class."""
        if self.classifier is None or target is None:
            raise AttributeError("there is no class")
        copies = self.copies(x, stream, n)
        found = classes_of(scores_of(self.classifier, copies, target.expand(len(copies), *target.shape)))
        return float((found == target.reshape(-1)[0]).double().mean())

    def plain(self, x: Float[Tensor, "*features"], target: Tensor | None) -> Float[Tensor, " m"]:
        """The bounded attribution of the input itself, in float64; of one call, if the attribution is random."""
        alone = replace(self, classifier=None)
        found, _ = alone._attributions(self._copies.itself(x), target, Stream(0, "", "plain"), 0)
        rows = found.flatten(1).to("cpu" if x.device.type == "mps" else x.device, torch.float64)
        lowest = self._keep_promise(rows)
        _check_promise(None if lowest is None else Arriving(lowest))
        return self.bound(rows)[0]

    def _attributions(
        self, noisy: Tensor, target: Tensor | None, stream: Stream, first: int
    ) -> tuple[Tensor, Tensor | None]:
        """Of noisy copies, those of the calls of a stream from the first on; with their classes' scores."""
        targets = None if target is None else target.expand(len(noisy), *target.shape)
        scores = None
        if is_random(self.attribution):
            attributions = random_maps(self.attribution, noisy, targets, stream, first, self.calls_per_draw)
            if self.classifier is not None:
                scores = scores_of(self.classifier, noisy, targets)
        elif self.classifier is None:
            attributions = attributions_of(self.attribution, noisy, targets)
        else:
            attributions, scores = with_output(self.attribution, self.classifier, noisy, targets)
        shape, found = self.map_shape(noisy[0]), tuple(attributions.shape[1:])
        if found != shape:
            raise ArgumentError("attribution", found, f"must return maps of one shape, here {shape} an input")
        return attributions, scores

    def _keep_promise(self, rows: Tensor) -> Tensor | None:
        """Where the attribution says that maps are never negative: make it so, and tell the least entry.

        A promise that is broken too rarely to be seen would make certificates false: |g| is certified.
        """
        if not is_nonnegative(self.attribution):
            return None
        lowest = rows.amin(dim=1).nan_to_num(0.0).amin()
        rows.abs_()
        return lowest

    def bytes_per_draw(
        self, x: Float[Tensor, "*features"], target: Tensor | None, stream: Stream, draws: int = _PROBE
    ) -> int:
        """Memory that one draw takes, measured on so many; see `batching.bytes_per_draw`."""
        probe = Stream(stream.seed, stream.sample, "probe")
        copies = self._copies.of(x, probe, 0, draws)
        entries = max(x.numel(), math.prod(self.map_shape(x)))
        weights = (
            weight
            for module in modules_of(self.attribution, self.classifier)
            for weight in itertools.chain(module.parameters(), module.buffers())
        )
        return bytes_per_draw(lambda: self._attributions(copies, target, probe, 0)[0], len(copies), entries, weights)


def _check_promise(lowest: Arriving | None) -> None:
    found = 0.0 if lowest is None else float(lowest.get())
    if found < 0:
        raise ArgumentError("nonnegative", True, f"the attribution returned {found:.3g}")
