"""Draws of bounded attributions, and what is kept of them."""

from attricert.sampling.arriving import Arriving, ahead
from attricert.sampling.batching import BatchSize
from attricert.sampling.centered import Centered
from attricert.sampling.columns import Columns
from attricert.sampling.compute import Compute
from attricert.sampling.fourth import CenteredFourth
from attricert.sampling.free import Free
from attricert.sampling.lattice import check_precision
from attricert.sampling.looks import COPIES, SATURATED, LookedAt
from attricert.sampling.preflight import Preflight, preflight
from attricert.sampling.sampler import Draws, Sampler
from attricert.sampling.scatter import Exact, Gram, Scatter

__all__ = [
    "COPIES",
    "SATURATED",
    "Arriving",
    "BatchSize",
    "Centered",
    "CenteredFourth",
    "Columns",
    "Compute",
    "Draws",
    "Exact",
    "Free",
    "Gram",
    "LookedAt",
    "Preflight",
    "Sampler",
    "Scatter",
    "ahead",
    "check_precision",
    "preflight",
]
