"""Attribution methods: ``g(inputs, target) -> attributions`` of the inputs' shape."""

from attricert.attributions.base import (
    ATTRIBUTIONS,
    Attribution,
    Classifier,
    Targets,
    attributions_of,
    classes_of,
    differentiable,
    is_nonnegative,
    model_in_eval,
    scores_of,
    with_output,
)
from attricert.attributions.gradient import InputXGradient, Saliency
from attricert.attributions.integrated import IntegratedGradients, integrate
from attricert.attributions.wrapped import Wrapped, wrap

__all__ = [
    "ATTRIBUTIONS",
    "Attribution",
    "Classifier",
    "InputXGradient",
    "IntegratedGradients",
    "Saliency",
    "Targets",
    "Wrapped",
    "attributions_of",
    "classes_of",
    "differentiable",
    "integrate",
    "is_nonnegative",
    "model_in_eval",
    "scores_of",
    "with_output",
    "wrap",
]
