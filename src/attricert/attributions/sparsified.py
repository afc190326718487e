"""Maps of ones and zeros: which entries are among the largest."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attricert import checks
from attricert.attributions.base import Attribution
from attricert.attributions.calling import name_of
from attricert.attributions.outputs import Targets
from attricert.errors import ArgumentError

__all__ = ["Sparsified", "among_largest"]

_ITS_OWN = ("model", "random", "fixed", "rows_at_once")
"""What attributions may have, and what this leaves as it is."""


@final
@dataclass(frozen=True)
class Sparsified:
    """Ones where a map's absolute values are largest, zeros elsewhere (Levine et al. 2019, Anani et al. 2025).

    Smoothed, an entry is the probability that it is among the largest of a noisy copy's map. That this is more likely
    than not, everywhere within eps, is the pixel-level claim of Anani et al.: the lower end of `Certificate.intervals`
    is above 1/2 (or the upper end below it, for the opposite). With ``Clip(self.max_norm(entries), max_entry=1.0)`` for
    a bound the map stays as it is, and counts decide (theory, Lemma 5.6a).

    Args:
        attribution: g, any callable ``g(inputs, target)``, as for `SmoothedAttribution`.
        top: share of the entries that become ones, > 0 and < 1, rounded to entries, at least one. Fewer do where values
            are tied at the border: none of those that are; and none that is zero. A map with NaN or inf stays none.
    """

    attribution: Attribution
    top: float = 0.25

    def __post_init__(self) -> None:
        if not callable(self.attribution):
            raise ArgumentError("attribution", self.attribution, "must be callable as g(inputs, target)")
        checks.keep(self, top=checks.fraction("top", self.top))

    @property
    def nonnegative(self) -> bool:
        """Ones and zeros are."""
        return True

    @property
    def __name__(self) -> str:  # what errors call it
        return f"Sparsified({name_of(self.attribution)})"

    def __getattr__(self, name: str) -> Any:
        if name in _ITS_OWN:
            return getattr(self.attribution, name)
        if name == "at" and callable(at := getattr(self.attribution, name, None)):  # random, by numbers that are given
            return lambda *numbers: replace(self, attribution=at(*numbers))
        raise AttributeError(f"{type(self).__name__} has no {name}")

    def __call__(self, inputs: Float[Tensor, "n *features"], target: Targets) -> Float[Tensor, "n *entries"]:
        """A map of ones and zeros an input."""
        maps = self.attribution(inputs, target)
        rows = maps.flatten(1)
        ones = among_largest(rows, self.top).to(inputs.dtype)
        known = rows.isfinite().all(dim=1, keepdim=True)
        return ones.where(known, torch.nan).reshape(maps.shape)

    def max_norm(self, entries: int) -> float:
        """The l2 norm of a map with so many entries is at most this."""
        return (1 + 1e-9) * math.sqrt(ones_of(self.top, checks.count("entries", entries, 1)))


def among_largest(rows: Float[Tensor, "n d"], top: float) -> Bool[Tensor, "n d"]:
    """Where the largest share of each row's absolute values is; none of those tied at its border, and no zero."""
    sizes = rows.abs()
    ones, entries = ones_of(top, rows.shape[1]), rows.shape[1]
    return sizes > (sizes.topk(ones + 1, dim=1).values[:, -1:] if ones < entries else 0)


def ones_of(top: float, entries: int) -> int:
    """How many that are."""
    return max(1, round(top * entries))
