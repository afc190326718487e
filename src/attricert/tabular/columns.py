"""The columns of a table as numbers: continuous ones in standard deviations, all others as they are, and held fixed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from attricert.errors import ArgumentError, UnknownNameError, nearest
from attricert.text import printable

__all__ = ["TableColumn", "TableColumns", "few"]

Numbers = npt.NDArray[np.float64]

_FEW = 20  # values of a column of floats that counts or ranks, if all of them are whole
_SHOWN = 5  # columns that are named where many are refused
_FILL = "fill it, or leave the row out (rows count from 0)"


@final
@dataclass(frozen=True)
class TableColumn:
    """One column of a table.

    Args:
        name: of it.
        free: whether noise and perturbations touch it.
        center: what is taken off its values; 0 for a fixed column.
        scale: by which they are divided, a standard deviation; 1 for a fixed column.
        dtype: of its values, as the model is given them.
        categories: its values, whose places in this list stand for them; None for a column of numbers.
    """

    name: str
    free: bool
    center: float = 0.0
    scale: float = 1.0
    dtype: Any = None
    categories: tuple[Any, ...] | None = None


@final
@dataclass(frozen=True)
class TableColumns:
    """All columns of a table, in the order in which the model takes them.

    Args:
        columns: one by one.
        framed: whether the model is given data frames; arrays if not.
    """

    columns: tuple[TableColumn, ...]
    framed: bool

    @classmethod
    def of(cls, data: Any, columns: Sequence[str] | None, fixed: Collection[str] | None) -> TableColumns:
        """Means, standard deviations and kinds of a table's columns.

        Floats are free, but for those that are constant, or hold at most 20 different values, all of them whole;
        all others are held fixed: integers, booleans, categories, texts.

        Args:
            data: a data frame, or an array of shape (n, columns).
            columns: of a data frame those that are taken, in this order; of an array their names.
            fixed: names of the columns that are held fixed, beside categories and texts, in place of the above.

        Raises:
            ArgumentError: it is no such table, a value is missing, or no column is left free.
        """
        framed = is_frame(data)
        table: Any = _framed("data", data) if framed else _array("data", data)
        if columns is not None and (isinstance(columns, str) or not all(isinstance(one, str) for one in columns)):
            raise ArgumentError("columns", columns, "must be a list of names")
        if not len(table):
            raise ArgumentError("data", "no rows", "must have some")
        if framed:
            names = list(table.columns) if columns is None else list(columns)
            _all_there("columns", names, table.columns)
            if other := [one for one in names if not isinstance(one, str)]:
                rule = "columns must be named by texts: data.rename(columns=str), or an array: data.to_numpy()"
                raise ArgumentError("data", f"columns {few(other)}", rule)
        else:
            names = [f"column {i}" for i in range(table.shape[1])] if columns is None else list(columns)
            if len(names) != table.shape[1]:
                raise ArgumentError("columns", f"{len(names)} names", f"must be one for each of {table.shape[1]}")
        if len(set(names)) < len(names):
            raise ArgumentError("columns", few(names), "must differ from one another")
        if fixed is not None:
            if isinstance(fixed, str):
                raise ArgumentError("fixed_columns", fixed, "must be a list of names")
            _all_there("fixed_columns", fixed, names)
        parts = [table[name] if framed else table[:, i] for i, name in enumerate(names)]
        found = cls(tuple(_column(str(n), part, fixed) for n, part in zip(names, parts, strict=True)), framed)
        if not any(column.free for column in found.columns):
            rule = "has no column that is continuous; name those that are to be held fixed (fixed_columns=[...])"
            raise ArgumentError("data", few(names), rule)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def fixed(self) -> npt.NDArray[np.bool_] | None:
        """True where a column is held fixed; None where none is."""
        mask = np.array([not column.free for column in self.columns])
        return mask if mask.any() else None

    @property
    def numeric(self) -> bool:
        """Whether all hold numbers that float64 has as they are."""
        return all(column.categories is None and column.dtype != np.float32 for column in self.columns)

    def numbers(self, rows: Any, name: str = "inputs") -> Numbers:
        """Rows as numbers, shape (n, columns): categories as their places in the list of them.

        Args:
            rows: a data frame with these columns, or an array of shape (n, columns) where there are no categories.
            name: of the argument, for messages.

        Raises:
            ArgumentError: a column is not there, a value is missing, or is none of the categories.
        """
        if is_frame(rows):
            frame = _framed(name, rows)
            _none_missing(name, self.names, list(frame.columns))
            parts = [frame[column.name] for column in self.columns]
        else:
            if coded := [column.name for column in self.columns if column.categories is not None]:
                raise ArgumentError(name, type(rows).__name__, f"must be a data frame, as {few(coded)} are no numbers")
            array = _array(name, rows)
            if array.shape[1] != len(self.columns):
                raise ArgumentError(name, array.shape, f"must have shape (n, {len(self.columns)})")
            parts = list(array.T)
        found = [_numbers(name, column, part) for column, part in zip(self.columns, parts, strict=True)]
        return np.stack(found, axis=1)

    def table(self, numbers: Numbers) -> Any:
        """Rows as the model is given them: a data frame with the columns' own types, or an array."""
        if not self.framed:
            return numbers.astype(self.columns[0].dtype, copy=False)
        import pandas as pd

        if all(column.dtype == np.float64 and column.categories is None for column in self.columns):
            return pd.DataFrame(numbers, columns=list(self.names))
        values = {column.name: _values(column, numbers[:, i]) for i, column in enumerate(self.columns)}
        return pd.DataFrame(values, copy=False)

    def standardized(self, numbers: Numbers) -> Numbers:
        """Free columns in standard deviations from the mean."""
        return (numbers - self._centers) / self._scales

    def raw(self, standardized: Numbers) -> Numbers:
        """The other way round."""
        return standardized * self._scales + self._centers

    @property
    def _centers(self) -> Numbers:
        return np.array([column.center for column in self.columns])

    @property
    def _scales(self) -> Numbers:
        return np.array([column.scale for column in self.columns])


