"""A command's arguments from its options class: types from the annotations, help from the docstring."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

import docstring_parser
from jsonargparse import ArgumentParser

__all__ = ["add_options"]


def add_options(parser: ArgumentParser, options: type[Any]) -> None:
    """Add one ``--argument`` for each field of a dataclass.

    A bool is a flag, ``tuple[float, ...]`` takes one or more numbers, ``tuple[float, float]`` takes two.
    """
    helps = {p.arg_name: p.description for p in docstring_parser.parse(options.__doc__ or "").params}
    hints = get_type_hints(options)
    for field in dataclasses.fields(options):
        settings: dict[str, Any] = {"help": " ".join((helps[field.name] or "").split())}
        hint = hints[field.name]
        if field.default is dataclasses.MISSING:
            settings["required"] = True
        else:
            settings["default"] = field.default
        if hint is bool:
            settings["action"] = "store_true"
        elif "tuple" in str(hint):
            settings.update(type=float, nargs="+" if "..." in str(hint) else 2)
        else:
            settings["type"] = hint
        if isinstance(field.default, tuple):
            settings["default"] = list(field.default)
        parser.add_argument(f"--{field.name}", **settings)
