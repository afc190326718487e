"""Code that a file names, not the person who gives the command: shown, and run only where that person says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attricert.cli.output import say
from attricert.errors import ArgumentError
from attricert.runs.code import is_code
from attricert.runs.trust import code_files

__all__ = ["permit", "permit_config"]

_RUN = ("model", "attribution", "data", "models")  # settings whose values may name code


def permit(names: Iterable[str], trusted: bool, where: str) -> None:
    """Show the code behind names that a file has, and go on only if it is trusted.

    Args:
        names: of models, attributions and data; those of the library's own need no trust.
        trusted: whether --trust-code is given.
        where: the file or folder that names them.

    Raises:
        ArgumentError: it is not.
    """
    files = code_files(names)
    listed = [f"{path}, SHA-256 {digest}" for path, digest in files.items()]
    if listed and not trusted:
        rule = f"{where} names code that would be run ({'; '.join(listed)}); look at it, then give --trust-code"
        raise ArgumentError("trust_code", False, rule)
    for line in listed:
        say(f"code named by {where}: {line}")


def permit_config(values: Mapping[str, Any], arguments: Sequence[str]) -> None:
    """The same for a --config file; what is typed on the command line needs no trust, and no file can give it.

    Args:
        values: settings, those of the file among them.
        arguments: the words of the command line.
    """
    trusted = "--trust_code" in arguments
    if values.get("trust_code") and not trusted:
        raise ArgumentError("trust_code", True, "counts on the command line alone, not in a file")
    typed = set(_typed(arguments))
    named = [values[name] for name in _RUN if name in values]
    names = [text for value in named for text in (value if isinstance(value, tuple) else (value,))]
    permit([n for n in names if isinstance(n, str) and is_code(n) and n not in typed], trusted, "the --config file")


def _typed(arguments: Sequence[str]) -> Iterator[str]:
    """What follows the flags whose values may name code."""
    of_code = False
    for argument in arguments:
        if argument.startswith("--"):
            flag, _, value = argument.removeprefix("--").partition("=")
            of_code = flag in _RUN
            argument = value
        if of_code and argument:
            yield argument
