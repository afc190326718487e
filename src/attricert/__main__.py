"""The command, and ``python -m attricert``: interrupts are heard from the beginning, while the rest is imported."""

from __future__ import annotations

import sys

from attricert.interrupts import terminable

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> int:
    """Run one command; its exit code."""
    try:
        with terminable():
            from attricert.cli.main import main as run  # takes a while, and what it runs takes longer

            return run()
    except KeyboardInterrupt:
        print("attricert: error: interrupted", file=sys.stderr, flush=True)
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
