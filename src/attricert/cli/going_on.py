"""What an interrupted command says: how to go on."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["command", "resumable"]


@contextlib.contextmanager
def resumable(how: Callable[[], str]) -> Iterator[None]:
    """An interrupt in here says what is kept and how to go on.

    Args:
        how: what to say.

    Raises:
        KeyboardInterrupt: with these words, if there was one.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(how()) from None


def command(*words: str, **flags: Any) -> str:
    """A command line, quoted for a shell.

    Args:
        words: it begins with.
        flags: by name; those that are None or False are left out.
    """
    line = ["attricert", *words]
    for name, value in flags.items():
        if value is None or value is False:
            continue
        values = () if value is True else value if isinstance(value, tuple) else (value,)
        line += [f"--{name}", *map(str, values)]
    return shlex.join(line)
