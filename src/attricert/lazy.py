"""Packages whose names are imported when they are first asked for (PEP 562), so that importing a part takes no more."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["lazily"]


def lazily(
    package: str, names: Mapping[str, Iterable[str]], submodules: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's ``__getattr__`` and ``__dir__``.

    Args:
        package: its ``__name__``.
        names: of each of its modules, those that the package offers too.
        submodules: those that are themselves offered.
    """
    homes = {name: f"{package}.{module}" for module, found in names.items() for name in found}
    modules = {name: f"{package}.{name}" for name in submodules}

    def getattribute(name: str) -> Any:
        if name in modules:
            return importlib.import_module(modules[name])
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return getattribute, lambda: sorted({*vars(sys.modules[package]), *homes, *modules})