def is_frame(thing: object) -> bool:
    """Whether it is a data frame (pandas, or what turns into one: polars, pyarrow)."""
    return hasattr(thing, "iloc") or hasattr(thing, "to_pandas")


def _framed(name: str, data: Any) -> Any:
    """As a data frame of pandas."""
    frame = data if hasattr(data, "iloc") else data.to_pandas()
    if not hasattr(frame, "columns"):
        rule = "must be a data frame, also of one row: frame.iloc[[0]] is one, frame.iloc[0] is none"
        raise ArgumentError(name, f"{type(data).__name__} of {len(frame)} values", rule)
    return frame


def _array(name: str, data: Any) -> npt.NDArray[Any]:
    array = np.asarray(data.detach().cpu() if hasattr(data, "detach") else data)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        rule = "must be a data frame, or an array of numbers of shape (n, columns)"
        raise ArgumentError(name, f"{array.dtype} of shape {array.shape}", rule)
    return array


def _column(name: str, part: Any, fixed: Collection[str] | None) -> TableColumn:
    """A column as it is in the reference table."""
    categories = _categories(name, part)
    column = TableColumn(name, False, dtype=part.dtype, categories=categories)
    values = _numbers("data", column, part)
    if categories is not None or (fixed is not None and name in fixed):
        return column
    center, scale = float(values.mean()), float(values.std())
    moves = values.min() < values.max() and scale > 0
    if fixed is None:
        whole = len(np.unique(values)) <= _FEW and bool((values == np.rint(values)).all())
        free = moves and _kind(part.dtype) == "f" and not whole
    else:
        if not moves:
            rule = "is constant, which leaves no standard deviation to take its changes in; hold it fixed"
            raise ArgumentError("fixed_columns", printable(name), rule)
        free = True
    if not free:
        return column
    if not np.isfinite(scale):
        raise ArgumentError("data", printable(name), "has no finite standard deviation; rescale it")
    # What is not whole any more once there is noise is no integer either.
    return TableColumn(name, True, center, scale, part.dtype if _kind(part.dtype) == "f" else np.dtype(np.float64))


