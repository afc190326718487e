"""What models return, as tensors: scores of classes, and the one number that is explained."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attricert.errors import ArgumentError, OutputWarning

__all__ = ["Targets", "checked_targets", "class_scores", "classes_of", "held_by_name", "logits_of", "target_output"]

Targets = Int[Tensor, " n"] | Int[Tensor, "n indices"] | int | tuple[int, ...] | None
"""Class indices, one for all inputs or one an input; where an output has more axes, an index into each of these."""

_NAMES = ("logits", "out", "output", "outputs", "scores")


def logits_of(output: Any) -> Tensor:
    """The tensor that a model's output is about: itself, what is called logits, out, output, outputs or scores,
    or the only or first one.

    Args:
        output: a tensor, a mapping, a named tuple, a dataclass or another object with named tensors, or a sequence.

    Raises:
        ArgumentError: there is no tensor that is meant.

    Warns:
        OutputWarning: a sequence holds several; the first is taken.
    """
    found = output if isinstance(output, Tensor) else _held(output)
    return found if found.layout == torch.strided else found.to_dense()


def _held(output: Any) -> Tensor:
    named = held_by_name(output)
    for name in _NAMES:
        value = named.get(name)
        if isinstance(value, Tensor):
            return value
    tensors = [value for value in (named.values() if named else _listed(output)) if isinstance(value, Tensor)]
    if not tensors or (named and len(tensors) > 1):
        held = f" of {', '.join(map(str, named))}" if named else ""
        names = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"
        rule = (
            f"must be a torch tensor (torch.as_tensor), or hold one that is called {names}; "
            "ac.Output(model, key) names another"
        )
        raise ArgumentError("output of the model", f"{type(output).__name__}{held}", rule)
    if len(tensors) > 1:
        text = (
            f"the model returns {len(tensors)} tensors; the first, {tuple(tensors[0].shape[1:])} an input, is explained"
        )
        warnings.warn(text, OutputWarning, stacklevel=3)
    return tensors[0]


def held_by_name(output: Any) -> dict[str, Any]:
    """What a model's output holds under names; empty for tensors and sequences."""
    if isinstance(output, Tensor):
        return {}
    if isinstance(output, Mapping):
        return {str(name): value for name, value in output.items()}
    if hasattr(output, "_asdict"):
        return dict(output._asdict())
    if dataclasses.is_dataclass(output):
        return {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    return {} if isinstance(output, (list, tuple)) else dict(getattr(output, "__dict__", {}))


def _listed(output: Any) -> list[Any]:
    return list(output) if isinstance(output, (list, tuple)) else []


def class_scores(output: Tensor, n: int, target: Targets = None) -> Float[Tensor, "n classes"]:
    """A score for each class, from a classifier's output for n inputs.

    One number an input, shape (n,) or (n, 1), is the score of class 1 against class 0: two classes by its sign. Where
    there are further axes (segmentation: shape (n, classes, rows, columns)), the target's further indices say where.

    Raises:
        ArgumentError: these are no scores of n inputs.
    """
    rows = _rows(output, n, "classifier")
    if not rows.is_floating_point():
        rule = "must give scores (floating point), not classes: their largest is the prediction"
        raise ArgumentError("classifier", str(rows.dtype), rule)
    if rows.ndim == 1:
        return torch.stack([-rows, rows], dim=1)
    if rows.ndim > 2:
        index = _index(target, n, rows)
        if index.shape[1] != rows.ndim - 1:
            raise ArgumentError("classifier", tuple(output.shape), _axes(rows))
        _check(index[:, 1:], rows.shape[2:])
        rows = rows[(torch.arange(n, device=rows.device), slice(None), *index[:, 1:].T)]
    if rows.shape[1] < 2:
        rule = f"must give scores of shape (n, classes), here for n = {n}"
        raise ArgumentError("classifier", tuple(output.shape), rule)
    return rows


def classes_of(scores: Float[Tensor, "n classes"]) -> Int[Tensor, " n"]:
    """The class of the largest score of each input; -1 where a score is not finite."""
    return torch.where(torch.isfinite(scores).all(dim=1), scores.argmax(dim=1), -1)


def target_output(output: Tensor, target: Targets, n: int) -> Float[Tensor, " n"]:
    """The output that is explained, one an input.

    Of one number an input (see `class_scores`), target 1 explains it, target 0 its negative: what speaks for class 0.

    Raises:
        ArgumentError: the target does not go with the output.
    """
    rows = _rows(output, n, "model")
    if target is None:
        if rows.ndim != 1:
            rule = f"the model has outputs of shape {tuple(rows.shape[1:])}; name one (0 to {rows.shape[1] - 1})"
            raise ArgumentError("target", None, rule)
        return rows
    index = _index(target, n, rows)
    if rows.ndim == 1:
        _check(index[:, :1], (2,))
        return torch.where(index[:, 0] == 1, rows, -rows)
    if index.shape[1] != rows.ndim - 1:
        rule = _axes(rows) if rows.ndim > 2 else f"must be one class index (0 to {rows.shape[1] - 1}), or one an input"
        raise ArgumentError("target", f"{index.shape[1]} indices", rule)
    _check(index, rows.shape[1:])
    return rows[(torch.arange(n, device=rows.device), *index.T)]


def _rows(output: Tensor, n: int, role: str) -> Tensor:
    """One row an input: shape (n,), (n, classes), or with axes further on; single scores have shape (n,)."""
    shape = tuple(output.shape)
    if n == 1 and (output.ndim == 0 or (output.ndim == 1 and len(output) > 1)):
        output = output[None]  # the model has squeezed it
    if output.ndim == 0 or len(output) != n:
        raise ArgumentError(role, shape, f"must give a row for each of {n} inputs")
    while output.ndim > 2 and output.shape[-1] == 1:
        output = output[..., 0]
    if output.numel() == 0:
        raise ArgumentError(role, shape, "must give a number at least")
    if output.ndim > 2 and output.shape[1] == 1:  # one logit at each place
        return torch.cat([-output, output], dim=1)
    return output[:, 0] if output.ndim == 2 and output.shape[1] == 1 else output


def _axes(rows: Tensor) -> str:
    names = ["class", "row", "column"] if rows.ndim == 4 else ["class", *(f"axis {i}" for i in range(2, rows.ndim))]
    return (
        f"the model's output for one input has shape {tuple(rows.shape[1:])}: name one number, "
        f"target=({', '.join(names)}), or a list of such tuples, one an input"
    )


def _index(target: Targets, n: int, rows: Tensor) -> Int[Tensor, "n indices"]:
    if target is None:
        raise ArgumentError("target", None, _axes(rows))
    index = torch.as_tensor(target, device=rows.device)
    if isinstance(target, tuple):
        index = index.expand(n, -1)
    elif index.ndim < 2:
        index = index.expand(n)[:, None]
    return index


_CHECKED = ContextVar("checked", default=False)


@contextlib.contextmanager
def checked_targets() -> Iterator[None]:
    """Within: targets are those that earlier calls have seen, and are in range; an accelerator is not waited for."""
    token = _CHECKED.set(True)
    try:
        yield
    finally:
        _CHECKED.reset(token)


def _check(index: Int[Tensor, "n indices"], shape: tuple[int, ...]) -> None:
    if _CHECKED.get():
        return
    for axis, size in enumerate(shape):
        some = index[:, axis]
        if bool(((some < 0) | (some >= size)).any()):
            worst = int(some.min() if bool((some < 0).any()) else some.max())
            what = "a class index" if axis == 0 else f"an index into axis {axis + 1}"
            raise ArgumentError("target", worst, f"must be {what} from 0 to {size - 1}")
