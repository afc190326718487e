"""Images brought to one size, before anything else is done to them."""

from __future__ import annotations

import torch
from torch import Tensor

from attricert import checks
from attricert.errors import ArgumentError

__all__ = ["check_size", "resized", "told_size"]

_SIDES, _LONGEST = (1, 2), 16_384


def check_size(size: tuple[int, ...] | None) -> None:
    """That it is a side, or height and width.

    Raises:
        ArgumentError: it is not.
    """
    if size is None:
        return
    if len(size) not in _SIDES:
        raise ArgumentError("size", list(size), "must be one number (the side of a square), or height and width")
    for side in size:
        checks.count("size", side, 1, _LONGEST)


def told_size(size: tuple[int, ...] | None) -> tuple[str, ...]:
    """What is done, in words; nothing where images stay as they are."""
    if size is None:
        return ()
    if len(size) == 1:
        return (f"shorter side resized to {size[0]} (bilinear, antialiased), middle square of it cut out",)
    return (f"stretched to {size[0]} x {size[1]} (height x width; bilinear, antialiased)",)


def resized(image: Tensor, size: tuple[int, ...]) -> Tensor:
    """An image of that size: as torchvision's Resize and CenterCrop of a tensor, which do not round to 8 bits.

    Args:
        image: shape (channels, height, width), in [0, 1].
        size: (s,): the shorter side becomes s, the other keeps its ratio (rounded down), and the middle s x s is cut
            out; (h, w): exactly that, whatever the ratio of sides.

    Returns:
        In [0, 1], of the same dtype.
    """
    height, width = image.shape[1:]
    if len(size) == 2:
        return _stretched(image, size[0], size[1])
    side, shorter = size[0], min(height, width)
    scaled = _stretched(image, side * height // shorter, side * width // shorter)
    top, left = (round((length - side) / 2.0) for length in scaled.shape[1:])
    return scaled[:, top : top + side, left : left + side].contiguous()


def _stretched(image: Tensor, height: int, width: int) -> Tensor:
    if tuple(image.shape[1:]) == (height, width):
        return image
    found = torch.nn.functional.interpolate(
        image[None], size=(height, width), mode="bilinear", align_corners=False, antialias=True
    )
    return found[0].clamp(0, 1)  # means of numbers in [0, 1], but for rounding
