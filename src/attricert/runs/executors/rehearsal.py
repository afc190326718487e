"""The dry run in a process of its own, which may hang or die."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from multiprocessing.connection import Connection

from attricert.errors import ArgumentError
from attricert.interrupts import ignore_sigint_in_children
from attricert.runs.asked import Asked
from attricert.runs.config import Config
from attricert.runs.executors.base import LONGEST_WAIT
from attricert.runs.loaded import LoadedConfig
from attricert.runs.rows import Unit
from attricert.runs.work import SAID, dry_run, limited_threads

__all__ = ["rehearse"]

_SPAWN = multiprocessing.get_context("spawn")


def rehearse(config: Config, unit: Unit, asked: Asked, seconds: float) -> None:
    """As `dry_run`, which is given up after so many seconds: the input's row will say so.

    Raises:
        ArgumentError: what `dry_run` complains of.
    """
    pipe, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_rehearse, args=(theirs, config, unit, asked), daemon=True)
    with ignore_sigint_in_children():
        process.start()
    theirs.close()
    try:
        told, complaint = _heard(pipe, seconds)
    finally:
        process.kill()
        process.join()
        pipe.close()
    for text, category in told:
        warnings.warn(text, category, stacklevel=2)
    if complaint is not None:
        raise complaint


def _heard(pipe: Connection, seconds: float) -> tuple[list[tuple[str, type[Warning]]], ArgumentError | None]:
    """What the process has to say; nothing where it hangs or dies."""
    try:
        pipe.recv()  # it has loaded, which takes the time it takes
        if pipe.poll(min(seconds, LONGEST_WAIT)):
            told, complaint = pipe.recv()
            return told, None if complaint is None else ArgumentError(*complaint)
    except (EOFError, OSError):
        pass
    return [], None


def _rehearse(pipe: Connection, config: Config, unit: Unit, asked: Asked) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as other workers
    complaint = None
    with limited_threads(config.threads), warnings.catch_warnings(record=True) as told:
        try:
            setting = LoadedConfig.load(config)
            pipe.send(None)
            dry_run(setting, unit, asked)
        except ArgumentError as error:
            complaint = (error.name, error.value, error.rule)
    pipe.send(([(str(one.message), one.category) for one in told if issubclass(one.category, SAID)], complaint))
