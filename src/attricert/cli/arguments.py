"""A command's arguments from its options class: types from the annotations, help from the docstring."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any, get_args, get_origin, get_type_hints

import docstring_parser
from jsonargparse import ArgumentParser

__all__ = ["add_options"]


def add_options(parser: ArgumentParser, options: type[Any], optional: Collection[str] = (), first: str = "") -> None:
    """Add one ``--argument`` for each field of a dataclass.

    A bool is a flag; a tuple, or a tuple or None, takes as many values as its type says. Fields without a default are
    required, unless named as optional: then they may be None. The one named as first needs no ``--name`` before it.
    """
    helps = {p.arg_name: p.description for p in docstring_parser.parse(options.__doc__ or "").params}
    hints = get_type_hints(options)
    for field in dataclasses.fields(options):
        settings: dict[str, Any] = {"help": " ".join((helps[field.name] or "").split())}
        hint = hints[field.name]
        if field.default is dataclasses.MISSING:
            settings["required"] = field.name not in optional
        else:
            settings["default"] = field.default
        if hint is bool:
            settings["action"] = "store_true"
        elif sizes := _tuple_of(hint):
            settings.update(type=sizes[0], nargs="+" if sizes[-1] is ... else len(sizes))
        else:
            settings["type"] = hint
        if isinstance(field.default, tuple):
            settings["default"] = list(field.default)
        if field.name == first:
            del settings["required"]
            parser.add_argument(field.name, **settings)
        else:
            parser.add_argument(f"--{field.name}", **settings)


def _tuple_of(hint: Any) -> tuple[Any, ...]:
    """The arguments of a tuple type, perhaps one of a union; empty for other types."""
    for part in (hint, *get_args(hint)):
        if get_origin(part) is tuple:
            return get_args(part)
    return ()
