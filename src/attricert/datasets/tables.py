"""Tables as data: CSV, Parquet, data frames. Each column is a number of the input, or has a use that is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import torch

from attricert.datasets.arrays import beyond_float64, labels_of, names_of
from attricert.datasets.form import Form
from attricert.datasets.labelled import Labelled
from attricert.datasets.reading import Reading
from attricert.errors import ArgumentError, IntegrityError, UnknownNameError
from attricert.files import read_regular
from attricert.text import one_line, printable

__all__ = ["is_frame", "of_frame", "of_table", "read_table"]

_LARGEST, _VALUES = 2**30, 2**28  # bytes of a file, and numbers in it
_SEPARATORS = {";": "semicolons", "\t": "tabs"}
_NAMED = 5  # columns that are named where many are refused
_FAILURES = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError, IntegrityError)


def read_table(path: Path, reading: Reading, data: str) -> Labelled:
    """A CSV or Parquet file.

    Args:
        path: the file; the first line of a CSV file names its columns, which are separated by commas.
        reading: which columns are labels, names, or left out.
        data: as it was named.

    Raises:
        ArgumentError: it cannot be read, a column is not numeric, a number is missing.
    """
    csv = path.suffix.lower() == ".csv"
    try:
        content = read_regular(path.resolve(), _LARGEST)
        table = _csv(content) if csv else _parquet(content)
    except _FAILURES as error:
        rule = f"must be a readable {path.suffix} file ({one_line(str(error))})"
        raise ArgumentError("data", data, rule) from None
    if csv and all(_is_number(name) for name in table.column_names):
        raise ArgumentError("data", data, "must have the names of the columns in its first line, which holds numbers")
    return of_table(table, reading, data, path.name)


def _csv(content: bytes) -> pa.Table:
    """Types are of whole columns; text alone is missing where it is empty or says so (NA, null, NaN)."""
    try:
        first = content.decode("utf-8").split("\n", 1)[0]
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not text in UTF-8; save it in that encoding") from None
    if "," not in first and (found := [name for mark, name in _SEPARATORS.items() if mark in first]):
        raise ValueError(f"its columns look separated by {found[0]}, and must be by commas")
    options = pyarrow.csv.ReadOptions(use_threads=False, block_size=max(len(content), 1))
    return pyarrow.csv.read_csv(pa.BufferReader(content), read_options=options)


def _parquet(content: bytes) -> pa.Table:
    file = pq.ParquetFile(pa.BufferReader(content))
    about = file.metadata
    groups = range(about.num_row_groups)
    values = sum(about.row_group(i).column(j).num_values for i in groups for j in range(about.num_columns))
    if max(values, about.num_rows) > _VALUES:
        raise ValueError(f"{about.num_rows} rows of {values} values, more than are read")
    table = file.read()
    table.validate(full=True)
    return table


def is_frame(thing: object) -> bool:
    """Whether it is a data frame (pandas, polars, pyarrow)."""
    return isinstance(thing, pa.Table) or (hasattr(thing, "__arrow_c_stream__") and hasattr(thing, "columns"))


def of_frame(frame: Any, reading: Reading, data: str, source: str) -> Labelled:
    """A data frame; arguments as in `of_table`."""
    try:
        table = frame if isinstance(frame, pa.Table) else pa.table(frame)
    except _FAILURES as error:
        raise ArgumentError("data", data, f"is a data frame that cannot be read ({one_line(str(error))})") from None
    return of_table(table, reading, data, source)


def of_table(table: pa.Table, reading: Reading, data: str, source: str) -> Labelled:
    """All columns in their order, but for those that have another use.

    Args:
        table: the table.
        reading: which columns are labels, names, or left out.
        data: as it was named, for messages.
        source: names rows that have no names.

    Raises:
        ArgumentError: a column is not numeric, a number is missing or not finite.
    """
    reading.only("label_column", "id_column", "skip_columns", data="a table")
    names = table.column_names
    if len(set(names)) < len(names):
        raise ArgumentError("data", data, "has two columns of one name")
    used = {"label_column": reading.label_column, "id_column": reading.id_column}
    skipped = reading.skip_columns or ()
    for setting, name in (*used.items(), *(("skip_columns", one) for one in skipped)):
        if name is not None and name not in names:
            raise UnknownNameError(setting, name, names)
    kept = [name for name in names if name not in (*used.values(), *skipped)]
    if not kept or not len(table):
        raise ArgumentError("data", data, "has no rows, or no columns that are inputs")
    if kept[0] == names[0] == "":
        rule = "its first column has no name, as the index of pandas where it is saved; save it with index=False"
        raise ArgumentError("data", data, f"{rule}, or give the column a name")
    if others := [f"{printable(name)} ({table.schema.field(name).type})" for name in kept if not _numeric(table, name)]:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        rule = "columns that are not numbers; name them with --label_column, --id_column or --skip_columns"
        raise ArgumentError("data", data, f"has {rule}: {', '.join(others[:_NAMED])}{more}")
    if index := [printable(name) for name in kept if name in _index(table)]:
        rule = f"{', '.join(index)} is an index of pandas, and no column; name it with --id_column or --skip_columns"
        raise ArgumentError("data", data, rule)
    columns = [_column(table, name, data) for name in kept]
    wide = any(column.dtype != np.float32 for column in columns)
    inputs = torch.from_numpy(np.stack(columns, axis=1).astype(np.float64 if wide else np.float32))
    labels = torch.full((len(table),), -1)
    classes: tuple[str, ...] = ()
    if reading.label_column is not None:
        labels, classes = labels_of(_filled(table, reading.label_column, data), len(table), data)
    rows = [f"{source}:{i}" for i in range(len(table))]
    if reading.id_column is not None:
        rows = list(_filled(table, reading.id_column, data))
    words = f"{len(kept)} columns as they are"
    if skipped:
        words += f", without {', '.join(map(printable, skipped))}"
    form = Form.of(inputs, kept, classes)
    return Labelled(inputs, labels, names_of(rows, len(table), data), words, form)


_UNNAMED = "Unnamed: 0"  # what pandas calls a first column that has no name in a file


def _index(table: pa.Table) -> list[str]:
    """Columns that pandas has made of the index of a frame."""
    if table.column_names[0] == _UNNAMED:
        return [_UNNAMED]
    try:
        said = (table.schema.pandas_metadata or {}).get("index_columns", [])
    except (ValueError, TypeError, AttributeError):  # text of unknown origin
        return []
    return [name for name in said if isinstance(name, str)] if isinstance(said, list) else []


def _numeric(table: pa.Table, name: str) -> bool:
    kind = table.schema.field(name).type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _column(table: pa.Table, name: str, data: str) -> npt.NDArray[Any]:
    """One column in float32, if it is that, or float64."""
    kind = table.schema.field(name).type
    values = _present(table, name, data)
    if pa.types.is_boolean(kind):
        values = values.cast(pa.uint8())
    found = np.asarray(values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.to_numpy())
    if found.dtype.kind in "iu" and beyond_float64(found):
        raise ArgumentError(
            "data", data, f"column {printable(name)} has integers beyond 2^53, which float64 cannot hold"
        )
    found = found.astype(np.float32 if found.dtype in (np.float16, np.float32) else np.float64)
    if (bad := np.flatnonzero(~np.isfinite(found))).size:
        raise ArgumentError("data", data, f"row {bad[0]}, column {printable(name)} is {found[bad[0]]}; {_FILL}")
    return found


_FILL = "fill it, or leave the row out (rows count from 0)"


def _present(table: pa.Table, name: str, data: str) -> pa.ChunkedArray:
    """A column in which nothing is missing."""
    column = table.column(name)
    if column.null_count:
        first = pc.index(pc.is_null(column), True).as_py()
        raise ArgumentError("data", data, f"row {first}, column {printable(name)} is missing; {_FILL}")
    return column


def _filled(table: pa.Table, name: str, data: str) -> list[Any]:
    """Labels or names: plain values."""
    column = _present(table, name, data)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not any(check(column.type) for check in _PLAIN):
        raise ArgumentError(
            "data", data, f"column {printable(name)} must hold whole numbers or texts, not {column.type}"
        )
    return list(column.to_pylist())


_PLAIN = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
)


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
