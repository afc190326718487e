"""Attribution methods: ``g(inputs, target) -> attributions`` of the inputs' shape."""

from attricert.attributions.base import (
    ATTRIBUTIONS,
    Attribution,
    Classifier,
    as_module,
    is_nonnegative,
    is_random,
    warn_of_training,
)
from attricert.attributions.calling import (
    attributions_of,
    differentiable,
    is_out_of_memory,
    name_of,
    scores_of,
    undisturbed,
    with_output,
)
from attricert.attributions.gradient import InputXGradient, Saliency
from attricert.attributions.integrated import IntegratedGradients, integrate
from attricert.attributions.modules import modules_of
from attricert.attributions.outputs import Targets, classes_of
from attricert.attributions.preserving import seeded
from attricert.attributions.selecting import OneLabel, Output
from attricert.attributions.wrapped import Wrapped, wrap

__all__ = [
    "ATTRIBUTIONS",
    "Attribution",
    "Classifier",
    "InputXGradient",
    "IntegratedGradients",
    "OneLabel",
    "Output",
    "Saliency",
    "Targets",
    "Wrapped",
    "as_module",
    "attributions_of",
    "classes_of",
    "differentiable",
    "integrate",
    "is_nonnegative",
    "is_out_of_memory",
    "is_random",
    "modules_of",
    "name_of",
    "scores_of",
    "seeded",
    "undisturbed",
    "warn_of_training",
    "with_output",
    "wrap",
]
