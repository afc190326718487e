"""The entries of an input that noise and perturbations touch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from attricert.errors import ArgumentError
from attricert.fixed import Fixed

__all__ = ["Free"]


@final
@dataclass(frozen=True, eq=False)
class Free:
    """All entries of an input, or those that are not held fixed.

    Args:
        shape: of one input.
        index: of the free entries, in the flattened input; None for all.
    """

    shape: tuple[int, ...]
    index: Int[Tensor, " d"] | None = None

    @classmethod
    def of(cls, x: Float[Tensor, "*features"], fixed: Fixed | None) -> Free:
        """Of inputs like this one.

        Raises:
            ArgumentError: what is held fixed is of inputs of another shape.
        """
        shape = tuple(x.shape)
        if fixed is None:
            return cls(shape)
        if fixed.shape != shape:
            raise ArgumentError("fixed", fixed.shape, f"must be a mask of one input's shape, {shape}")
        return cls(shape, torch.from_numpy(np.flatnonzero(~fixed.mask)).to(x.device))

    @property
    def dimension(self) -> int:
        """How many there are."""
        return math.prod(self.shape) if self.index is None else len(self.index)

    def take(self, x: Float[Tensor, "*features"]) -> Float[Tensor, " d"]:
        """Those of one input."""
        return x.flatten() if self.index is None else x.flatten()[self.index]

    def put(self, x: Float[Tensor, "*features"], rows: Float[Tensor, "n d"]) -> Float[Tensor, "n *features"]:
        """Copies of an input with these in their places."""
        if self.index is None:
            return rows.reshape(-1, *self.shape)
        copies = x.flatten().repeat(len(rows), 1)
        copies[:, self.index] = rows.to(x)
        return copies.reshape(-1, *self.shape)

    def spread(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n *features"]:
        """Steps that leave the fixed entries alone."""
        return self.put(rows.new_zeros(self.shape), rows)

    def only(self, steps: Float[Tensor, "n *features"]) -> Float[Tensor, "n *features"]:
        """Steps less what they do to fixed entries."""
        return self.within(torch.zeros_like(steps), steps)

    def within(
        self, inputs: Float[Tensor, "n *features"], points: Float[Tensor, "n *features"]
    ) -> Float[Tensor, "n *features"]:
        """Points with the fixed entries of the inputs."""
        if self.index is None:
            return points
        found = inputs.flatten(1).clone()
        found[:, self.index] = points.flatten(1)[:, self.index]
        return found.reshape(points.shape)
