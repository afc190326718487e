"""ICC profiles: whether a file's numbers are sRGB's as they are, and how they become so."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from typing import final

import numpy as np
from PIL import Image, ImageCms

from attricert.errors import IntegrityError
from attricert.text import one_line

__all__ = ["Profile", "profile"]

_STEPS = 9  # colours tried along each axis
# Levels of 255 by which the colours of an sRGB profile may be moved, as profiles are rounded; those of gray ones, whose
# gamma of 2.2 stands for sRGB's curve as in PNG files.
_SAME, _SAME_GRAY = 2, 10
_LONGEST = 60  # characters of a name


@final
@dataclass(frozen=True)
class Profile:
    """An ICC profile.

    Args:
        icc: the profile.
        name: its own description.
    """

    icc: bytes
    name: str

    def converted(self, image: Image.Image) -> Image.Image:
        """An RGB image in sRGB; colours beyond it become the nearest."""
        transform = ImageCms.buildTransform(_open(self.icc), ImageCms.createProfile("sRGB"), "RGB", "RGB")
        result = ImageCms.applyTransform(image, transform)
        if result is None:
            raise IntegrityError(f"its colours cannot be converted from {self.name}")
        return result


@functools.lru_cache(maxsize=16)
def profile(icc: bytes | None, gray: bool) -> Profile | None:
    """By which profile colours must be converted; None where they are sRGB's as they are.

    Whether they are is tried out: names say little, and there are many profiles of sRGB.

    Args:
        icc: what the file embeds; None for what cannot be read.
        gray: whether the image is.

    Raises:
        IntegrityError: it is none, of another kind than the image, or of a gray scale with another curve.
    """
    if not icc:
        raise IntegrityError("has an ICC profile that cannot be read")
    try:
        found = _open(icc)
        space = str(found.profile.xcolor_space).strip()
        name = one_line(ImageCms.getProfileDescription(found))[:_LONGEST]
    except (OSError, ImageCms.PyCMSError) as error:
        raise IntegrityError(f"has an ICC profile that cannot be read ({one_line(str(error))})") from None
    if space != "RGB" and not (gray and space == "GRAY"):
        raise IntegrityError(f"has an ICC profile for {space}, {name}, and {'gray' if gray else 'RGB'} pixels")
    moved = _moved(found, "L" if space == "GRAY" else "RGB", gray)
    if moved <= (_SAME_GRAY if space == "GRAY" else _SAME):
        return None
    if gray:
        raise IntegrityError(f"has a gray scale that is not sRGB's (ICC profile {name}); convert it first")
    return Profile(icc, name)


def _open(icc: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(icc))


def _moved(found: ImageCms.ImageCmsProfile, mode: str, gray: bool) -> int:
    """Levels by which sRGB takes colours for others, at the most."""
    if gray:
        tried = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    else:
        axis = np.linspace(0, 255, _STEPS).astype(np.uint8)
        tried = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(1, -1, 3)
    source = Image.fromarray(tried if mode == "RGB" else np.ascontiguousarray(tried[..., 0]))
    try:
        transform = ImageCms.buildTransform(found, ImageCms.createProfile("sRGB"), mode, "RGB")
        result = np.asarray(ImageCms.applyTransform(source, transform), dtype=np.int64)
    except (OSError, ValueError, ImageCms.PyCMSError) as error:
        raise IntegrityError(f"has an ICC profile that cannot be used ({one_line(str(error))})") from None
    return int(np.abs(result - tried).max())
