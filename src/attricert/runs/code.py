"""A user's own code: ``path.py:factory``, and whatever it imports from beside it.

What it is made of is found without running it: its imports are read from the syntax, and those that name files beside
it are read in turn. The files that were read are the ones that run, under names of their own
(``_attricert_code_1.helper``): two folders may each have a ``helper.py``, in one process and at any time.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.abc
import importlib.machinery
import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, final

from attricert.datasets.spec import check_slice, sliced
from attricert.errors import ArgumentError, IntegrityError
from attricert.files import read_regular, sha256
from attricert.text import told

__all__ = ["check_function", "code_digest", "factory", "is_code", "sources", "unnumbered"]

_FILES, _BYTES = 1000, 4 * 2**20  # that are read, and of each
_NOT_BESIDE = {"attricert", *sys.builtin_module_names}
_ROOT, _NUMBERS = "_attricert_code_", itertools.count(1)
_NUMBERED = re.compile(rf"\b{_ROOT}\d+\.")


def is_code(name: str) -> bool:
    """Whether the name of a model, an attribution or data stands for a user's own code."""
    return ".py:" in name


def check_function(argument: str, name: str) -> None:
    """That a function is named where a file is.

    Raises:
        ArgumentError: the name ends with that of a file.
    """
    if name.endswith(".py") and not is_code(name):
        raise ArgumentError(argument, name, f"is a file alone; name a function in it, {name}:function")


def sources(name: str, argument: str = "code") -> dict[str, bytes]:
    """The files that the code is made of, read and not run: path to content; none for names of the library's own.

    The factory's file comes first, then every module that it, or one of these, imports from beside it.

    Raises:
        ArgumentError: a file cannot be read, or is no Python.
    """
    return {str(m.path): m.content for m in _modules(name, argument).values() if m.path is not None}


def code_digest(name: str, argument: str = "code") -> str:
    """SHA-256 of the code, without running it: of the file where it stands alone, else of all names and contents.

    Raises:
        ArgumentError: as `sources`.
    """
    found = sources(name, argument)
    if len(found) <= 1:
        return sha256(b"".join(found.values()))
    base = Path(next(iter(found))).parent
    return sha256(json.dumps({Path(p).relative_to(base).as_posix(): sha256(c) for p, c in found.items()}).encode())


def factory(argument: str, name: str) -> Callable[..., Any]:
    """The function that ``path.py:factory`` names; runs the file.

    Raises:
        ArgumentError: there is none, its file raises, or it imports from beside it what cannot be found without running
            it.
    """
    modules = _modules(name, argument)
    path, attribute = _parts(name)
    root, before, base = f"{_ROOT}{next(_NUMBERS)}", set(sys.modules), Path(path).parent.resolve()
    sys.meta_path.append(_Finder(root, base, modules))
    module = _run(argument, name, lambda: importlib.import_module(f"{root}.{next(iter(modules))}"))
    _refuse_hidden(argument, name, base, before)
    found = getattr(module, attribute, None)
    if not callable(found):
        if argument == "data":
            check_slice(name)
        raise ArgumentError(argument, name, f"{path} has no function {attribute!r}")

    def made(*values: Any) -> Any:
        thing = _run(argument, name, lambda: found(*values))
        _refuse_hidden(argument, name, base, before)
        return thing

    return made


def unnumbered(text: str) -> str:
    """Text with names of a user's own modules as they are in every process."""
    return _NUMBERED.sub("", text)


def _refuse_hidden(argument: str, name: str, base: Path, before: Collection[str]) -> None:
    """What has been imported from beside it otherwise than was read."""
    for other in set(sys.modules) - set(before):
        if not other.startswith(_ROOT) and (file := _beside(sys.modules.get(other), base)):
            raise ArgumentError(argument, name, f"{file} is imported in a way that only running shows; {_PLAINLY}")


def _run(argument: str, name: str, something: Callable[[], Any]) -> Any:
    """Something of the user's, whatever it raises."""
    try:
        return something()
    except (Exception, SystemExit) as error:
        did = told(error) if isinstance(error, SystemExit) else f"raised {told(error)}"
        raise ArgumentError(argument, name, f"{_parts(name)[0]} {did}") from error


def _parts(name: str) -> tuple[str, str]:
    """File and function, without the slice that data may have."""
    path, _, attribute = sliced(name)[0].rpartition(":")
    return path, attribute


_PLAINLY = "import it plainly (import helper), so that the fingerprint of the code covers it"


@final
@dataclass(frozen=True)
class _Module:
    """A module as it was read: no path, and no content, for a folder without ``__init__.py``."""

    path: Path | None
    content: bytes
    package: bool


