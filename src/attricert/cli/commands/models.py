"""List the zoo's models, or show one's card."""

from __future__ import annotations

from jsonargparse import ArgumentParser

__all__ = ["EXAMPLES", "configure"]

EXAMPLES = (
    "attricert models",
    "attricert models mnist-standard --json",
)


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("name", nargs="?", type=str, help="model whose card to show; all are listed without")
    parser.add_argument("--json", action="store_true", help="print JSON")
