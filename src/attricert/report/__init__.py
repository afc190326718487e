"""Tables, files and pictures of results."""

from attricert.report.figures import both_sides, curves, maps
from attricert.report.results import ABSTAINS, COSINE, MAX_EPS, rows_of, to_parquet

__all__ = ["ABSTAINS", "COSINE", "MAX_EPS", "both_sides", "curves", "maps", "rows_of", "to_parquet"]
