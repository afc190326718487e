"""Tables as CSV (every digit) and as Markdown (bounds rounded to the safe side)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from attricert.rounding import rounded, shown
from attricert.text import printable

__all__ = ["Column", "cells", "rounded", "shown", "to_csv", "to_markdown"]


@final
@dataclass(frozen=True)
class Column:
    """A column of a table for people.

    Args:
        name: key of the rows.
        title: heading.
        digits: after the point, for numbers that are not integers.
        rounding: ``"down"`` for lower bounds, ``"up"`` for upper ones, ``"nearest"`` for all else.
    """

    name: str
    title: str
    digits: int = 4
    rounding: str = "nearest"


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Comma-separated values with all digits; None is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_markdown(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> str:
    """A table in Markdown; None is a dash."""
    lines = [[column.title for column in columns], ["---" for _ in columns]]
    lines += [[cell.replace("|", r"\|") for cell in row.values()] for row in cells(rows, columns)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cells(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> list[dict[str, str]]:
    """A table's text by heading, of which no two are alike, one mapping a row; None is a dash."""
    titles = [column.title for column in columns]
    if len(set(titles)) < len(titles):
        raise ValueError(f"columns with the same heading: {titles}")
    return [{column.title: _cell(row[column.name], column) for column in columns} for row in rows]


def _cell(value: Any, column: Column) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return rounded(value, column.digits, column.rounding)
    return printable(str(value))
