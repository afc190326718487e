"""Arrays and tensors as what can be drawn."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from attricert.errors import ArgumentError

__all__ = ["OUTLIERS", "largest", "numbers", "picture", "scaled", "summed"]

Array = npt.NDArray[np.float64]

OUTLIERS = 2.0
"""Captum's default: the percentage of all there is in a map that its largest entries may hold and be cut."""

_PLAIN = (1e-3, 1e4)  # largest sizes that are drawn as they are
_LEAST = -307  # power of ten that float64 still has


def numbers(name: str, values: Any, ndims: Collection[int], rule: str) -> Array:
    """Finite numbers as float64, from an array, a list or a tensor on any device.

    Args:
        name: of the argument.
        values: what was given.
        ndims: how many dimensions it may have.
        rule: the shapes it may have, in words.

    Raises:
        ArgumentError: it is something else, is empty, or holds NaN or inf.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().double()  # NumPy has no bfloat16
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(name, type(values).__name__, f"must be numbers, {rule}") from None
    if array.ndim not in ndims or not array.size:
        raise ArgumentError(f"{name}.shape", array.shape, f"must be {rule}")
    if not np.isfinite(array).all():
        raise ArgumentError(name, "NaN or inf in it", "must be finite")
    return array


def picture(image: Any) -> Array:
    """An image, shape (height, width) if gray or (height, width, 3), in [0, 1].

    Values beyond [0, 1] are stretched, the smallest to 0 and the largest to 1.

    Args:
        image: shape (h, w), (1, h, w), (3, h, w), (h, w, 1) or (h, w, 3); of (channels, h, w) the mean.
    """
    array = numbers("image", image, (2, 3), "(h, w), (1, h, w), (3, h, w), (channels, h, w) or (h, w, 3)")
    if array.ndim == 3:
        if array.shape[0] in (1, 3):
            array = np.moveaxis(array, 0, -1)
        elif array.shape[-1] not in (1, 3):
            array = array.mean(axis=0)[..., None]
        array = array[..., 0] if array.shape[-1] == 1 else array
    if array.min() >= 0 and array.max() <= 1:
        return array
    array = array / np.abs(array).max()  # whose range could be beyond float64
    width = float(np.ptp(array))
    return (array - array.min()) / width if width else np.full_like(array, 0.5)


def summed(map: Array) -> Array:
    """The sum of a map over channels, rounded once, so that its sign is that of the sum.

    Args:
        map: shape (c, h, w); others are left as they are.
    """
    if map.ndim < 3:
        return map
    return map[0] if len(map) == 1 else np.apply_along_axis(math.fsum, 0, map)


def largest(values: Array, outlier_perc: float = OUTLIERS) -> float:
    """The size from which on color does not change: few outliers would leave nothing to be seen of all else.

    As in Captum: in ascending order, sizes up to this one sum up to all but so many percent. 1.0 for a zero map.

    Args:
        values: finite.
        outlier_perc: from 0 (none is cut) to 100.
    """
    sizes = np.sort(np.abs(values), axis=None)
    most = float(sizes[-1])
    if most == 0:
        return 1.0
    sums = np.cumsum(sizes / most)
    return float(sizes[np.searchsorted(sums, sums[-1] * (1 - outlier_perc / 100))]) if outlier_perc else most


def scaled(values: Array) -> tuple[Array, float]:
    """The values in units that axes can take, and the unit: 1.0 for usual ones, else a power of ten."""
    most = float(np.abs(values).max())
    if most == 0 or _PLAIN[0] <= most <= _PLAIN[1]:
        return values, 1.0
    unit = 10.0 ** max(math.floor(math.log10(most)), _LEAST)
    return values / unit, unit
