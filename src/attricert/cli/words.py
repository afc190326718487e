"""The words of a command line, before they are parsed: are there such flags, and which values are lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

from jsonargparse import ArgumentParser

from attricert import checks
from attricert.errors import AttricertError, nearest

__all__ = ["COMPLETION", "meant", "understood"]

COMPLETION = "--print_completion"
"""Prints a script for shells; jsonargparse adds it when it parses."""

_SEPARATE = re.compile(r"[\s,]+")


def understood(words: Sequence[str], whole: ArgumentParser, commands: Mapping[str, ArgumentParser]) -> list[str]:
    """The same words as parsers take them: flags with underscores, and each value of a list a word of its own.

    ``--n-samples 5`` is as good as ``--n_samples 5``, and ``--eps 0.1,0.2`` or ``--eps "[0.1, 0.2]"`` as good as
    ``--eps 0.1 0.2``; paths are left as they are.

    Args:
        words: after the name of the program.
        whole: takes the words before the command.
        commands: parsers, by the commands whose words they take.

    Raises:
        AttricertError: there is no such command, or the command has no such flag; flags are not shortened.
        ArgumentError: a script for shells is asked for, and what makes it is not installed.
    """
    at = next((i for i, word in enumerate(words) if not word.startswith("-")), len(words))
    before = [_underscored(word) for word in words[:at]]
    if before and before[0].partition("=")[0] == COMPLETION:
        if any("shtab-" in word for word in words):
            checks.extra("shtab", "completion")
        return [*before, *words[at:]]
    for word in before:
        if word.startswith("--") and not _has(whole, word):
            _refuse(word, word, None, whole, commands)
    if not words:
        raise AttricertError(f"which command? One of {', '.join(commands)}; attricert --help tells more")
    if at == len(words):
        return before
    name = words[at]
    if name not in commands:
        hint = meant(name, list(commands)) or f"; it is one of {', '.join(commands)}"
        raise AttricertError(f"{name}: no such command{hint}")
    return [*before, name, *_separated(words[at + 1 :], name, whole, commands)]


def _separated(
    words: Sequence[str], name: str, whole: ArgumentParser, commands: Mapping[str, ArgumentParser]
) -> Iterator[str]:
    parser, of_list = commands[name], False
    for word in words:
        if not word.startswith("--") or word == "--":
            yield from _values(word) if of_list else (word,)
            continue
        flag, equals, value = _underscored(word).partition("=")
        if not _has(parser, flag):
            _refuse(word.partition("=")[0], flag, name, whole, commands)
        of_list = _takes_list(parser, flag)
        if of_list and equals:
            yield flag
            yield from _values(value)
        else:
            yield flag + equals + value


def _underscored(word: str) -> str:
    return re.sub(r"^--[a-z][a-z-]*", lambda match: "--" + match[0][2:].replace("-", "_"), word)


def _has(parser: ArgumentParser, flag: str) -> bool:
    return flag.partition("=")[0] in parser._option_string_actions


def _takes_list(parser: ArgumentParser, flag: str) -> bool:
    action = parser._option_string_actions[flag]
    return action.nargs == "+" and not getattr(action, "paths", False)


def _values(word: str) -> list[str]:
    """The values of a word, which is one of those of a list; a word that has none stays, to be complained of."""
    inside = word.strip().removeprefix("[").removesuffix("]")
    return [value.strip("'\"") for value in _SEPARATE.split(inside) if value] or [word]


def _refuse(
    typed: str, flag: str, name: str | None, whole: ArgumentParser, commands: Mapping[str, ArgumentParser]
) -> NoReturn:
    """Say what may have been meant: a flag of this command, or of which other one."""
    known = _shown(whole if name is None else commands[name])
    longer = [one for one in known if one.startswith(flag)]
    hint = f"; did you mean {' or '.join(longer)}?" if longer else meant(flag, known)
    having = [other for other, parser in commands.items() if other != name and flag in _shown(parser)]
    if having:
        of = f"of attricert {having[0]}" if len(having) == 1 else f"of {', '.join(having)}"
        hint = f"; it is a flag {of}" + (", and stands after the command" if name is None else f", not of {name}")
    raise AttricertError(f"{typed}: no such flag{hint}")


def _shown(parser: ArgumentParser) -> list[str]:
    """The flags that help shows."""
    return [flag for flag, action in parser._option_string_actions.items() if action.help != "==SUPPRESS=="]


def meant(word: str, known: Sequence[str]) -> str:
    """A hint at the nearest of the known words, if one is near."""
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {near}?"
