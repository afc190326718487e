"""Streams bounded attributions of noisy inputs, in batches that fit memory, into small mergeable statistics."""

from attricert.sampling.batching import BatchSize
from attricert.sampling.sampler import Draws, Sampler

__all__ = ["BatchSize", "Draws", "Sampler"]
