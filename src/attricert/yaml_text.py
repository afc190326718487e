"""YAML of unknown origin: plain values alone, within limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from attricert.errors import IntegrityError
from attricert.files import read_regular
from attricert.text import one_line

__all__ = ["LARGEST", "PlainLoader", "parse", "read"]

LARGEST = 2**18  # bytes of a file
_DEPTH = 20  # of values within values
_DIGITS = 40  # characters of a number


class PlainLoader(yaml.SafeLoader):
    """Refuses what makes a small file large or slow, and what two readers may take for different things."""

    _depth = 0

    def __init__(self, stream: str | bytes) -> None:
        if len(stream) > LARGEST:
            raise yaml.YAMLError(f"longer than {LARGEST} bytes")
        super().__init__(stream)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse aliases, and depth."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not read", self.get_mark())
        if self._depth >= _DEPTH:
            raise yaml.composer.ComposerError(None, None, f"values nested deeper than {_DEPTH}", self.get_mark())
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that is there twice."""
        keys = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in keys:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            keys.add(name)
        values: dict[Any, Any] = super().construct_mapping(node, deep)
        return values

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """Refuse numbers that no setting can be."""
        if len(node.value) > _DIGITS:
            text = f"a number of {len(node.value)} characters"
            raise yaml.constructor.ConstructorError(None, None, text, node.start_mark)
        make = self.construct_yaml_int if node.tag.endswith(":int") else self.construct_yaml_float
        try:
            number: int | float = make(node)
        except (ValueError, IndexError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None
        return number


for _kind in ("int", "float"):
    PlainLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", PlainLoader.construct_number)


def parse(text: str | bytes, where: str) -> dict[str, Any]:
    """A mapping of settings.

    Raises:
        IntegrityError: it is none, or breaks a limit.
    """
    try:
        values = yaml.load(text, Loader=PlainLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise IntegrityError(f"{where}: not YAML as it is read here ({one_line(str(error))})") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise IntegrityError(f"{where}: not a mapping of settings")
    return values


def read(path: Path) -> dict[str, Any]:
    """The settings in a file.

    Raises:
        IntegrityError: it cannot be read, or is not what `parse` takes.
    """
    try:
        content = read_regular(path, LARGEST)
    except OSError as error:
        raise IntegrityError(f"{path}: cannot be read ({error})") from None
    return parse(content, str(path))
