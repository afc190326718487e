"""What is known of a scalar of a random map, under the noise at x (docs/theory.md 3)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

__all__ = ["Facts"]

Array = npt.NDArray[np.float64]


@final
@dataclass(frozen=True)
class Facts:
    """What is known of n scalars under the noise at x: arrays of shape (n,), those of J limits of shape (n, J).

    `evaluate` and what calls it take them as `flat` makes them: one column, (n, 1), and (n, J).

    Args:
        mean: E Y is at most this.
        rise: E Y + (nu - 1) E Q is at most mean + (nu - 1) rise for nu >= 1; inf where not known.
        fall: ... and at most mean + (1 - nu) fall for 0 <= nu <= 1; rise + fall >= 0.
        second: E Q^2 is at most this; inf where not known. With ``inside`` only its part in the outermost region is.
        highest: Q is never above this, >= 0.
        lowest: Q is never below minus this, >= 0.
        limits: Q is at most limits[:, j] but for an event of mass outside[:, j]; increasing in j.
        outside: those masses, decreasing in j.
        inside: whether ``second`` (and ``fourth``) speak of the outermost region alone; needs a region.
        fourth: E Q^4 in the outermost region is at most this.
    """

    mean: Array
    rise: Array
    fall: Array
    second: Array
    highest: Array
    lowest: Array
    limits: Array
    outside: Array
    inside: bool = False
    fourth: Array | None = None

    @classmethod
    def of_range(cls, mean: Array, low: Array, high: Array) -> Facts:
        """Of a scalar in [low, high] with mean at most ``mean``: its center is the mean's bound."""
        highest, lowest = np.maximum(high - mean, 0.0), np.maximum(mean - low, 0.0)
        none, zero = np.empty((*highest.shape, 0)), np.zeros_like(highest)
        return cls(mean, zero, zero, np.full_like(highest, np.inf), highest, lowest, none, none)

    def flat(self, shape: tuple[int, int]) -> Facts:
        """Broadcast over a grid of inputs and sizes, a row each."""

        def spread(name: str, value: Array) -> Array:
            if name in ("limits", "outside"):
                regions = value.shape[-1]
                return np.broadcast_to(value[:, None, :], (*shape, regions)).reshape(shape[0] * shape[1], regions)
            return np.broadcast_to(value[:, None], shape).reshape(-1, 1)

        values = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays: dict[str, Any] = {n: spread(n, v) for n, v in values.items() if isinstance(v, np.ndarray)}
        return replace(self, **arrays)

    def take(self, rows: npt.NDArray[np.int64]) -> Facts:
        """Some of the rows."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays: dict[str, Any] = {n: v[rows] for n, v in values.items() if isinstance(v, np.ndarray)}
        return replace(self, **arrays)
