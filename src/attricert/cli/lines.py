"""Lines on standard error."""

from __future__ import annotations

import sys

from attricert.text import one_line

__all__ = ["say"]


def say(text: str) -> None:
    """A line on standard error."""
    print(f"attricert: {one_line(text)}", file=sys.stderr, flush=True)
