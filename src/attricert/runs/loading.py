"""What command-line names stand for: zoo models, a user's own code, data."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from attricert import datasets, models
from attricert.attributions import ATTRIBUTIONS, Attribution, Autocast, Output, warn_of_training
from attricert.datasets import Dataset, Labelled, Reading
from attricert.errors import ArgumentError, IntegrityError
from attricert.files import parse_array, read_regular
from attricert.preprocessing import Preprocessed, normalization
from attricert.runs.black_box import BlackBox, as_module
from attricert.runs.code import check_function, factory, is_code
from attricert.runs.objects import NOTHING, Objects, is_object
from attricert.text import one_line

__all__ = [
    "attribution_arguments",
    "fitted",
    "input_dtype",
    "load_array",
    "load_attribution",
    "load_data",
    "load_device",
    "load_items",
    "load_model",
    "model_arguments",
]

_LARGEST = 2**31  # bytes of a .npy file
_DTYPES = {torch.float32: "float32", torch.float64: "float64"}


def model_arguments(
    name: str, mean: tuple[float, ...] | None, std: tuple[float, ...] | None, output: str | None
) -> None:
    """That what is said of a model can be.

    Raises:
        ArgumentError: it cannot.
    """
    check_function("model", name)
    given = {"mean": mean, "std": std, "output": output}
    if not is_code(name):
        for argument, value in given.items():
            if value is not None:
                rule = f"goes with models of your own; {name} takes images in [0, 1], and gives logits"
                raise ArgumentError(argument, value, rule)
    normalization(mean, std)


def fitted(
    model: nn.Module,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    output: str | None,
    autocast: str | None = None,
) -> nn.Module:
    """A model of images in [0, 1] that gives one output.

    Args:
        model: as it was loaded.
        mean: of each channel, with std: it normalizes images inside.
        std: of each channel.
        output: which of its outputs is meant; a number is a place.
        autocast: the dtype of half precision in which it computes, apart from what is put in front.

    Raises:
        ArgumentError: it is no torch model, and is to compute in half precision.
    """
    if autocast is not None:
        if isinstance(model, BlackBox):
            raise ArgumentError("autocast", autocast, "goes with torch models")
        model = Autocast(model, autocast)
    if mean is not None:
        model = Preprocessed(model, mean, std)
    if output is not None:
        model = Output(model, int(output) if output.isdecimal() else output)
    return model


def load_model(name: str) -> nn.Module:
    """A zoo model, or what path.py:factory() returns."""
    if not is_code(name):
        return models.load(name)
    model = as_module(factory("model", name)(), name)
    warn_of_training(model)
    for part in model.modules():
        part.training = False  # it was made for this run; calls that nobody sees find it as others do
    return model


def attribution_arguments(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of an attribution by name, those left out too; a user's own code has none."""
    check_function("attribution", name)
    if not is_code(name) and not is_object(name):
        return ATTRIBUTIONS.arguments(name, parameters)
    known = ATTRIBUTIONS.parameters()
    if given := [f"--{key}" for key, value in parameters.items() if value not in (None, known[key].default)]:
        raise ArgumentError("attribution", name, f"goes without {' and '.join(given)}")
    return {}


def load_attribution(name: str, model: nn.Module, parameters: Mapping[str, Any]) -> Attribution:
    """An attribution by name and parameters, or what path.py:factory(model) returns."""
    if not is_code(name):
        return ATTRIBUTIONS.build(name, parameters, model)
    attribution: Attribution = factory("attribution", name)(model.model if isinstance(model, BlackBox) else model)
    return attribution


def load_data(spec: str, model: str, reading: Reading | None = None) -> Labelled:
    """Data by description or path.py:factory, in memory; fit for the model if it is one of the zoo."""
    expected = _input_shape(model)
    if is_code(spec):
        data = _in_memory(load_items(spec, model, reading))
    else:
        data = datasets.parse(spec, expected[0] if expected else None, reading)
    shape = tuple(data.inputs.shape[1:])
    if expected is not None and shape != expected:
        raise ArgumentError("data", spec, f"inputs have shape {shape}; {model} takes {expected}")
    return data


def load_items(spec: str, model: str, reading: Reading | None = None, objects: Objects = NOTHING) -> Dataset:
    """The same, read item by item where they can be.

    Args:
        spec: the description, path.py:factory (which is run), or an object's name.
        model: for which model.
        reading: how folders and tables are read.
        objects: what the Python program has given.
    """
    if is_object(spec):
        return datasets.as_data(objects.wanted("data", spec), spec, reading)
    if is_code(spec):
        whole, start, stop = datasets.sliced(spec)
        data = datasets.as_data(factory("data", spec)(), whole, reading)
        if isinstance(data, Labelled):
            return datasets.cut(data, spec)
        if (start, stop) != (None, None):
            raise ArgumentError("data", spec, f"has a slice, which {type(data).__name__} does not; let the factory cut")
        return data
    check_function("data", spec)
    expected = _input_shape(model)
    return datasets.items(spec, expected[0] if expected else None, reading)


def input_dtype(model: nn.Module) -> str | None:
    """The precision of a model's weights, in which it takes its inputs; None where it has none, or another."""
    weights = itertools.chain(model.parameters(), model.buffers())
    first = next((weight.dtype for weight in weights if weight.is_floating_point()), None)
    return None if first is None else _DTYPES.get(first)


def _in_memory(items: Dataset) -> Labelled:
    """All of it."""
    if isinstance(items, Labelled):
        return items
    values, labels = zip(*(items[i] for i in range(len(items))), strict=True)
    survey = items.survey()
    return Labelled(torch.stack(values), torch.tensor(labels), items.ids, "; ".join(survey.reading), survey.form)


def load_array(argument: str, path: str | None) -> npt.NDArray[Any] | None:
    """What a .npy file holds; a regular file, which says no larger a shape than it has bytes for."""
    if path is None:
        return None
    try:
        return parse_array(read_regular(Path(path).resolve(), _LARGEST))
    except (OSError, ValueError, IntegrityError) as error:
        raise ArgumentError(argument, path, f"must be a readable .npy file ({one_line(str(error))})") from None


def load_device(name: str) -> torch.device:
    """A torch device that works here."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ArgumentError("device", name, f"cannot be used here ({str(error).splitlines()[0]})") from None
    return device


def _input_shape(model: str) -> tuple[int, ...] | None:
    """Of what a zoo model takes; None for others."""
    return None if is_code(model) or is_object(model) else tuple(models.card(model).facts["input_shape"])
