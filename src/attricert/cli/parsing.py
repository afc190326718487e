"""The parser: every command's flags and help, from its declarations in `commands`; making it needs no torch."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from attricert._version import __version__
from attricert.cli.lines import say
from attricert.cli.settings import MODE
from attricert.cli.words import COMPLETION, meant

__all__ = ["COMMANDS", "declared", "parsers"]

COMMANDS = (
    "demo",
    "certify",
    "status",
    "merge",
    "certificates",
    "report",
    "verify",
    "attack",
    "plan",
    "doctor",
    "data",
    "models",
    "train",
    "reproduce",
)

_NEEDS = "; scripts need the extra completion"
_KINDS = {
    "float": "is no number",
    "int": "is no whole number",
    "bool": "is neither true nor false",
    "str": "is no text",
    "list": "is no list",
}
_NO_LIST = "lists in a --config file are written as [0.1, 0.2]"
_EXAMPLES = "examples:"


class _Formatter(DefaultHelpFormatter):
    """Leaves the lines of examples apart; types are said where the text and the default do not show them."""

    def _format_action_invocation(self, action: Any) -> str:
        if COMPLETION in action.option_strings:
            return f"{COMPLETION} SCRIPT"
        return super()._format_action_invocation(action)

    def _expand_help(self, action: Any) -> str:
        if COMPLETION in action.option_strings:
            return f"print what completes commands and flags in a shell: {', '.join(action.choices)}{_NEEDS}"
        return super()._expand_help(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if not text.startswith(_EXAMPLES):
            return super()._fill_text(text, width, indent)
        title, *lines = text.split("\n")
        return "\n".join(
            (title, *(f"{indent}  {row}" for line in lines for row in _fitted(line, width - len(indent) - 2)))
        )

    def _get_type_str(self, action: Any) -> str | None:
        said = super()._get_type_str(action)
        return None if said is None or "(default: " in str(action.help) else said.removesuffix(" | null")


class _Parser(ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        plain = " ".join(message.split())
        for pattern, text in (
            (r"required: (.*)", lambda m: f"required: {', '.join(map(self._flag, m[1].split(', ')))}"),
            (r"Parser key \"([\w.]+)\"(?: element \d+)?: Expected an? <class '(\w+)'>\. Got value: ?(.*)", _no_value),
            (
                r"Parser key \"([\w.]+)\"(?: element \d+)?: Does not validate against .*? Errors: - "
                r"Expected an? <class '(\w+)'>.*? - Expected a <class 'NoneType'>.* Given value: ?(.*)",
                _no_value,
            ),
            (r"Parser key \"([\w.]+)\"(?: element \d+)?:", lambda m: f"--{m[1]}:"),
            (r"'\w+' object (?:is not iterable|does not support item assignment)", _NO_LIST),
            (r"Subcommand '(\w+)' does not accept option '([\w.]+)'", self._no_setting),
        ):
            plain = re.sub(pattern, text, plain)
        say(f"error: {plain}")
        raise SystemExit(2) from ex

    def _flag(self, name: str) -> str:
        """How a setting is given, by its place or as a flag; ``status.run`` is that of a command."""
        command, _, bare = name.rpartition(".")
        subs: Any = self._subcommands_action
        parser = subs.choices[command] if subs is not None and command in subs.choices else self
        placed = {action.dest for action in parser._actions if not action.option_strings}
        return bare.upper() if bare in placed else f"--{bare.removeprefix('--')}"

    def _no_setting(self, match: re.Match[str]) -> str:
        """Of a --config file."""
        subs: Any = self._subcommands_action
        known = [action.dest for action in subs.choices[match[1]]._actions]
        return f"--config: {match[2]}: attricert {match[1]} has no such setting{meant(match[2], known)}"


def _no_value(match: re.Match[str]) -> str:
    rule = _KINDS.get(match[2])
    return f"--{match[1]}: {match[3]!r} {rule}" if rule else match[0]


def declared(command: str) -> Any:
    """The module that says what a command is asked."""
    return importlib.import_module(f"attricert.cli.commands.{command}")


def parsers() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """The whole command's, and that of each command within."""
    set_parsing_settings(add_print_completion_argument=True)
    about = "Certified explanations: proven, not guessed."
    whole = _parser("attricert", about, ("attricert demo", "attricert certify --help"))
    whole.usage = "attricert COMMAND [arguments]"
    whole.add_argument("--version", action="version", version=f"attricert {__version__}")
    commands = whole.add_subcommands(dest="command", title="commands", description="attricert COMMAND --help says more")
    found: dict[str, ArgumentParser] = {}
    for name in COMMANDS:
        module = declared(name)
        about = str(module.__doc__).strip()
        found[name] = sub = _parser(f"attricert {name}", about, module.EXAMPLES)
        sub.add_argument("--config", action="config", help="YAML file with any of these settings")
        module.configure(sub)
        commands.add_subcommand(name, sub, help=about)
        sub.usage = _usage(name, sub)
    return whole, found


def _parser(name: str, about: str, examples: Sequence[str]) -> _Parser:
    more = "\n".join((_EXAMPLES, *examples))
    return _Parser(
        prog=name,
        parser_mode=MODE,
        description=about,
        epilog=more.replace("%", "%%"),
        formatter_class=_Formatter,
        allow_abbrev=False,
    )


def _usage(name: str, parser: ArgumentParser) -> str:
    """What is needed; all else is below."""
    words = []
    for action in parser._actions:
        shown = action.dest.upper()
        if not action.option_strings:
            words.append(f"[{shown}]" if action.nargs == "?" else shown)
        elif action.required:
            words.append(f"{action.option_strings[0]} {shown}")
    return " ".join(("attricert", name, *words, "[flags]"))


def _fitted(command: str, width: int) -> list[str]:
    """A command in lines that fit, broken between flags alone, as a shell takes them."""
    first, *flags = re.split(r" (?=--)", command)
    lines = [first]
    for flag in flags:
        if len(lines[-1]) + len(flag) + 3 <= width:
            lines[-1] += f" {flag}"
        else:
            lines[-1] += " \\"
            lines.append(f"    {flag}")
    return lines
