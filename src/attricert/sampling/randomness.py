"""Maps of attributions that are random: each with random numbers of its own, which belong to its place in a stream."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from attricert.attributions import Attribution, at_uniforms, attributions_of, seeded, takes_uniforms
from attricert.streams import Stream

__all__ = ["random_maps"]


def random_maps(
    attribution: Attribution,
    noisy: Float[Tensor, "n *features"],
    targets: Tensor | None,
    stream: Stream,
    first: int,
    calls_per_draw: int,
) -> Float[Tensor, "n *entries"]:
    """Of the calls of a stream from the first on.

    Args:
        attribution: one that says that it is random.
        noisy: copies, one a call.
        targets: one a call, or None.
        stream: of the noise.
        first: the first call's number.
        calls_per_draw: 2 for antithetic pairs, else 1.
    """
    if takes_uniforms(attribution):
        return attributions_of(
            at_uniforms(attribution, _uniforms(noisy, stream, first, calls_per_draw)), noisy, targets
        )
    found = []
    for i in range(len(noisy)):  # rows of one call may share their random numbers
        with seeded(stream.seed_of(first + i)):
            index = None if targets is None else targets[i : i + 1]
            found.append(attributions_of(attribution, noisy[i : i + 1], index))
    return torch.cat(found)


def _uniforms(noisy: Tensor, stream: Stream, first: int, each: int) -> Tensor:
    """One a call, independent of the noise; the two of a pair lie half a unit apart (theory 8)."""
    end, begin = first + len(noisy), first // each
    own = Stream(stream.seed, stream.sample, f"{stream.stage} uniforms")
    numbers = own.rows(begin, -(-end // each), torch.float64, noisy.device).uniform()
    apart = torch.arange(each, dtype=numbers.dtype, device=numbers.device) / each
    spread = ((numbers[:, None] + apart) % 1).flatten()
    return spread[first - begin * each : end - begin * each].to(noisy)
