"""YAML as the command line reads it: config files, and values that are lists; within the limits of `yaml_text`."""

from __future__ import annotations

import re
from typing import Any

import jsonargparse
import yaml

from attricert.yaml_text import PlainLoader

__all__ = ["MODE"]

MODE = "attricert"
"""The parser mode of jsonargparse that reads so."""


class _Loader(PlainLoader):
    """Takes 1e-3 for a number, as people and jsonargparse do, and nothing for a date."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":float", ":timestamp"))]
    for first, resolvers in PlainLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.inf|\.nan)$", re.I),
    list("-+0123456789."),
)


def _load(text: str) -> Any:
    """What a text stands for; a word with a colon or in braces is itself, as in a file's name."""
    value = yaml.load(text, Loader=_Loader)
    words_alone = isinstance(value, dict) and "\n" not in text.strip() and all(v is None for v in value.values())
    return text if words_alone else value


jsonargparse.set_loader(MODE, _load, exceptions=(yaml.YAMLError, ValueError))
