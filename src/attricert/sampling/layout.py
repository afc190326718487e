"""How copies of images lie in memory: convolutions on a CPU are a quarter faster where channels come last."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attricert.errors import AttricertError
from attricert.sampling.looks import alike

__all__ = ["IMAGES", "channels_last", "gains_from_channels_last", "takes_channels_last"]

IMAGES = 4
"""Axes of a batch of images."""


def channels_last(copies: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """The same values with the channels of a pixel beside each other, in memory of their own."""
    # Not by ``contiguous``: a single channel is contiguous in both orders, but its strides tell convolutions which.
    like = torch.empty(copies.shape, dtype=copies.dtype, device=copies.device, memory_format=torch.channels_last)
    return like.copy_(copies)


def gains_from_channels_last(copies: Float[Tensor, "n *features"], modules: list[nn.Module]) -> bool:
    """Whether copies are likely to be better given in that order: to convolutions on a CPU.

    Args:
        copies: of an input.
        modules: that compute the maps.
    """
    if copies.ndim != IMAGES or copies.device.type != "cpu":
        return False
    return any(isinstance(part, nn.Conv2d) for module in modules for part in module.modules())


def takes_channels_last(
    maps_of: Callable[[Tensor], Tensor], copies: Float[Tensor, "n c h w"], modules: list[nn.Module]
) -> bool:
    """Whether maps of copies in that order can be had, and are the same.

    Args:
        maps_of: the attribution's maps of copies.
        copies: of an input, two where so many can be given at once: of a single one strides tell less.
        modules: that compute the maps.
    """
    plain = maps_of(copies)
    try:
        found = maps_of(channels_last(copies))
    except AttricertError:  # ``view``, for one, refuses such strides
        return False
    return alike(found, plain, *modules)
