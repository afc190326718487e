"""Shapes are part of the types, and checked while the tests run; this checks that they can be."""

import importlib
import inspect
import pkgutil
from typing import get_type_hints

import jaxtyping
import pytest
import torch

import attricert as ac

MODULES = [m.name for m in pkgutil.walk_packages(ac.__path__, "attricert.") if not m.name.endswith("__main__")]


@pytest.mark.parametrize("name", MODULES)
def test_every_annotation_can_be_read(name):
    """One whose quotes got lost fails here, and would be checked by nothing."""
    for _, thing in inspect.getmembers(importlib.import_module(name)):
        if getattr(thing, "__module__", "") != name:
            continue
        if inspect.isclass(thing):
            get_type_hints(thing)
            for _, method in inspect.getmembers(thing, inspect.isfunction):
                if method.__module__ == name:  # what a named tuple is given has annotations of nowhere
                    get_type_hints(method)
        elif inspect.isfunction(thing):
            get_type_hints(thing)


def test_a_wrong_shape_is_found():
    with pytest.raises(jaxtyping.TypeCheckError):
        ac.Normalize()(torch.zeros(3))
    with pytest.raises(jaxtyping.TypeCheckError):
        ac.wrap(lambda x, t: x[:-1])(torch.zeros(3, 2), None)
