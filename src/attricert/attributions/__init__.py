"""Attribution methods: ``g(inputs, target) -> attributions`` of the inputs' shape."""

from typing import TYPE_CHECKING

from attricert.attributions.gradient import InputXGradient, Saliency
from attricert.attributions.integrated import IntegratedGradients, integrate
from attricert.attributions.stochastic import StochasticIntegratedGradients
from attricert.attributions.words import ATTRIBUTIONS
from attricert.lazy import lazily

if TYPE_CHECKING:
    from attricert.attributions.base import (
        Attribution,
        Classifier,
        TakesUniforms,
        as_module,
        comes_singly,
        is_nonnegative,
        is_random,
        takes_uniforms,
        warn_of_training,
    )
    from attricert.attributions.calling import (
        at_uniforms,
        attributions_of,
        differentiable,
        is_out_of_memory,
        name_of,
        output_of,
        scores_of,
        told_of,
        undisturbed,
        with_output,
    )
    from attricert.attributions.casting import Autocast, autocast_of
    from attricert.attributions.modules import in_training, modules_of
    from attricert.attributions.outputs import Targets, checked_targets, classes_of, held_by_name, logits_of
    from attricert.attributions.preserving import seeded
    from attricert.attributions.selecting import OneLabel, Output
    from attricert.attributions.sparsified import Sparsified, among_largest
    from attricert.attributions.wrapped import Wrapped, wrap

__all__ = [
    "ATTRIBUTIONS",
    "Attribution",
    "Autocast",
    "Classifier",
    "InputXGradient",
    "IntegratedGradients",
    "OneLabel",
    "Output",
    "Saliency",
    "Sparsified",
    "StochasticIntegratedGradients",
    "TakesUniforms",
    "Targets",
    "Wrapped",
    "among_largest",
    "as_module",
    "at_uniforms",
    "attributions_of",
    "autocast_of",
    "checked_targets",
    "classes_of",
    "comes_singly",
    "differentiable",
    "held_by_name",
    "in_training",
    "integrate",
    "is_nonnegative",
    "is_out_of_memory",
    "is_random",
    "logits_of",
    "modules_of",
    "name_of",
    "output_of",
    "scores_of",
    "seeded",
    "takes_uniforms",
    "told_of",
    "undisturbed",
    "warn_of_training",
    "with_output",
    "wrap",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "base": (
            "Attribution",
            "Classifier",
            "TakesUniforms",
            "as_module",
            "comes_singly",
            "is_nonnegative",
            "is_random",
            "takes_uniforms",
            "warn_of_training",
        ),
        "calling": (
            "at_uniforms",
            "attributions_of",
            "differentiable",
            "is_out_of_memory",
            "name_of",
            "output_of",
            "scores_of",
            "told_of",
            "undisturbed",
            "with_output",
        ),
        "casting": ("Autocast", "autocast_of"),
        "modules": ("in_training", "modules_of"),
        "outputs": (
            "Targets",
            "checked_targets",
            "classes_of",
            "held_by_name",
            "logits_of",
        ),
        "preserving": ("seeded",),
        "selecting": ("OneLabel", "Output"),
        "sparsified": ("Sparsified", "among_largest"),
        "wrapped": (
            "Wrapped",
            "wrap",
        ),
    },
)
