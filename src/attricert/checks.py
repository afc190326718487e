"""Validation at the boundary: each check returns the value it accepts or raises one clear error."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from attricert.errors import ArgumentError, UnknownNameError

__all__ = ["count", "extra", "fraction", "keep", "known", "nonnegative_values", "open_fractions", "plain", "positive"]

_NUMBER = (int, float, np.integer, np.floating)
Rule = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]]


def positive(name: str, value: object) -> float:
    """A finite number > 0."""
    if isinstance(value, _NUMBER) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        return float(value)
    raise ArgumentError(name, value, "must be a finite number > 0")


def fraction(name: str, value: object) -> float:
    """A number strictly between 0 and 1."""
    if isinstance(value, _NUMBER) and 0 < value < 1:
        return float(value)
    raise ArgumentError(name, value, "must be > 0 and < 1")


def count(name: str, value: object, at_least: int) -> int:
    """An integer not below ``at_least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < at_least:
        raise ArgumentError(name, value, f"must be an integer >= {at_least}")
    return int(value)


def known(name: str, value: str, options: Iterable[str]) -> str:
    """One of the options."""
    options = list(options)
    if value not in options:
        raise UnknownNameError(name, str(value), options)
    return str(value)


def plain(value: Any) -> Any:
    """A NumPy scalar as Python's own number, which files can hold; also within tuples and lists. Others as they are."""
    if isinstance(value, (tuple, list)):
        return type(value)(plain(part) for part in value)
    return value.item() if isinstance(value, np.generic) else value


def keep(owner: object, **values: object) -> None:
    """In the constructor of a frozen dataclass: its fields are what the checks gave."""
    for name, value in values.items():
        object.__setattr__(owner, name, value)


def extra(module: str, name: str) -> None:
    """That a module of an optional extra is installed."""
    if importlib.util.find_spec(module) is None:
        raise ArgumentError(name, module, f"is not installed; pip install 'attricert[{name}]'")


def nonnegative_values(name: str, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A finite scalar or one-dimensional array with entries >= 0."""
    return _values(name, value, lambda v: v >= 0, "must be finite and >= 0")


def open_fractions(name: str, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A scalar or one-dimensional array with entries strictly between 0 and 1."""
    return _values(name, value, lambda v: (v > 0) & (v < 1), "must be > 0 and < 1")


def _values(name: str, value: npt.ArrayLike, rule: Rule, text: str) -> npt.NDArray[np.float64]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(name, value, f"{text} (a number or a list of numbers)") from None
    if array.ndim > 1:
        raise ArgumentError(name, value, "must be a scalar or one-dimensional")
    if not (np.isfinite(array) & rule(array)).all():
        raise ArgumentError(name, value, text)
    return array
