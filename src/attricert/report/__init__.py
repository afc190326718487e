"""Tables, files and pictures of results."""

from attricert.report.figures import both_sides, curves, maps
from attricert.report.results import COSINE, MAX_EPS, rows_of, to_parquet

__all__ = ["COSINE", "MAX_EPS", "both_sides", "curves", "maps", "rows_of", "to_parquet"]
