"""A chunk of draws about the pilot's center: what all proofs ask of it, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor

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
        along: u.q for some directions u, shape (directions, calls).
        squares: ||q||^2.
        norms: of the rows before they were bounded: 0 where taken as zero, inf where not finite.
        classes: predicted ones; None without a classifier.
    """

    center: Float[Tensor, " m"]
    q: Float[Tensor, "calls m"]
    total: Float[Tensor, " m"]
    calls_per_draw: int
    along: Array
    squares: Array
    norms: Array
    classes: npt.NDArray[np.int64] | None

    @classmethod
    def of(cls, draws: Draws, center: Float[Tensor, " m"], directions: Float[Tensor, "k m"]) -> Centered:
        """The draws about a center. What the host needs to know is fetched at once: an accelerator is waited for once.

        Args:
            draws: a chunk.
            center: m.
            directions: along which the rows are asked for.
        """
        q = draws.rows - center
        numbers = [*(directions @ q.T), torch.linalg.vector_norm(q, dim=1) ** 2, draws.norms]
        numbers += [] if draws.classes is None else [draws.classes.double()]
        host, k = torch.stack(numbers).cpu().numpy(), len(directions)
        classes = None if draws.classes is None else host[-1].astype(np.int64)
        return cls(center, q, q.sum(0), draws.calls_per_draw, host[:k], host[k], host[k + 1], classes)

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
        if self.classes is None:
            raise AttributeError("there was no classifier")
        return self.classes[:: self.calls_per_draw]

    def rows_of(self, flags: npt.NDArray[np.bool_]) -> Bool[Tensor, " calls"] | None:
        """Flags on the rows' device; None where all are set."""
        return None if flags.all() else torch.from_numpy(flags).to(self.q.device)
