"""The command ``attricert``."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from jsonargparse import ArgumentParser, Namespace

from attricert import __version__
from attricert.cli import (
    attack,
    certificates,
    certify,
    data,
    demo,
    merge,
    models,
    plan,
    reproduce,
    status,
    train,
    verify,
)
from attricert.errors import AttricertError

__all__ = ["main"]

_COMMANDS = {
    "demo": demo,
    "certify": certify,
    "status": status,
    "merge": merge,
    "certificates": certificates,
    "verify": verify,
    "attack": attack,
    "plan": plan,
    "data": data,
    "models": models,
    "train": train,
    "reproduce": reproduce,
}


class _Parser(ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        plain = re.sub(r"required: \w+\.", "required: --", " ".join(message.split()))
        _complain(re.sub(r"Parser key \"(\w+)\":", r"--\1:", plain))
        raise SystemExit(2) from ex


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 2 bad input, 130 interrupted (1 a claim or a target that fails)."""
    arguments = [_underscored(a) for a in (sys.argv[1:] if argv is None else argv)]
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: _say(f"attricert: note: {message}")
        try:
            return _run(_parser().parse_args(arguments))
        except (AttricertError, OSError) as error:  # OSError: a file that cannot be written, a full disk
            _complain(str(error))
            return 2
        except KeyboardInterrupt:
            _complain("interrupted")
            return 130


def _run(chosen: Namespace) -> int:
    given = {key: value for key, value in vars(chosen[chosen.command]).items() if key != "config"}
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    code: int = _COMMANDS[chosen.command].run(**values)
    return code


def _parser() -> ArgumentParser:
    parser = _Parser(prog="attricert", description="Certified explanations: proven, not guessed.")
    parser.add_argument("--version", action="version", version=f"attricert {__version__}")
    commands = parser.add_subcommands(dest="command")
    for name, module in _COMMANDS.items():
        about = (module.__doc__ or "").strip()
        sub = _Parser(prog=f"attricert {name}", description=about)
        sub.add_argument("--config", action="config", help="YAML file with any of these settings")
        module.configure(sub)
        commands.add_subcommand(name, sub, help=about)
    return parser


def _underscored(argument: str) -> str:
    """``--n-samples=5`` is as good as ``--n_samples=5``."""
    return re.sub(r"^--[a-z][a-z-]*", lambda match: "--" + match[0][2:].replace("-", "_"), argument)


def _complain(message: str) -> None:
    _say(f"attricert: error: {message}")


def _say(message: str) -> None:
    print(message, file=sys.stderr)
