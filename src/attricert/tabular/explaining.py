"""SHAP values of rows: by an explainer that is given, or by the one that goes with a model."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import nn

from attricert import checks
from attricert.attributions import told_of
from attricert.errors import ArgumentError
from attricert.tabular.columns import Numbers, TableColumns

__all__ = ["Explaining", "class_probabilities", "explaining"]

_RANDOM = ("KernelExplainer", "SamplingExplainer", "PermutationExplainer", "GradientExplainer")
_AT_ONCE = ("TreeExplainer", "GPUTreeExplainer", "LinearExplainer")  # whose shap_values() takes many rows quickly
_SILENT = "silent"


@final
@dataclass(frozen=True, eq=False)
class Explaining:
    """How rows are explained.

    Args:
        explainer: an explainer of shap.
        of_numbers: whether it takes the numbers that stand for a row instead of the row.
        columns: of the table.
    """

    explainer: Any
    of_numbers: bool
    columns: TableColumns

    @property
    def name(self) -> str:
        """The explainer's class."""
        return type(self.explainer).__name__

    @property
    def random(self) -> bool:
        """Whether it draws random numbers."""
        return bool({kind.__name__ for kind in type(self.explainer).__mro__}.intersection(_RANDOM))

    def __call__(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """SHAP values, shape (n, columns) or (n, columns, outputs), and base values, shape (n,) or (n, outputs)."""
        # Trees look at numbers alone: no data frame need be made of them, and taken apart again.
        plain = self.of_numbers or ("Tree" in self.name and self.columns.numeric)
        rows = numbers if plain else self.columns.table(numbers)
        with told_of("explainer", self.explainer, torch.from_numpy(numbers)):
            values, base = self._found(rows)
        values = np.asarray(values, dtype=np.float64)
        if values.ndim == 3 and values.shape[2] == 1:
            values = values[:, :, 0]
        if values.ndim not in (2, 3) or values.shape[:2] != numbers.shape:
            rule = f"must give SHAP values of shape {numbers.shape}, with a further axis for several outputs"
            raise ArgumentError("explainer", values.shape, rule)
        bases = np.asarray(base, dtype=np.float64)
        if values.ndim == 2 and bases.size in (1, len(values)):
            bases = bases.reshape(-1)
        return values, np.broadcast_to(bases, (len(values), *values.shape[2:]))

    def _found(self, rows: Any) -> tuple[Any, Any]:
        """Values and base values, as the explainer gives them."""
        if self.name in _AT_ONCE:
            settings = {"check_additivity": False} if "Tree" in self.name else {}
            values = self.explainer.shap_values(rows, **settings)
            # A list holds an array an output, as earlier versions of shap have it.
            return np.stack(values, axis=-1) if isinstance(values, list) else values, self.explainer.expected_value
        settings = {_SILENT: True} if _SILENT in inspect.signature(type(self.explainer).__call__).parameters else {}
        found = self.explainer(rows, **settings)
        return found.values, found.base_values


def explaining(explainer: Any, columns: TableColumns, numbers: Numbers) -> Explaining:
    """By an explainer, or by the one that goes with a model: TreeSHAP, linear SHAP, or one for any function.

    Args:
        explainer: an explainer of shap; a model with ``predict_proba`` or ``predict``; a function of rows.
        columns: of the table.
        numbers: of the reference table, shape (n, columns): the background of all but TreeSHAP.

    Raises:
        ArgumentError: it is none of these, or shap is not installed.
    """
    if hasattr(explainer, "shap_values") or "Explainer" in {kind.__name__ for kind in type(explainer).__mro__}:
        return Explaining(explainer, False, columns)
    predict = _prediction(explainer)
    checks.extra("shap", "shap")
    import shap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it tries on the way
        if not inspect.isfunction(explainer) and shap.explainers.TreeExplainer.supports_model_with_masker(
            explainer, None
        ):
            return Explaining(shap.TreeExplainer(explainer), False, columns)
        background = shap.maskers.Independent(numbers)
        if shap.explainers.LinearExplainer.supports_model_with_masker(explainer, background):
            return Explaining(shap.LinearExplainer(explainer, background), True, columns)
        return Explaining(
            shap.Explainer(lambda rows: _outputs(predict(columns.table(rows)), len(rows)), background), True, columns
        )


def class_probabilities(model: Any) -> Callable[[Any], Any] | None:
    """Of rows: a classifier's ``predict_proba``, or a function's own scores; None for what has no classes."""
    if hasattr(model, "shap_values"):
        return None
    probabilities: Callable[[Any], Any] | None = getattr(model, "predict_proba", None)
    if probabilities is not None:
        return probabilities
    return model if callable(model) and not isinstance(model, nn.Module) and not hasattr(model, "predict") else None


def _prediction(model: Any) -> Callable[[Any], Any]:
    for name in ("predict_proba", "predict"):
        predict: Callable[[Any], Any] | None = getattr(model, name, None)
        if callable(predict):
            return predict
    if isinstance(model, nn.Module):
        rule = "is a torch module, which takes no rows of a table: use ac.Saliency(model), or give a function of rows"
        raise ArgumentError("explainer", type(model).__name__, rule)
    if callable(model) and not isinstance(model, type):
        function: Callable[[Any], Any] = model
        return function
    rule = "must be an explainer of shap, a model with predict_proba or predict, or a function of rows"
    raise ArgumentError("explainer", type(model).__name__, rule)


def _outputs(found: Any, rows: int) -> Any:
    """What a function gave for so many rows, if it is a number or numbers of each."""
    shape = np.shape(found)
    if len(shape) not in (1, 2) or shape[0] != rows:
        rule = f"must give a number a row, or an array of shape (n, outputs), here for n = {rows}"
        raise ArgumentError("explainer", f"a function that gave shape {shape}", rule)
    return found
