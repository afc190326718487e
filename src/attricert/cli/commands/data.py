"""List the data sets, or fetch one and check it."""

from __future__ import annotations

from jsonargparse import ArgumentParser

__all__ = ["EXAMPLES", "configure"]

EXAMPLES = (
    "attricert data",
    "attricert data mnist",
)


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "name", nargs="?", type=str, help="data set to fetch into the cache folder; all are listed without"
    )
