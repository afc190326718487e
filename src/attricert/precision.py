"""How exact torch's products of float32 matrices are: users trade that for speed, in an old way and in a new one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

__all__ = ["full_precision", "matmul_precision", "set_matmul_precision"]

# Before torch 2.9 there is the old way alone.
_OWNERS: tuple[Any, ...] = (getattr(torch.backends.mkldnn, "matmul", None), torch.backends.cuda.matmul)
_BACKENDS = tuple(owner for owner in _OWNERS if hasattr(owner, "fp32_precision"))

Precision = tuple[str | None, tuple[str, ...]]


def matmul_precision() -> Precision:
    """As it is set, in either way."""
    try:
        old = torch.get_float32_matmul_precision()
    except RuntimeError:  # who has used both is not told
        old = None
    return old, tuple(backend.fp32_precision for backend in _BACKENDS)


def set_matmul_precision(precision: Precision) -> None:
    """As `matmul_precision` had it."""
    if matmul_precision() == precision:
        return
    old, new = precision
    if old is not None:
        torch.set_float32_matmul_precision(old)
    for backend, value in zip(_BACKENDS, new, strict=True):
        backend.fp32_precision = value


@contextlib.contextmanager
def full_precision(device: str) -> Iterator[None]:
    """Within: no products by way of bfloat16 or TF32, for which proofs do not allow; on this type of device."""
    before = matmul_precision()
    try:
        torch.set_float32_matmul_precision("highest")
        for backend in _BACKENDS:
            backend.fp32_precision = "ieee"
        with torch.autocast(device, enabled=False):
            yield
    finally:
        set_matmul_precision(before)
