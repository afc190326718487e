"""The command ``attricert``."""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from itertools import pairwise

from jsonargparse import Namespace

from attricert.cli.lines import say
from attricert.cli.parsing import declared, parsers
from attricert.cli.trust import permit_config
from attricert.cli.words import understood
from attricert.errors import ArgumentError, AttricertError
from attricert.interrupts import terminable
from attricert.text import printable
from attricert.yaml_text import LARGEST

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    0 done, 1 a claim, a check, a target or an input that fails, 2 bad input, a user's factory that raises among
    it, 3 any other fault of the program or of a user's own code, 130 interrupted (Ctrl-C or SIGTERM).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whose encoding may lack what is to be shown
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings(), terminable():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: say(f"note: {message}")
        try:
            parser, commands = parsers()
            arguments = understood(sys.argv[1:] if argv is None else argv, parser, commands)
            _refuse_large_configs(arguments)
            return _run(parser.parse_args(arguments), arguments)
        except (AttricertError, OSError) as error:  # OSError: a file that cannot be written, a full disk
            say(f"error: {error}")
            return 2
        except UnicodeDecodeError as error:
            say(f"error: a file is not text in UTF-8 ({error})")
            return 2
        except KeyboardInterrupt as error:
            more = f"; {error}" if str(error) else ""
            print(f"attricert: error: {printable(f'interrupted{more}')}", file=sys.stderr)
            return 130
        except Exception as error:
            for line in "".join(traceback.format_exception(error)).splitlines():
                print(printable(line), file=sys.stderr)
            return 3


def _refuse_large_configs(arguments: Sequence[str]) -> None:
    """Before they are read, all at once, by the parser."""
    paths = [word.partition("=")[2] for word in arguments if word.startswith("--config=")]
    paths += [after for before, after in pairwise(arguments) if before == "--config"]
    for path in paths:
        if os.path.isfile(path) and os.path.getsize(path) > LARGEST:
            raise ArgumentError("config", path, f"must have at most {LARGEST} bytes")


def _run(chosen: Namespace, arguments: Sequence[str]) -> int:
    given = vars(chosen[chosen.command])
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    for key, value in values.items():
        if "" in (value if isinstance(value, tuple) else (value,)):
            raise ArgumentError(key, value, "must not be empty")
    values.pop("config", None)
    permit_config(values, arguments)
    if check := getattr(declared(chosen.command), "check", None):
        check(values)
    code: int = importlib.import_module(f"attricert.cli.{chosen.command}").run(**values)  # the first that takes long
    return code
