"""Ctrl-C, and what a scheduler sends before it kills."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["deferred_interrupts", "ignore_sigint_in_children", "terminable"]

_BOTH = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM, as Slurm sends it, interrupts like Ctrl-C."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with _handling((signal.SIGTERM,), interrupt):
        yield


@contextlib.contextmanager
def ignore_sigint_in_children() -> Iterator[None]:
    """Processes that are started in here do not hear Ctrl-C, which is for the process that writes."""
    with _handling((signal.SIGINT,), signal.SIG_IGN):
        yield


@contextlib.contextmanager
def deferred_interrupts() -> Iterator[None]:
    """What is begun in here is finished before an interrupt takes effect."""
    received: list[int] = []
    with _handling(_BOTH, lambda number, _: received.append(number)):
        yield
    if received:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _handling(numbers: tuple[signal.Signals, ...], handler: Any) -> Iterator[None]:
    """Only the main thread may set handlers; signals go to no other."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