def _modules(name: str, argument: str) -> dict[str, _Module]:
    """By dotted name from the factory's folder, the factory's own first."""
    if not is_code(name):
        return {}
    path = Path(_parts(name)[0])
    if not path.is_file():
        raise ArgumentError(argument, name, f"there is no file {path}")
    try:
        this = path.stem.replace(".", "_")
        found, todo = {this: _Module(path, read_regular(path, _BYTES), package=False)}, [this]
        while todo:
            this = todo.pop(0)
            for wanted in _imports(this, found[this], path.parent):
                if wanted not in found and (module := _look(path.parent, wanted)) is not None:
                    found[wanted] = module
                    todo.append(wanted)
            if len(found) > _FILES:
                raise ArgumentError(argument, name, f"imports more than {_FILES} files from beside it")
    except (OSError, IntegrityError) as error:
        raise ArgumentError(argument, name, f"cannot be read ({error})") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ArgumentError(argument, name, f"{found[this].path} is no Python ({error})") from None
    files = [f"{dotted}." for dotted, module in found.items() if module.path is not None]
    # A folder in which nothing was found is no package: it may have the name of one that is installed.
    return {dotted: m for dotted, m in found.items() if any(file.startswith(f"{dotted}.") for file in files)}


def _look(base: Path, dotted: str) -> _Module | None:
    """A module beside the factory, if there is one of this name."""
    place = base.joinpath(*dotted.split("."))
    for path, package in ((place / "__init__.py", True), (place.with_name(f"{place.name}.py"), False)):
        if os.path.lexists(path):
            return _Module(path, read_regular(path, _BYTES), package)
    return _Module(None, b"", package=True) if place.is_dir() else None


def _imports(name: str, module: _Module, base: Path) -> Iterator[str]:
    """Dotted names that a module may import from beside the factory, packages before what is in them."""
    parts = name.split(".")
    package = parts if module.package else parts[:-1]
    for node in ast.walk(ast.parse(module.content)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level <= len(package) + 1:
            start = package[: len(package) + 1 - node.level] if node.level else []
            whole = ".".join([*start, *([node.module] if node.module else [])])
            names = [alias.name for alias in node.names]
            if "*" in names:
                names = [path.stem for path in sorted(base.joinpath(*whole.split(".")).glob("*.py"))]
            targets = [whole, *(f"{whole}.{one}" if whole else one for one in names)]
        else:
            continue
        for target in targets:
            steps = target.split(".")
            if target and steps[0] not in _NOT_BESIDE:
                yield from (".".join(steps[: i + 1]) for i in range(len(steps)))


@final
class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports what was read, under a root of its own."""

    def __init__(self, root: str, base: Path, modules: Mapping[str, _Module]) -> None:
        self._root, self._base = root, base
        self._modules = {"": _Module(None, b"", package=True), **modules}
        self._builtins = {**vars(builtins), "__import__": self._import}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Of one of the modules."""
        root, _, name = fullname.partition(".")
        if root != self._root:
            return None
        if (module := self._modules.get(name)) is None:
            if _look(self._base, name) is not None:
                raise ImportError(f"{name} is imported in a way that only running shows; {_PLAINLY}")
            return None
        origin = None if module.path is None else os.path.abspath(module.path)
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=origin, is_package=module.package)
        spec.has_location = origin is not None
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """Run what was read; its own import statements look beside it first."""
        name = module.__name__.partition(".")[2]
        found = self._modules[name]
        module.__dict__["__builtins__"] = self._builtins
        exec(compile(found.content, str(found.path), "exec", dont_inherit=True), module.__dict__)

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 (named as those of the function it stands for)
        locals: Mapping[str, object] | None = None,  # noqa: A002 (likewise)
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """The import statement, for modules that were read."""
        top = name.partition(".")[0]
        if level or top not in self._modules:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        found = builtins.__import__(f"{self._root}.{name}", globals, locals, fromlist or (), 0)
        return found if fromlist else sys.modules[f"{self._root}.{top}"]


def _beside(module: ModuleType | None, base: Path) -> str | None:
    """The file of a module beneath a folder, but for what has a place of its own on the path of imports there."""
    file = getattr(module, "__file__", None)
    if not file or not Path(file).resolve().is_relative_to(base):
        return None
    places = [Path(place).resolve() for place in sys.path if place]
    inner = [place for place in places if place != base and place.is_relative_to(base)]
    return None if any(Path(file).resolve().is_relative_to(place) for place in inner) else str(file)
