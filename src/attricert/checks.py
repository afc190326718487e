"""Validation at the boundary: each check returns the value it accepts or raises one clear error."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
import numpy.typing as npt

from attricert.errors import ArgumentError, UnknownNameError

__all__ = [
    "LARGEST",
    "SMALLEST",
    "count",
    "data_range",
    "extra",
    "finite",
    "finite_values",
    "flag",
    "fraction",
    "half_precision",
    "keep",
    "known",
    "nonnegative_values",
    "open_fractions",
    "path",
    "plain",
    "positive",
    "size",
    "text",
    "typed",
    "within",
]

SMALLEST, LARGEST = 1e-60, 1e60
"""Of what is bounded: squares of squares stay within float64."""

_NARROWEST = 1e-300  # range of data

_NUMBER = (int, float, np.integer, np.floating)
Rule = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]]


def finite(name: str, value: object, rule: str = "must be a finite number") -> float:
    """A finite number; the rule is what the error says."""
    if isinstance(value, _NUMBER) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an integer beyond all floats
            number = float(value)
            if math.isfinite(number):
                return number
    raise ArgumentError(name, value, rule)


def positive(name: str, value: object) -> float:
    """A finite number > 0."""
    rule = "must be a finite number > 0"
    number = finite(name, value, rule)
    if number > 0:
        return number
    raise ArgumentError(name, value, rule)


def within(name: str, value: object, low: float, high: float, rule: str) -> float:
    """A number from the one to the other, both included; the rule is what the error says."""
    number = finite(name, value, rule)
    if low <= number <= high:
        return number
    raise ArgumentError(name, value, rule)


def size(name: str, value: object) -> float:
    """A number from 1e-60 to 1e60."""
    number = positive(name, value)
    if SMALLEST <= number <= LARGEST:
        return number
    raise ArgumentError(name, value, f"must be from {SMALLEST:g} to {LARGEST:g}; rescale the attribution")


def fraction(name: str, value: object) -> float:
    """A number strictly between 0 and 1."""
    if isinstance(value, _NUMBER) and 0 < value < 1:
        return float(value)
    raise ArgumentError(name, value, "must be > 0 and < 1")


def count(name: str, value: object, at_least: int, at_most: int | None = None) -> int:
    """An integer not below ``at_least``, nor above ``at_most``."""
    if (
        isinstance(value, (int, np.integer))
        and not isinstance(value, bool)
        and at_least <= value
        and (at_most is None or value <= at_most)
    ):
        return int(value)
    most = "" if at_most is None else f" and <= {at_most}"
    raise ArgumentError(name, value, f"must be an integer >= {at_least}{most}")


def typed(name: str, value: object, hint: Any) -> None:
    """A value of a plain type, as annotations say it: bool, int, float, str, None, unions and tuples of these."""
    if not _fits(value, hint):
        raise ArgumentError(name, value, f"must be {getattr(hint, '__name__', None) or hint}")


def _fits(value: object, hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, (list, tuple)) and all(_fits(one, get_args(hint)[0]) for one in value)
    kinds: dict[Any, tuple[type, ...]] = {int: (int, np.integer), float: _NUMBER, str: (str,), NoneType: (NoneType,)}
    return isinstance(value, bool) == (hint is bool) and (hint is bool or isinstance(value, kinds[hint]))


def flag(name: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ArgumentError(name, value, "must be True or False")
    return value


def text(name: str, value: object) -> str:
    """A string."""
    if not isinstance(value, str):
        raise ArgumentError(name, value, "must be text")
    return value


def path(name: str, value: object) -> Path:
    """Where a file is, or will be."""
    if not isinstance(value, (str, PathLike)) or not isinstance(os.fspath(value), str) or "\0" in str(value):
        raise ArgumentError(name, value, "must be a path: text, or a pathlib.Path")
    return Path(value)


def known(name: str, value: str, options: Iterable[str]) -> str:
    """One of the options."""
    options = list(options)
    if value not in options:
        raise UnknownNameError(name, str(value), options)
    return str(value)


def half_precision(name: str, value: str) -> str:
    """A dtype of half precision."""
    return known(name, value, ("bfloat16", "float16"))


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


def data_range(name: str, value: object) -> tuple[float, float]:
    """The lowest and the highest value: finite, in this order, and so far apart that numbers between can be told."""
    given = value if isinstance(value, (list, tuple)) and len(value) == 2 else ()
    low, high = map(float, given) if given and all(_fits(end, float) for end in given) else (0.0, 0.0)
    if not (math.isfinite(high - low) and high - low >= _NARROWEST):
        raise ArgumentError(name, value, "must be two finite numbers, the smaller first")
    return low, high


def finite_values(name: str, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A finite scalar or one-dimensional array."""
    return _values(name, value, np.isfinite, "must be finite")


def nonnegative_values(name: str, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A finite scalar or one-dimensional array with entries >= 0."""
    return _values(name, value, lambda v: v >= 0, "must be finite and >= 0")


def open_fractions(name: str, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A scalar or one-dimensional array with entries strictly between 0 and 1."""
    return _values(name, value, lambda v: (v > 0) & (v < 1), "must be > 0 and < 1")


def _values(name: str, value: npt.ArrayLike, rule: Rule, text: str) -> npt.NDArray[np.float64]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(name, value, f"{text} (a number or a list of numbers)") from None
    if array.ndim > 1:
        raise ArgumentError(name, value, "must be a scalar or one-dimensional")
    if not (np.isfinite(array) & rule(array)).all():
        raise ArgumentError(name, value, text)
    return array
