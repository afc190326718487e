"""Arguments of public methods that take inputs and targets, checked and in the form in which they are used."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attricert.attributions import Targets
from attricert.errors import ArgumentError
from attricert.streams import sample_key
from attricert.text import one_line

__all__ = ["as_tensor", "batch", "functionals_of", "numbers_of", "samples"]


def as_tensor(inputs: Tensor | npt.ArrayLike, name: str = "inputs") -> Tensor:
    """Inputs as a dense tensor: as given, or converted from an array, a data frame or lists of numbers.

    Raises:
        ArgumentError: they are something else; under this name.
    """
    if isinstance(inputs, Tensor):
        if inputs.is_nested or inputs.is_meta:
            kind = "nested tensor" if inputs.is_nested else "tensor on the meta device"
            raise ArgumentError(name, kind, "must be a tensor of numbers, all inputs of one shape")
        return inputs.to_dense() if inputs.layout != torch.strided else inputs
    try:
        if isinstance(inputs, (list, tuple)):
            # Python's floats take torch's dtype, those of tensors and arrays keep their own.
            if any(hasattr(part, "dtype") for part in inputs):
                return torch.stack([as_tensor(part) for part in inputs])
            return torch.tensor(inputs)
        array = np.array(inputs)
        if np.ma.is_masked(inputs):
            raise ValueError("entries are masked; fill them")
        if array.dtype.kind not in "biufc":
            raise ValueError(f"of dtype {array.dtype}")
        return torch.from_numpy(array)
    except (TypeError, ValueError, RuntimeError) as error:
        rule = f"must be a tensor, an array or lists of numbers, of shape (batch, ...) ({one_line(str(error))})"
        raise ArgumentError(name, type(inputs).__name__, rule) from None


def batch(inputs: Tensor | npt.ArrayLike, target: Targets | npt.ArrayLike) -> tuple[Tensor, Tensor | None]:
    """Inputs without a graph, and one target an input: copies, as the caller's may change in the meantime."""
    inputs = as_tensor(inputs)
    if inputs.ndim < 2 or inputs.numel() == 0:
        rule = "must have shape (batch, ...), not empty; a single input needs a batch dimension: inputs[None]"
        raise ArgumentError("inputs", tuple(inputs.shape), rule)
    if inputs.dtype not in (torch.float32, torch.float64):
        # Half precision would round noise out of its ball.
        rule = "must be float32 or float64, in the model's input range (divide 8-bit images by 255)"
        raise ArgumentError("inputs", str(inputs.dtype), rule)
    bad = int((~torch.isfinite(inputs)).sum())
    if bad:
        raise ArgumentError("inputs", f"{bad} entries NaN or inf", "must be finite")
    return inputs.detach().clone(), _targets(target, len(inputs), inputs.device)


def samples(
    inputs: Tensor | npt.ArrayLike, target: Targets | npt.ArrayLike, sample_ids: Sequence[str] | None
) -> list[tuple[Tensor, Tensor | None, str]]:
    """One (input, target, key) a sample."""
    given, targets = batch(inputs, target)
    n = len(given)
    if sample_ids is None:
        keys = [sample_key(x) for x in given]
    else:
        rule = f"must be a list of names, one for each of the {n} inputs"
        if isinstance(sample_ids, (str, bytes)) or not isinstance(sample_ids, Collection):
            raise ArgumentError("sample_ids", sample_ids, rule)
        keys = [str(key) for key in sample_ids]
        if len(keys) != n:
            raise ArgumentError("sample_ids", f"{len(keys)} names", rule)
    return [(given[i], None if targets is None else targets[i], keys[i]) for i in range(n)]


def _targets(target: Targets | npt.ArrayLike, n: int, device: torch.device) -> Tensor | None:
    if target is None:
        return None
    try:
        index = torch.as_tensor(np.asarray(target) if not isinstance(target, Tensor) else target, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentError("target", target, "must be class indices (integers)") from None
    if index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
        raise ArgumentError("target", target, "must be class indices (integers)")
    if isinstance(target, tuple) and index.ndim == 1:
        index = index.expand(n, -1)  # as in Captum: an index into each axis, for all inputs
    if index.ndim > 2 or (index.ndim > 0 and len(index) != n):
        rule = f"must be one class index, or one for each of the {n} inputs; a tuple is an index into each axis"
        raise ArgumentError("target", tuple(index.shape), rule)
    if bool((index < 0).any()):
        raise ArgumentError("target", int(index.min()), "must be a class index >= 0")
    return (index.long().expand(n) if index.ndim == 0 else index.long()).clone()


def numbers_of(functionals: npt.ArrayLike | Tensor, device: torch.device) -> Tensor:
    """Functionals as they are given: a copy, as the caller's may change in the meantime."""
    try:
        return torch.as_tensor(functionals, device=device).detach().clone()
    except (TypeError, ValueError, RuntimeError):
        rule = "must be an array or a tensor of weights, or of integer labels"
        raise ArgumentError("functionals", type(functionals).__name__, rule) from None


def functionals_of(given: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Vectors of shape (r, entries) in float64, for maps of this shape."""
    rows: Tensor
    if tuple(given.shape) == shape and not given.is_floating_point():
        labels = given.flatten()
        rows = (torch.unique(labels)[:, None] == labels).double()
    elif given.ndim == len(shape) + 1 and tuple(given.shape[1:]) == shape and len(given):
        rows = given.flatten(1).double()
    else:
        rule = f"must be weights of shape (r, {', '.join(map(str, shape))}), or an integer label map of shape {shape}"
        raise ArgumentError("functionals", tuple(given.shape), rule)
    if not bool(torch.isfinite(rows).all()) or bool((rows == 0).all(dim=1).any()):
        raise ArgumentError("functionals", tuple(given.shape), "must be finite, none of them zero")
    return rows
