"""The torch modules that other people's functions and objects hold, and the mode that they are in."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

__all__ = ["evaluating", "in_training", "modules_of"]

_KNOWN = ("Drop", "BatchNorm", "InstanceNorm")
_INERT = ("torch._dynamo.eval_frame.", "torch.ao.nn.quantized.", "captum._utils.models.")
_MOST, _FEW = 10_000, 1_000  # objects looked through for modules, and of one list


def modules_of(*owners: object) -> list[nn.Module]:
    """The outermost torch modules that functions and objects hold: as attributes, in closures, by global names."""
    found: list[nn.Module] = []
    seen: set[int] = set()
    waiting: deque[object] = deque(owners)
    while waiting and len(seen) < _MOST:
        thing = waiting.popleft()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, nn.Module):
            found.append(thing)
        else:
            waiting += _held(thing)
    inner = {id(part) for module in found for part in module.modules() if part is not module}
    return [module for module in found if id(module) not in inner]


def _held(thing: object) -> list[Any]:
    if isinstance(thing, (list, tuple, set, frozenset, dict)):
        return list(itertools.islice(thing.values() if isinstance(thing, dict) else thing, _FEW))
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, MethodType):
        return [thing.__self__, thing.__func__]
    if isinstance(thing, FunctionType):
        named = [thing.__globals__[name] for name in _names(thing.__code__) if name in thing.__globals__]
        return [*_enclosed(thing), *(thing.__defaults__ or ()), *named, getattr(thing, "__wrapped__", None)]
    if isinstance(thing, (type, ModuleType, Tensor, np.ndarray, str, bytes)):
        return []
    held = getattr(thing, "__dict__", None)
    slots = [name for kind in type(thing).__mro__ for name in _slots(kind)]
    called = [getattr(type(thing), name, None) for name in ("__call__", "attribute")]
    return [
        *(held.values() if isinstance(held, dict) else ()),
        *(getattr(thing, name) for name in slots if hasattr(thing, name)),
        *(function for function in called if isinstance(function, FunctionType)),
    ]


def _slots(kind: type) -> Sequence[str]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else [name for name in slots if isinstance(name, str)]


def _enclosed(function: FunctionType) -> list[Any]:
    contents = []
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # it is empty
            contents.append(cell.cell_contents)
    return contents


def _names(code: CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def in_training(module: nn.Module) -> list[str]:
    """Which parts are in train mode, by name and class: those that do something else then, as far as can be told."""
    if "eval" in vars(module):  # exported programs refuse it: their mode is part of them
        return []
    found = {
        f"{name or 'the whole'} ({type(part).__name__})": not any(part.children())
        for name, part in module.named_modules()
        if getattr(part, "training", False) and not _is_inert(part)  # frozen scripted modules have none
    }
    leaves = [name for name, leaf in found.items() if leaf]
    known = [name for name in leaves if any(kind in name for kind in _KNOWN)]
    return known or leaves or list(found)


def _is_inert(part: nn.Module) -> bool:
    """Of a class that does the same in both modes."""
    name = f"{type(part).__module__}.{type(part).__name__}"
    return type(part) in (nn.Sequential, nn.ModuleList, nn.DataParallel) or name.startswith(_INERT)


@contextlib.contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Modules in eval mode for the time being, flag by flag: a module's own ``train()`` may do more than that."""
    trained = [part for module in modules for part in module.modules() if getattr(part, "training", False)]
    for part in trained:
        part.training = False
    try:
        yield
    finally:
        for part in trained:
            part.training = True
