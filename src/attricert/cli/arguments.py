"""A command's arguments from its options class: types from the annotations, help from the docstring."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, get_args, get_origin, get_type_hints

from jsonargparse import ActionYesNo, ArgumentParser

from attricert.registry import Registry, descriptions

__all__ = ["add_options"]

_OTHERS = "more"  # the group of fields that are in none


def add_options(parser: ArgumentParser, options: type[Any], optional: Collection[str] = (), first: str = "") -> None:
    """Add one ``--argument`` for each field of a dataclass, and for the parameters of what a field chooses from.

    A bool is a flag, with a ``--no_name`` beside it if it is true by default; a tuple, or a tuple or None, takes as
    many values as are given, apart or with commas between them (not if its metadata say that they are ``paths``).
    Fields without a default are required, unless named as optional. The one named as first needs no ``--name`` before
    it. A parsed command line has what was given, there or in a config file, and nothing else: defaults are the
    dataclass's own business.

    Help shows them under the titles of the class attribute ``groups``, which maps each to names of fields, and the
    fields that it leaves out, if any, in the end; parameters stand with the field that chooses what they are of.
    """
    helps, hints = descriptions(options), get_type_hints(options)
    groups: Mapping[str, Collection[str]] = getattr(options, "groups", {})
    titles = {name: title for title, names in groups.items() for name in names}
    fields = {field.name: field for field in dataclasses.fields(options) if field.name != "parameters"}
    for name in sorted(fields, key=[*titles, *(name for name in fields if name not in titles)].index):
        field = fields[name]
        registry: Registry[Any] | None = field.metadata.get("registry")
        text = helps[name] if registry is None else f"{', '.join(registry)}; {helps[name]}"
        needed = field.default is dataclasses.MISSING and name not in optional
        group = parser if name == first else _group(parser, titles.get(name, _OTHERS if groups else ""))
        called = name if name == first else f"--{name}"
        action = _add(group, called, hints[name], field.default, text, required=needed and name != first)
        action.paths = field.metadata.get("paths", False)
        if registry is None or not field.metadata["parameters"]:
            continue
        for key, parameter in registry.parameters().items():
            # None: not given; only the members that have it need a value.
            _add(group, f"--{key}", parameter.type | None, parameter.default, parameter.help, required=False)


def _group(parser: ArgumentParser, title: str) -> Any:
    """The group of a title, made where it is not there; the parser itself where there is no title."""
    known = {group.title: group for group in parser._action_groups}
    return known.get(title) or parser.add_argument_group(title) if title else parser


def _add(group: Any, name: str, hint: Any, default: Any, text: str, *, required: bool) -> Any:
    settings: dict[str, Any] = {}
    if required:
        settings["required"] = True
    elif name.startswith("-"):
        settings["default"] = argparse.SUPPRESS
    if hint is bool:
        settings["action"] = ActionYesNo(no_prefix="no_") if default is True else "store_true"
    elif sizes := _tuple_of(hint):
        settings.update(type=sizes[0], nargs="+")
    else:
        settings["type"] = hint
    if not any(default is nothing for nothing in (dataclasses.MISSING, None, False, ())):
        text = f"{text} (default: {' '.join(map(str, default)) if isinstance(default, tuple) else default})"
    return group.add_argument(name, help=text.replace("%", "%%"), **settings)


def _tuple_of(hint: Any) -> tuple[Any, ...]:
    """The arguments of a tuple type, perhaps one of a union; empty for other types."""
    for part in (hint, *get_args(hint)):
        if get_origin(part) is tuple:
            return get_args(part)
    return ()
