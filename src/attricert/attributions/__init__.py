"""Attribution methods: ``g(inputs, target) -> attributions`` of the inputs' shape."""

from attricert.attributions.base import Attribution, Targets, is_nonnegative, model_in_eval
from attricert.attributions.gradient import InputXGradient, Saliency
from attricert.attributions.integrated import IntegratedGradients
from attricert.attributions.wrapped import Wrapped, wrap

__all__ = [
    "Attribution",
    "InputXGradient",
    "IntegratedGradients",
    "Saliency",
    "Targets",
    "Wrapped",
    "is_nonnegative",
    "model_in_eval",
    "wrap",
]
