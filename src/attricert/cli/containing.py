"""What a user's own code may not do to a command: print into its output, or end its process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

from attricert.errors import AttricertError
from attricert.text import told

__all__ = ["contained"]


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Model and attribution are loaded and called in here.

    What they print goes to standard error, with what their libraries in C print; ``sys.exit`` and ``os._exit`` do not
    end the process. In workers, which are processes of their own, both cost no more than the worker.
    """
    with _output_aside(), _without_exit():
        try:
            yield
        except SystemExit as error:
            raise AttricertError(f"the code of model or attribution {told(error)}") from error


@contextlib.contextmanager
def _output_aside() -> Iterator[None]:
    sys.stdout.flush()
    with contextlib.redirect_stdout(sys.stderr), contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # there may be no such files
            kept = os.dup(1)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, 1)
            stack.callback(_flush_c)  # before that
            os.dup2(2, 1)
        yield


def _flush_c() -> None:
    """What C has buffered goes where it was meant to go."""
    with contextlib.suppress(OSError, TypeError, AttributeError):  # no C library by that name
        ctypes.CDLL(None).fflush(None)


@contextlib.contextmanager
def _without_exit() -> Iterator[None]:
    really, here = os._exit, os.getpid()

    def refuse(status: int) -> NoReturn:
        if os.getpid() != here:  # a child that the code has forked
            really(status)
        raise RuntimeError(f"called os._exit({status!r})")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = really
