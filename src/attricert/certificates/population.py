"""From certificates of a sample to the source that it was drawn from (docs/theory.md 12)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from attricert.confidence import lower_proportion

__all__ = ["Share", "least_share", "share_of"]

Array = npt.NDArray[np.float64]

_MARGIN = 1e-10  # absolute; far above the rounding of every step, far below any digit shown


class Share(NamedTuple):
    """Which part of the inputs keeps a cosine: as counted here, and of their source.

    Args:
        observed: the share of these inputs whose certificate says the claim.
        at_least: a lower confidence bound on the share of the source of which the claim is true.
    """

    observed: Array
    at_least: Array


def share_of(
    sizes: Array, eps: Array, inputs: int, *, alpha: float, beta: float, averages: bool, simultaneous: bool
) -> Share:
    """What certificates amount to (Theorems 12.1 to 12.3).

    An input whose certificate says nothing has the size 0.0, and counts at no eps, 0 included.

    Args:
        sizes: the largest certified eps of each input at one threshold, shape (n,), in input units.
        eps: the sizes that are asked for, shape () or (k,), in input units.
        inputs: how many were drawn, at least n and 1; the others count as not certified.
        alpha: the probability with which an input's certificate may fail.
        beta: the probability with which the bound may fail; at most 1/2 if simultaneous.
        averages: whether the claims are about observed averages.
        simultaneous: whether all eps, before or after a look at the results, are to hold at once.

    Returns:
        Observed shares and lower bounds, of the shape of ``eps``.
    """
    counts = np.asarray(np.sum((sizes > 0) & (sizes >= eps[..., None]), axis=-1, dtype=np.int64))
    bounds = least_share(counts, inputs, alpha=alpha, beta=beta, averages=averages, simultaneous=simultaneous)
    return Share(np.asarray(counts / inputs), bounds)


def least_share(
    counts: npt.NDArray[np.int64], inputs: int, *, alpha: float, beta: float, averages: bool, simultaneous: bool
) -> Array:
    """Lower confidence bounds on the share of the source of which a claim is true (Theorems 12.1 to 12.3).

    Args:
        counts: of inputs whose certificates say the claim, of any shape.
        inputs: how many were drawn.
        alpha: the probability with which an input's certificate may fail.
        beta: the probability with which the bound may fail.
        averages: whether the claims are about observed averages.
        simultaneous: whether all counts are of one family of claims that only get harder, and are to hold at once.
    """
    if simultaneous:
        said = counts / inputs - math.sqrt(math.log(1 / beta) / (2 * inputs))
    else:
        known = {n: lower_proportion(n, inputs, beta) for n in np.unique(counts).tolist()}
        said = np.array([known[n] for n in counts.reshape(-1).tolist()], dtype=np.float64).reshape(counts.shape)
    # Whether the averages agree is left to chance by every input: also to those of which the certificate speaks.
    true = (said - _MARGIN - alpha) / (1.0 if averages else 1 - alpha)
    return np.asarray(np.clip(true, 0.0, 1.0))
