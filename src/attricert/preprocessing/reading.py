"""What other libraries say of their models' preprocessing, read faithfully or refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from attricert import checks
from attricert.errors import ArgumentError
from attricert.preprocessing.geometry import INTERPOLATIONS
from attricert.preprocessing.model import Preprocessed
from attricert.text import one_line, told

__all__ = ["preprocessed"]

_BY_HAND = ("mean", "std", "size", "crop", "data_range", "interpolation", "crop_rounding")
_TIMM = ("mean", "std", "input_size", "interpolation", "crop_pct", "crop_mode")
_KNOWN_STEPS = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb")
_PILLOW = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by Pillow's numbers
_WARPED = 384  # from this size on ConvNeXT's images are not cropped
_LEVELS = 255.0
_ROUNDED = 2.0  # levels; Pillow rounds to whole ones after each of its two passes
_TRIED = (491, 643)  # height and width of the image that is tried: odd, wider than high
_WAY = "give mean, std, size and crop by hand: ac.Preprocessed(model, mean=, std=, size=, crop=)"


def preprocessed(model: nn.Module, like: object) -> Preprocessed:
    """A model of images as they are, in [0, 1], with the preprocessing that another library names.

    A transformers image processor is also given an image, which must come out of it as out of what was read.

    Args:
        model: takes what comes out.
        like: torchvision's ``weights.transforms()`` (or the weights), timm's data config
            (``timm.data.resolve_model_data_config(model)``), a transformers image processor, or a dict with what
            `Preprocessed` takes.

    Raises:
        ArgumentError: names what cannot be read, or cannot be done here.
    """
    return Preprocessed(model, **_settings(like))


def _settings(like: Any) -> dict[str, Any]:
    if callable(getattr(like, "transforms", None)):
        like = like.transforms()
    if isinstance(like, Mapping):
        return _of_timm(like) if "input_size" in like else _of_hand(like)
    if hasattr(like, "image_mean") or hasattr(like, "do_normalize"):
        return _of_processor(like)
    if all(hasattr(like, name) for name in ("mean", "std", "resize_size")):
        return _of_torchvision(like)
    rule = (
        "must be torchvision's weights.transforms(), timm's data config (timm.data.resolve_model_data_config(model)), "
        f"a transformers image processor, or a dict; or {_WAY}"
    )
    raise ArgumentError("like", type(like).__name__, rule)


def _of_hand(like: Mapping[str, Any]) -> dict[str, Any]:
    for name in like:
        checks.known("like", name, _BY_HAND)
    return dict(like)


def _of_torchvision(like: Any) -> dict[str, Any]:
    """The presets of ``torchvision.transforms._presets`` for images: resized, cropped if they have a crop."""
    if getattr(like, "antialias", None) is False:
        raise _refused("antialias", False)
    return {
        "mean": like.mean,
        "std": like.std,
        "size": _one_or_two("resize_size", like.resize_size),
        "crop": _one_or_two("crop_size", getattr(like, "crop_size", None)),
        "interpolation": _interpolation(getattr(like, "interpolation", "bilinear")),
    }


def _of_timm(like: Mapping[str, Any]) -> dict[str, Any]:
    """As ``timm.data.create_transform`` has it for evaluation."""
    for name in like:
        checks.known("like", name, _TIMM)
    for name in ("mean", "std", "interpolation"):
        if name not in like:
            raise _refused(name, None)
    height, width = (checks.count("input_size", side, 1) for side in tuple(like["input_size"])[-2:])
    kept = checks.positive("crop_pct", like.get("crop_pct", 0.875))
    sizes = (math.floor(height / kept), math.floor(width / kept))
    mode = like.get("crop_mode") or "center"
    if mode not in ("center", "squash") or (mode == "center" and height != width):
        raise _refused("crop_mode", mode if height == width else f"{mode} of {height} x {width}")
    return {
        "mean": like["mean"],
        "std": like["std"],
        "size": sizes if mode == "squash" else sizes[0],
        "crop": (height, width),
        "interpolation": _interpolation(like["interpolation"]),
    }


def _of_processor(like: Any) -> dict[str, Any]:
    """Of transformers: from its settings, and tried on an image."""
    for name in sorted(name for name in dir(like) if name.startswith("do_")):
        if getattr(like, name) and name not in _KNOWN_STEPS:
            raise _refused(name, getattr(like, name))
    if not getattr(like, "do_rescale", None):
        rule = f"leaves open what its mean and std are of, levels from 0 to 255 or values in [0, 1]; {_WAY}"
        raise ArgumentError("do_rescale", getattr(like, "do_rescale", None), rule)
    factor = _LEVELS * checks.positive("rescale_factor", like.rescale_factor)
    mean, std = [0.0] * 3, [1.0] * 3
    if getattr(like, "do_normalize", True):
        mean, std = (_listed(name, getattr(like, name, None)) for name in ("image_mean", "image_std"))
    found: dict[str, Any] = {
        "mean": [value / factor for value in mean],
        "std": [value / factor for value in std],
        "crop_rounding": "down",
    }
    if getattr(like, "do_resize", None):
        found |= {"interpolation": _interpolation(getattr(like, "resample", None)), **_processor_sizes(like)}
    if getattr(like, "do_center_crop", None):
        found["crop"] = _sides("crop_size", getattr(like, "crop_size", None))
    if callable(like):
        _try(like, found)
    return found


def _processor_sizes(like: Any) -> dict[str, Any]:
    size, kept = _sides("size", getattr(like, "size", None)), getattr(like, "crop_pct", None)
    if kept is None or not isinstance(size, int):
        return {"size": size}
    square = (size, size)
    return {"size": square} if size >= _WARPED else {"size": int(size / kept), "crop": square}


def _try(like: Any, found: Mapping[str, Any]) -> None:
    """That the processor does to an image what was read of it, and nothing else."""
    name, inner = type(like).__name__, Preprocessed(nn.Identity(), **found)
    channels = len(found["mean"])
    rows, columns = np.meshgrid(*(np.linspace(0, 1, side) for side in _TRIED), indexing="ij")
    waves = [np.sin((3 + c) * rows + (5 - c) * columns**2 + c) for c in range(channels)]
    image = np.round(127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)
    ours = inner(torch.from_numpy(image).float().movedim(-1, 0)[None] / _LEVELS)[0]
    try:
        picture = Image.fromarray(image[..., 0] if channels == 1 else image)
        theirs = torch.as_tensor(np.asarray(like(picture, return_tensors="np")["pixel_values"])).reshape(ours.shape)
    except Exception as error:  # somebody else's code
        rule = f"does not do to an image what its settings say ({one_line(told(error))}); {_WAY}"
        raise ArgumentError("like", name, rule) from error
    apart = float((ours - theirs).abs().amax(dim=(1, 2)).mul(torch.tensor(found["std"])).max()) * _LEVELS
    if not apart <= _ROUNDED:
        rule = f"does not do to an image what its settings say (up to {apart:.3g} of 255 levels apart); {_WAY}"
        raise ArgumentError("like", name, rule)


def _sides(name: str, size: Any) -> int | tuple[int, int]:
    """What transformers calls a size."""
    held = dict(size) if isinstance(size, Mapping) else dict(vars(size)) if hasattr(size, "__dict__") else {}
    given = {key: value for key, value in held.items() if value is not None}
    if set(given) == {"height", "width"}:
        return given["height"], given["width"]
    if set(given) == {"shortest_edge"}:
        return int(given["shortest_edge"])
    raise _refused(name, given or size)


def _listed(name: str, values: Any) -> list[float]:
    """Numbers, one a channel; a single one for all would leave open how many there are."""
    if not isinstance(values, (list, tuple)):
        raise _refused(name, values)
    return [float(value) for value in values]


def _one_or_two(name: str, size: Any) -> Any:
    """What torchvision calls a size: a number or two, in a list."""
    sizes = [size] if size is None or isinstance(size, int) else list(size)
    if len(sizes) not in (1, 2):
        raise _refused(name, size)
    return sizes[0] if len(sizes) == 1 else tuple(sizes)


def _interpolation(value: Any) -> str:
    """By its name, or by Pillow's number."""
    plain = getattr(value, "value", value)
    word = _PILLOW[plain] if isinstance(plain, int) and 0 <= plain < len(_PILLOW) else plain
    if word not in INTERPOLATIONS:
        raise _refused("interpolation", word)
    return str(word)


def _refused(name: str, value: object) -> ArgumentError:
    return ArgumentError(name, value, f"cannot be done here as the other library does it; {_WAY}")
