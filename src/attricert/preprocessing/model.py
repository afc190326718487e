"""A model with its preprocessing in front."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from attricert import checks
from attricert.attributions import as_module
from attricert.errors import ArgumentError, RangeWarning
from attricert.preprocessing.geometry import INTERPOLATIONS, ROUNDINGS, Pair, Rounding, cropped, resized

__all__ = ["Preprocessed", "first_stages", "normalization"]

_LARGEST = 2**16  # pixels of a side
_WHOLE = (int, np.integer)


@final
class Preprocessed(nn.Module):
    """A model of images as they are: it resizes, crops and normalizes inside, so that noise and eps are in pixels.

    Nothing is clipped: noisy copies that leave the data's range are preprocessed like all others. The settings are part
    of ``state_dict``, and so of a run's fingerprint.

    Args:
        model: takes what comes out, shape (n, channels, rows, columns).
        mean: of each channel, for images scaled to [0, 1]; one number for one channel. None, with ``std``: images are
            scaled to [0, 1] and no more.
        std: of each channel, > 0, likewise.
        size: of the images before they are cropped: (height, width), or one number for the shorter side, the other in
            proportion. None: as they come.
        crop: (height, width) of the middle that is kept, or one number for both; None for all.
        data_range: smallest and largest value of the images, which are taken to [0, 1] by it.
        interpolation: bilinear or bicubic, as Pillow's (antialiased), up to its rounding to 8 bits.
        crop_rounding: where an odd number of pixels is cut: ``"even"`` (half of it to the even number: torchvision,
            timm) or ``"down"`` (transformers).

    Raises:
        ArgumentError: a bad value, or a model that is itself ``Preprocessed``.

    Warns:
        RangeWarning: the model seems to begin with a normalization of its own; or a mean lies outside of [0, 1], as
            that of levels does.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(
        self,
        model: nn.Module,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        size: int | Sequence[int] | None = None,
        *,
        crop: int | Sequence[int] | None = None,
        data_range: tuple[float, float] = (0.0, 1.0),
        interpolation: str = "bilinear",
        crop_rounding: Rounding = "even",
    ) -> None:
        super().__init__()
        found = normalization(mean, std)
        self._settle(size, crop, data_range, interpolation, crop_rounding)
        _warn_of_another(as_module(model), normalizes=found is not None)
        if found is not None:
            _warn_of_means(found[0])
        for name, values in zip(("mean", "std"), found or (None, None), strict=True):
            self.register_buffer(name, None if values is None else torch.tensor(values)[:, None, None])
        self.model = model
        self.training = bool(getattr(model, "training", False))  # the model's mode is its own

    def forward(self, images: Tensor) -> Any:
        """Whatever the model gives, of images of shape (n, channels, height, width) in the data's range."""
        return self.model(self.prepared(images))

    def prepared(self, images: Tensor) -> Tensor:
        """What the model is given; of the images' dtype, on their device.

        Args:
            images: shape (n, channels, height, width).
        """
        if images.ndim != 4:
            raise ArgumentError("inputs", tuple(images.shape), "must be images, (n, channels, height, width)")
        channels = images.shape[1] if self.mean is None else len(self.mean)
        if images.shape[1] != channels:
            rule = f"must have {channels} channels (the second axis), one for each mean and std"
            raise ArgumentError("inputs", tuple(images.shape), rule)
        if self.size is not None:
            images = resized(images, self.size, self.interpolation)
        if self.crop is not None:
            images = cropped(images, self.crop, self.crop_rounding)
        low, high = self.data_range
        if (low, high) != (0.0, 1.0):
            images = (images - low) / (high - low)
        if self.mean is None or self.std is None:
            return images
        return (images - self.mean.to(images)) / self.std.to(images)

    def get_extra_state(self) -> Tensor:
        """What is no number a channel, for ``state_dict``: a tensor, as files of weights hold nothing else."""
        names = ("size", "crop", "data_range", "interpolation", "crop_rounding")
        text = json.dumps({name: getattr(self, name) for name in names})
        return torch.tensor(list(text.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """From a ``state_dict``.

        Raises:
            ArgumentError: it holds something else.
        """
        try:
            values = json.loads(bytes(state.tolist()))
            self._settle(**values)
        except (ValueError, TypeError, AttributeError) as error:
            raise ArgumentError("state_dict", "Preprocessed", f"holds no settings of one ({error})") from None

    def extra_repr(self) -> str:
        """The settings."""
        means = {name: None if (b := getattr(self, name)) is None else b.flatten().tolist() for name in ("mean", "std")}
        shown: Mapping[str, Any] = {**means, "size": self.size, "crop": self.crop, "data_range": self.data_range}
        return ", ".join(f"{name}={value}" for name, value in shown.items() if value is not None)

    def _settle(self, size: Any, crop: Any, data_range: Any, interpolation: Any, crop_rounding: Any) -> None:
        self.size = _side("size", size) if isinstance(size, _WHOLE) else None if size is None else _pair("size", size)
        self.crop = None if crop is None else _pair("crop", crop)
        self.data_range = checks.data_range("data_range", data_range)
        self.interpolation = checks.known("interpolation", interpolation, INTERPOLATIONS)
        self.crop_rounding = checks.known("crop_rounding", crop_rounding, ROUNDINGS)


def normalization(mean: object, std: object) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and std of each channel, checked; None where neither is given.

    Raises:
        ArgumentError: one without the other, of another length, or numbers that cannot be.
    """
    if mean is None and std is None:
        return None
    for name, value, other in (("mean", mean, "std"), ("std", std, "mean")):
        if value is None:
            raise ArgumentError(name, None, f"is needed with {other}")
    means, deviations = _numbers("mean", mean), _numbers("std", std)
    if len(means) != len(deviations):
        raise ArgumentError("std", std, f"must have {len(means)} numbers, as mean has: one a channel")
    return means, tuple(checks.positive("std", value) for value in deviations)


def first_stages(module: nn.Module) -> list[nn.Module]:
    """The module, its first part, the first part of that, and so on: those that see the inputs, in plain models."""
    stages = [module]
    while (inner := next(iter(stages[-1].children()), None)) is not None:
        stages.append(inner)
    return stages


def _warn_of_another(model: nn.Module, *, normalizes: bool) -> None:
    for stage in first_stages(model):
        if isinstance(stage, Preprocessed):
            raise ArgumentError("model", "Preprocessed", "must not be preprocessed twice; give the model inside")
        if normalizes and all(getattr(stage, name, None) is not None for name in ("mean", "std")):
            kind = type(stage).__name__
            text = (
                f"{type(model).__name__} begins with {kind}, which has a mean and a std of its own: images would be "
                "normalized twice; leave out mean and std if it takes images as they are"
            )
            warnings.warn(text, RangeWarning, stacklevel=3)
            return


def _warn_of_means(means: tuple[float, ...]) -> None:
    if not all(0 <= mean <= 1 for mean in means):
        text = (
            f"mean={means} lies outside of [0, 1]: mean and std are for images in [0, 1], to which data_range is taken "
            "first; those of levels are divided by 255"
        )
        warnings.warn(text, RangeWarning, stacklevel=3)


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    given = value.detach().cpu().tolist() if isinstance(value, Tensor) else value
    array = checks.finite_values(name, given)
    if array.size == 0:
        raise ArgumentError(name, value, "must have a number for each channel")
    return tuple(float(number) for number in array.reshape(-1))


def _side(name: str, value: object) -> int:
    return checks.count(name, value, 1, _LARGEST)


def _pair(name: str, value: object) -> Pair:
    sides = (value, value) if isinstance(value, _WHOLE) else value
    if not isinstance(sides, Sequence) or isinstance(sides, str) or len(sides) != 2:
        raise ArgumentError(name, value, "must be (height, width), or one number")
    return _side(name, sides[0]), _side(name, sides[1])
