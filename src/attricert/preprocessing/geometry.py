"""Images resized and cropped, as differentiable linear maps."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from attricert.errors import ArgumentError

__all__ = ["INTERPOLATIONS", "ROUNDINGS", "Pair", "Rounding", "cropped", "resized"]

Pair = tuple[int, int]
Rounding = Literal["even", "down"]

INTERPOLATIONS = ("bilinear", "bicubic", "nearest")
ROUNDINGS = ("even", "down")


def resized(
    images: Float[Tensor, "n channels h w"], size: int | Pair, interpolation: str
) -> Float[Tensor, "n channels rows columns"]:
    """As Pillow does, but for its rounding to 8 bits: filters are widened where images get smaller.

    Args:
        images: shape (n, channels, height, width).
        size: (height, width), or one number for the shorter side, the other in proportion and rounded down.
        interpolation: one of `INTERPOLATIONS`.
    """
    height, width = images.shape[-2:]
    if isinstance(size, int):
        short, long = sorted((height, width))
        other = int(size * long / short)
        size = (size, other) if height <= width else (other, size)
    if size == (height, width):
        return images
    if interpolation == "nearest":
        return functional.interpolate(images, size, mode="nearest-exact")
    return functional.interpolate(images, size, mode=interpolation, antialias=True, align_corners=False)


def cropped(
    images: Float[Tensor, "n channels h w"], crop: Pair, rounding: str
) -> Float[Tensor, "n channels rows columns"]:
    """The middle.

    Args:
        images: shape (n, channels, height, width).
        crop: (height, width).
        rounding: where half of what is cut is no whole number of pixels: to the even one, or down.

    Raises:
        ArgumentError: the images are smaller.
    """
    shape = tuple(images.shape[-2:])
    if crop[0] > shape[0] or crop[1] > shape[1]:
        raise ArgumentError("crop", crop, f"is larger than the images, {shape} (height, width) as they are cropped")
    top, left = (
        (have - want) // 2 if rounding == "down" else round((have - want) / 2)
        for have, want in zip(shape, crop, strict=True)
    )
    return images[..., top : top + crop[0], left : left + crop[1]]
