"""A command's arguments from its options class: types from the annotations, help from the docstring."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection
from typing import Any, get_args, get_origin, get_type_hints

from jsonargparse import ActionYesNo, ArgumentParser

from attricert.registry import Registry, descriptions

__all__ = ["add_options"]


def add_options(parser: ArgumentParser, options: type[Any], optional: Collection[str] = (), first: str = "") -> None:
    """Add one ``--argument`` for each field of a dataclass, and for the parameters of what a field chooses from.

    A bool is a flag, with a ``--no_name`` beside it if it is true by default; a tuple, or a tuple or None, takes as
    many values as its type says. Fields without a default are required, unless named as optional. The one named as
    first needs no ``--name`` before it. A parsed command line has what was given, there or in a config file, and
    nothing else: defaults are the dataclass's own business.
    """
    helps, hints = descriptions(options), get_type_hints(options)
    for field in dataclasses.fields(options):
        if field.name == "parameters":
            continue
        registry: Registry[Any] | None = field.metadata.get("registry")
        text = helps[field.name] if registry is None else f"{', '.join(registry)}; {helps[field.name]}"
        needed = field.default is dataclasses.MISSING and field.name not in optional
        name = field.name if field.name == first else f"--{field.name}"
        _add(parser, name, hints[field.name], field.default, text, required=needed and field.name != first)
        if registry is None or not field.metadata["parameters"]:
            continue
        for key, parameter in registry.parameters().items():
            # None: not given; only the members that have it need a value.
            _add(parser, f"--{key}", parameter.type | None, parameter.default, parameter.help, required=False)


def _add(parser: ArgumentParser, name: str, hint: Any, default: Any, text: str, *, required: bool) -> None:
    settings: dict[str, Any] = {}
    if required:
        settings["required"] = True
    elif name.startswith("-"):
        settings["default"] = argparse.SUPPRESS
    if hint is bool:
        settings["action"] = ActionYesNo(no_prefix="no_") if default is True else "store_true"
    elif sizes := _tuple_of(hint):
        settings.update(type=sizes[0], nargs="+" if sizes[-1] is ... else len(sizes))
    else:
        settings["type"] = hint
    if not any(default is nothing for nothing in (dataclasses.MISSING, None, False, ())):
        text = f"{text} (default: {' '.join(map(str, default)) if isinstance(default, tuple) else default})"
    parser.add_argument(name, help=text.replace("%", "%%"), **settings)


def _tuple_of(hint: Any) -> tuple[Any, ...]:
    """The arguments of a tuple type, perhaps one of a union; empty for other types."""
    for part in (hint, *get_args(hint)):
        if get_origin(part) is tuple:
            return get_args(part)
    return ()
