"""Models, data and attributions that a Python program has at hand: a run names them, and cannot load them by itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, final

from attricert.errors import ArgumentError

__all__ = ["NOTHING", "Objects", "is_object"]

_START = "object:"


def is_object(name: str) -> bool:
    """Whether a name stands for an object of a Python program."""
    return name.startswith(_START)


@final
@dataclass(frozen=True, eq=False)
class Objects:
    """What is given as it is; None for what a config names.

    Args:
        model: a torch module.
        data: as `attricert.datasets.as_data` takes them.
        attribution: a callable (inputs, target) -> attributions.
    """

    model: Any = None
    data: Any = None
    attribution: Any = None

    @classmethod
    def of(cls, **given: Any) -> tuple[Objects, dict[str, str]]:
        """Objects; and apart from them the settings of those that are names, or paths, after all."""
        names = {key: os.fspath(value) for key, value in given.items() if isinstance(value, (str, os.PathLike))}
        return cls(**{key: value for key, value in given.items() if key not in names}), names

    @property
    def names(self) -> dict[str, str]:
        """Under which names configs have those that are given: ``object:`` and what they are called."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: f"{_START}{_called(value)}" for name, value in given.items() if value is not None}

    def named_in(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A config's values, with the names of what is given.

        Raises:
            ArgumentError: one of them has another name already.
        """
        for name in self.names:
            if (other := values.get(name)) is not None and not is_object(str(other)):
                raise ArgumentError(name, other, "is named, and given as an object too; give one of the two")
        return {**values, **self.names}

    def wanted(self, setting: str, name: str) -> Any:
        """The object that a name stands for.

        Raises:
            ArgumentError: it was not given.
        """
        if (found := getattr(self, setting)) is None:
            rule = "is an object that a Python program gave, and is not at hand; give it again"
            raise ArgumentError(setting, name, f"{rule}, as in attricert.runs.certify(..., {setting}=...)")
        return found


NOTHING = Objects()
"""Where all that a run needs has names."""


def _called(value: object) -> str:
    """A function's own name, else that of the class."""
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else type(value).__name__
