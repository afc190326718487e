"""A chunk of draws about the pilot's center: what all proofs ask of it, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from attricert.sampling.arriving import Arriving
from attricert.sampling.sampler import Draws

__all__ = ["Centered"]

Array = npt.NDArray[np.float64]


@final
@dataclass(frozen=True)
class Centered:
    """Rows q = g - m on their device, and the numbers of each row on the host.

    Args:
        center: m.
        q: shape (calls, m), float64.
        total: the sum of the rows.
        calls_per_draw: 2 for antithetic pairs, else 1.
        numbers: of each row, what the host is to know, in rows of its own.
        directions: along which the rows were asked for.
    """

    center: Float[Tensor, " m"]
    q: Float[Tensor, "calls m"]
    total: Float[Tensor, " m"]
    calls_per_draw: int
    numbers: Arriving
    directions: int

    @classmethod
    def of(cls, draws: Draws, center: Float[Tensor, " m"], directions: Float[Tensor, "k m"]) -> Centered:
        """The draws about a center. What the host is to know comes at once: an accelerator is waited for once.

        Args:
            draws: a chunk.
            center: m.
            directions: along which the rows are asked for.
        """
        q = draws.rows - center
        numbers = [*(directions @ q.T), torch.linalg.vector_norm(q, dim=1) ** 2, draws.norms]
        numbers += [] if draws.classes is None else [draws.classes.double()]
        return cls(center, q, q.sum(0), draws.calls_per_draw, Arriving(torch.stack(numbers)), len(directions))

    @cached_property
    def _host(self) -> Array:
        return self.numbers.get().numpy()

    @property
    def along(self) -> Array:
        """u.q for the directions u, shape (directions, calls)."""
        return self._host[: self.directions]

    @property
    def squares(self) -> Array:
        """||q||^2."""
        found: Array = self._host[self.directions]
        return found

    @property
    def norms(self) -> Array:
        """Of the rows before they were bounded: 0 where taken as zero, inf where not finite."""
        found: Array = self._host[self.directions + 1]
        return found

    @property
    def classes(self) -> npt.NDArray[np.int64] | None:
        """Predicted ones; None without a classifier."""
        predicted = self._host[self.directions + 2 :]
        return predicted[0].astype(np.int64) if len(predicted) else None

    @property
    def rows(self) -> Float[Tensor, "calls m"]:
        """The maps themselves, g = q + m up to rounding."""
        return self.q + self.center

    @property
    def calls(self) -> int:
        """Attributions computed."""
        return len(self.q)

    @property
    def count(self) -> int:
        """Independent draws."""
        return len(self.q) // self.calls_per_draw

    def of_draws(self, values: Array) -> Array:
        """The mean over each draw's rows of one number a row."""
        return np.asarray(values.reshape(-1, self.calls_per_draw).mean(axis=1))

    def any_of_draws(self, flags: npt.NDArray[np.bool_]) -> int:
        """How many draws have a row with this flag."""
        return int(flags.reshape(-1, self.calls_per_draw).any(axis=1).sum())

    @property
    def votes(self) -> npt.NDArray[np.int64]:
        """One independent class a draw: that of the first of a pair."""
        classes = self.classes
        if classes is None:
            raise AttributeError("there was no classifier")
        return classes[:: self.calls_per_draw]
