"""Whether inputs are what a model of images takes them for; eps is a distance of these inputs, whatever they are."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from attricert.attributions import modules_of
from attricert.errors import RangeWarning
from attricert.preprocessing.model import Preprocessed, first_stages

__all__ = ["declared_range", "range_fault", "warn_of_range"]

_SLACK = 1e-3  # of the range: what resampling and float32 do
_LEVELS = 255.0
_SIDE = 8  # pixels; what is smaller is no photograph
_MEAN, _DEVIATIONS = 0.5, (0.7, 1.4)  # of each channel, in absolute value; images in [-1, 1] have some 0.5
_WAY = "ac.Preprocessed(model, mean=, std=) normalizes inside the model and takes images as they are"


def warn_of_range(inputs: Tensor, *owners: object) -> None:
    """Look at inputs before noise is added.

    Args:
        inputs: shape (n, ...).
        owners: attribution and classifier, which hold the model.

    Warns:
        RangeWarning: they leave the range that a `Preprocessed` model declares, or fill next to nothing of it; or,
            where none is declared, they look like images that were normalized.
    """
    if text := range_fault(inputs, *owners):
        warnings.warn(text, RangeWarning, stacklevel=5)


def range_fault(inputs: Tensor, *owners: object) -> str:
    """What `warn_of_range` says of these inputs; empty where they are what they seem to be."""
    found = declared_range(*owners)
    return _normalized(inputs) if found is None else _outside(inputs, *found)


def declared_range(*owners: object) -> tuple[float, float] | None:
    """Smallest and largest value of the images that a `Preprocessed` model takes; None where there is none."""
    stages = (stage for module in modules_of(*owners) for stage in first_stages(module))
    return next((stage.data_range for stage in stages if isinstance(stage, Preprocessed)), None)


def _outside(inputs: Tensor, low: float, high: float) -> str:
    least, most, span = float(inputs.min()), float(inputs.max()), high - low
    seen = f"inputs are from {least:.3g} to {most:.3g}, the model declares images from {low:g} to {high:g}"
    level = span / _LEVELS
    if most - least > 0 and most - low <= (1 + _SLACK) * level and least >= low - _SLACK * level:
        return (
            f"{seen}: they fill less than one of 255 levels (divided once too often?); eps would be far larger, beside "
            "them, than it looks"
        )
    if least >= low - _SLACK * span and most <= high + _SLACK * span:
        return ""
    if least >= low - _SLACK * span and span < _LEVELS / 2 < most <= _LEVELS:
        why = f"8-bit levels, it seems; eps would be in these, {_LEVELS / span:.4g} times smaller than it looks: divide"
        return f"{seen} ({why} by 255, or declare data_range=(0, 255))"
    if least < low and most - least <= 10 * span:
        return (
            f"{seen}; if they are normalized, the model normalizes them once more, and eps is no distance in pixels: a "
            "pixel value counts by 1 / std of its channel. Give images as they are"
        )
    return f"{seen}; eps is a distance between what is given, in its units. Give images in the declared range"


def _normalized(inputs: Tensor) -> str:
    """What is said of inputs that look like normalized colour images, empty for others."""
    if inputs.ndim != 4 or inputs.shape[1] != 3 or min(inputs.shape[2:]) < _SIDE or not bool((inputs < 0).any()):
        return ""
    deviations, means = torch.std_mean(inputs.double(), dim=(0, 2, 3))
    low, high = _DEVIATIONS
    if bool((means.abs() > _MEAN).any() | (deviations < low).any() | (deviations > high).any()):
        return ""
    return (
        f"inputs look like normalized images (channels have means {_listed(means)}, deviations {_listed(deviations)}): "
        "eps is then a distance between these, in which a pixel value counts by 1 / std of its channel, and not one in "
        f"pixels; {_WAY}"
    )


def _listed(values: Tensor) -> str:
    return ", ".join(f"{value:.2g}" for value in values.tolist())
