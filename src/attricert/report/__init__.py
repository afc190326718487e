"""Tables and files of results."""

from typing import TYPE_CHECKING

from attricert.lazy import lazily

if TYPE_CHECKING:
    from attricert.report.html import page
    from attricert.report.results import ABSTENTION, COSINE, MAX_EPS, rows_of, to_frame, to_parquet
    from attricert.report.statement import Statement
    from attricert.report.tables import Column, cells, rounded, shown, to_csv, to_markdown

__all__ = [
    "ABSTENTION",
    "COSINE",
    "MAX_EPS",
    "Column",
    "Statement",
    "cells",
    "page",
    "rounded",
    "rows_of",
    "shown",
    "to_csv",
    "to_frame",
    "to_markdown",
    "to_parquet",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "html": ("page",),
        "results": ("ABSTENTION", "COSINE", "MAX_EPS", "rows_of", "to_frame", "to_parquet"),
        "statement": ("Statement",),
        "tables": ("Column", "cells", "rounded", "shown", "to_csv", "to_markdown"),
    },
)
