"""Values of a report as text, rounded to the safe side."""

from __future__ import annotations

from typing import Any

from attricert.report.results import COSINE, MAX_EPS
from attricert.report.steps import NOTHING, SCALE
from attricert.rounding import short, shown

__all__ = ["NAMES", "SILENT", "brief", "cell", "number", "title_of"]

SILENT = "none"
"""In place of a number."""

NAMES = {
    "id": "input",
    "label": "label",
    "prediction": "predicted",
    "target": "explained",
    "certified_prediction": "smoothed model's class",
    "class_kept": "is explained",
    "prediction_radius": "class kept below eps",
}
"""Of columns, for people."""


def title_of(column: str) -> str:
    """The name of a column for people; empty for one that a report leaves out."""
    for start, said in ((MAX_EPS, "eps at cosine {}"), (COSINE, "cosine at eps {}")):
        if column.startswith(start):
            return said.format(column[len(start) :])
    return NAMES.get(column, "")


def number(thousandths: int) -> str:
    """As the page's script shows it."""
    return SILENT if thousandths == NOTHING else f"{int(thousandths) / SCALE:.3f}"


def brief(thousandths: int) -> str:
    """The same where there are many."""
    return "-" if thousandths == NOTHING else number(thousandths)


def cell(column: str, value: Any) -> str:
    """Of a table."""
    if value is None or (column in ("label", "prediction", "target") and value == -1):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return short(value, digits=4) if column.startswith(MAX_EPS) or column == "prediction_radius" else shown(value)
    return str(value)
