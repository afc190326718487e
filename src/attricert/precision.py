"""Float32 is float32: products and convolutions in full, though a process may trade that for speed, in two ways.

Torch lets users, and by default convolutions on CUDA, round factors to TF32 or bfloat16. That is another function than
the model in float32, of which neighbours in a batch are a part, and proofs of our own products do not allow for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

__all__ = ["float32_precision", "full_precision", "set_float32_precision", "set_full_precision"]


def _owners() -> tuple[Any, ...]:
    """What has a setting of its own; before torch 2.9 there is the old way alone."""
    b: Any = torch.backends
    found = [(b.mkldnn, "matmul"), (b.mkldnn, "conv"), (b.mkldnn, "rnn"), (b.cuda, "matmul")]
    found += [(b.cudnn, "conv"), (b.cudnn, "rnn")]
    parts = (getattr(backend, name, None) for backend, name in found)
    return tuple(part for part in parts if hasattr(part, "fp32_precision"))


_OWNERS = _owners()
_FULL = ("none", "ieee")

Precision = tuple[str | None, bool | None, tuple[str, ...]]


def float32_precision() -> Precision:
    """As it is set, in either way; None where torch does not tell those who used both."""
    products = convolutions = None
    with contextlib.suppress(RuntimeError):
        products = torch.get_float32_matmul_precision()
    with contextlib.suppress(RuntimeError):
        convolutions = torch.backends.cudnn.allow_tf32
    return products, convolutions, tuple(owner.fp32_precision for owner in _OWNERS)


def set_float32_precision(precision: Precision) -> None:
    """As `float32_precision` had it; what is so already is not touched."""
    if float32_precision() == precision:
        return
    products, convolutions, new = precision
    if products is not None:
        torch.set_float32_matmul_precision(products)
    if convolutions is not None:
        torch.backends.cudnn.allow_tf32 = convolutions
    for owner, value in zip(_OWNERS, new, strict=True):
        if owner.fp32_precision != value:
            owner.fp32_precision = value


def set_full_precision() -> None:
    """No TF32, no bfloat16 in place of float32."""
    products, convolutions, new = float32_precision()
    if products not in (None, "highest"):
        torch.set_float32_matmul_precision("highest")
    if convolutions and not _OWNERS:
        torch.backends.cudnn.allow_tf32 = False
    for owner, value in zip(_OWNERS, new, strict=True):
        if value not in _FULL:
            owner.fp32_precision = "ieee"


@contextlib.contextmanager
def full_precision(device: str) -> Iterator[None]:
    """Within: float32 in full, and no autocast on this type of device."""
    before = float32_precision()
    try:
        set_full_precision()
        with torch.autocast(device, enabled=False):
            yield
    finally:
        set_float32_precision(before)