def _categories(name: str, part: Any) -> tuple[Any, ...] | None:
    """The values of a column that does not hold numbers."""
    if hasattr(part, "cat"):
        return tuple(part.cat.categories.tolist())
    if _kind(part.dtype) in "biuf":
        return None
    values = part.dropna().unique().tolist()
    if not all(isinstance(one, (str, bool, int, float)) for one in values):
        rule = f"has values of type {part.dtype}; a column must hold numbers, categories or texts"
        raise ArgumentError("data", printable(name), rule)
    return tuple(sorted(values, key=lambda one: (type(one).__name__, one)))


def _kind(dtype: Any) -> str:
    """As NumPy has it, also of the types that pandas adds: O for all but numbers and booleans."""
    kind = str(getattr(dtype, "kind", "O"))
    numeric = (
        isinstance(dtype, np.dtype) or getattr(dtype, "_is_numeric", False) or getattr(dtype, "_is_boolean", False)
    )
    return kind if numeric and kind in "biuf" else "O"


def _numbers(name: str, column: TableColumn, part: Any) -> Numbers:
    """A column's values as numbers, of which none is missing."""
    missing = np.asarray(part.isna()) if hasattr(part, "isna") else np.isnan(part) if part.dtype.kind == "f" else None
    if missing is not None and missing.any():
        place = int(np.flatnonzero(missing)[0])
        raise ArgumentError(name, f"row {place}, column {printable(column.name)}", f"is missing; {_FILL}")
    if column.categories is not None:
        places = {value: i for i, value in enumerate(column.categories)}
        found = [places.get(value, -1) for value in part.tolist()]
        if -1 in found:
            value = part.tolist()[found.index(-1)]
            rule = f"column {printable(column.name)} has no such value in the table that this was made from"
            raise ArgumentError(name, value, rule)
        return np.array(found, dtype=np.float64)
    try:
        values = np.asarray(part.to_numpy(dtype=np.float64) if hasattr(part, "to_numpy") else part, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(name, f"column {printable(column.name)}", f"must hold numbers, not {part.dtype}") from None
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ArgumentError(name, f"row {place}, column {printable(column.name)}", f"must be finite; {_FILL}")
    return values


def _values(column: TableColumn, numbers: Numbers) -> Any:
    """The column's own values again."""
    import pandas as pd

    if column.categories is None:
        if isinstance(column.dtype, np.dtype):
            return numbers.astype(column.dtype)
        whole = numbers if _kind(column.dtype) == "f" else np.rint(numbers).astype(np.int64)
        return pd.array(whole.astype(bool) if _kind(column.dtype) == "b" else whole, dtype=column.dtype)
    codes = np.rint(numbers).astype(np.int64)
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Categorical.from_codes(codes, dtype=column.dtype)
    return pd.array([column.categories[code] for code in codes.tolist()], dtype=column.dtype)


def _all_there(name: str, wanted: Collection[Any], there: Collection[Any]) -> None:
    for one in wanted:
        if one not in there:
            raise UnknownNameError(name, str(one), map(str, there))


def _none_missing(name: str, wanted: Sequence[str], there: Sequence[Any]) -> None:
    if missing := [one for one in wanted if one not in there]:
        near = nearest(missing[0], [str(one) for one in there if one not in wanted])
        hint = "" if near is None else f"; did you mean {near!r}?"
        rule = f"column{'' if len(missing) == 1 else 's'} {few(missing)} must be there too{hint}"
        raise ArgumentError(name, f"columns {few(there)}", rule)


def few(names: Sequence[Any]) -> str:
    """Some of them."""
    shown = ", ".join(printable(str(name)) for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
