"""Arguments of public methods that take inputs and targets, checked and in the form in which they are used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt
import torch
from torch import Tensor

from attricert.attributions import Targets
from attricert.errors import ArgumentError
from attricert.streams import sample_key

__all__ = ["batch", "functionals_of", "samples"]


def batch(inputs: Tensor, target: Targets | npt.ArrayLike) -> tuple[Tensor, Tensor | None]:
    """Inputs without a graph, and one target an input: copies, as the caller's may change in the meantime."""
    if not isinstance(inputs, Tensor):
        raise ArgumentError("inputs", type(inputs).__name__, "must be a torch.Tensor of shape (batch, ...)")
    if inputs.ndim < 2 or inputs.numel() == 0:
        raise ArgumentError("inputs", tuple(inputs.shape), "must have shape (batch, ...), not empty")
    if inputs.dtype not in (torch.float32, torch.float64):
        # Half precision would round noise out of its ball.
        rule = "must be float32 or float64, in the model's input range (divide 8-bit images by 255)"
        raise ArgumentError("inputs", str(inputs.dtype), rule)
    bad = int((~torch.isfinite(inputs)).sum())
    if bad:
        raise ArgumentError("inputs", f"{bad} entries NaN or inf", "must be finite")
    return inputs.detach().clone(), _targets(target, len(inputs), inputs.device)


def samples(
    inputs: Tensor, target: Targets | npt.ArrayLike, sample_ids: Sequence[str] | None
) -> list[tuple[Tensor, Tensor | None, str]]:
    """One (input, target, key) a sample."""
    inputs, targets = batch(inputs, target)
    n = len(inputs)
    keys = [sample_key(x) for x in inputs] if sample_ids is None else [str(key) for key in sample_ids]
    if len(keys) != n:
        raise ArgumentError("sample_ids", f"{len(keys)} names", f"must name each of the {n} inputs")
    return [(inputs[i], None if targets is None else targets[i], keys[i]) for i in range(n)]


def _targets(target: Targets | npt.ArrayLike, n: int, device: torch.device) -> Tensor | None:
    if target is None:
        return None
    try:
        index = torch.as_tensor(target, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise ArgumentError("target", target, "must be class indices (integers)") from None
    if index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
        raise ArgumentError("target", target, "must be class indices (integers)")
    if index.ndim > 1 or (index.ndim == 1 and len(index) != n):
        raise ArgumentError("target", tuple(index.shape), f"must be one class index, or one for each of the {n} inputs")
    if bool((index < 0).any()):
        raise ArgumentError("target", int(index.min()), "must be a class index >= 0")
    return index.long().expand(n).clone()


def functionals_of(functionals: npt.ArrayLike | Tensor, inputs: Tensor) -> Tensor:
    """Vectors of shape (r, d) in float64, a copy."""
    given = torch.as_tensor(functionals, device=inputs.device).detach().clone()
    rows: Tensor
    shape = tuple(inputs.shape[1:])
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
