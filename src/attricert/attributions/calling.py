"""The seam to other people's code: attributions and classifiers are called through these functions only.

They hand over copies, and whatever goes wrong in there becomes one error that says where; the original is its cause.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attricert.attributions.base import Attribution, Classifier, TakesUniforms, comes_singly, warn_of_training
from attricert.attributions.forward import given_by, twice_differentiable
from attricert.attributions.modules import evaluating, modules_of
from attricert.attributions.outputs import Targets, class_scores, logits_of
from attricert.attributions.preserving import preserved
from attricert.errors import ArgumentError, AttricertError, CallError
from attricert.precision import set_full_precision
from attricert.text import one_line, told

__all__ = [
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
]

OnChange = Callable[[str], None]

_LONGEST = 400  # characters of somebody else's message


@contextlib.contextmanager
def undisturbed(attribution: Attribution, classifier: Classifier | None) -> Iterator[None]:
    """While they are called again and again: models in eval mode, float32 in full; in the end everything as it was.

    Raises:
        ArgumentError: within ``torch.autocast``, which makes another function of a model that nobody would be told of.

    Warns:
        ModelModeWarning: a model is in train mode.
    """
    for device in ("cpu", "cuda"):
        if torch.is_autocast_enabled(device):
            rule = "must be left before draws are made; attricert.Autocast(model) is told in the terms"
            raise ArgumentError("torch.autocast", device, rule)
    with preserved(attribution, classifier):
        set_full_precision()  # TF32 and the like make another function of a model, too
        # What says that it is random may owe that to a layer in train mode; a classifier gets there at each call.
        modules = [] if comes_singly(attribution) else modules_of(attribution, classifier)
        for module in modules:
            warn_of_training(module)
        with evaluating(*modules):
            yield


def attributions_of(
    attribution: Attribution, inputs: Float[Tensor, "n *features"], target: Targets, on_change: OnChange | None = None
) -> Float[Tensor, "n *entries"]:
    """Attributions in memory of their own, of a copy of the inputs: whatever is done to that is nobody else's affair.

    Args:
        attribution: the attribution.
        inputs: shape (n, ...).
        target: one an input, or one for all.
        on_change: told what it has changed in place, if it has.

    Raises:
        CallError: it raised an error.
        ArgumentError: what it returned is no map of each input.
    """
    given, index = inputs.clone(), _copied(target)
    with told_of("attribution", attribution, inputs):
        found = attribution(given, index)
    # An attribution may keep the tensor that it returned, and write to it again.
    maps = _maps(attribution, found, inputs).clone()
    if on_change is not None:
        _tell(on_change, (("inputs", inputs, given), ("target", target, index)))
    return maps


def at_uniforms(attribution: TakesUniforms, uniforms: Float[Tensor, "*n"]) -> Attribution:
    """A random attribution at given numbers: what is called in its place.

    Raises:
        CallError: it raised an error.
    """
    with told_of("attribution", attribution, uniforms):
        return attribution.at(uniforms.clone())


def scores_of(
    classifier: Classifier,
    inputs: Float[Tensor, "n *features"],
    target: Targets = None,
    on_change: OnChange | None = None,
) -> Float[Tensor, "n classes"]:
    """A classifier's scores, of a copy of the inputs; the target says where, for outputs with further axes.

    Args:
        classifier: the classifier.
        inputs: shape (n, ...).
        target: one an input, or one for all.
        on_change: told what it has changed in place, if it has.

    Raises:
        CallError: it raised an error.
        ArgumentError: what it returned are no scores of each input.
    """
    given = inputs.clone()
    with told_of("classifier", classifier, inputs), torch.no_grad():
        output = logits_of(_given_by(classifier, given))
    scores = class_scores(output, len(inputs), target)
    if on_change is not None:
        _tell(on_change, (("inputs", inputs, given),))
    return scores


def output_of(classifier: Classifier, inputs: Float[Tensor, "n *features"]) -> Any:
    """What a classifier gives of a copy of the inputs, in whatever form.

    Raises:
        CallError: it raised an error.
    """
    with told_of("classifier", classifier, inputs), torch.no_grad():
        return _given_by(classifier, inputs.clone())


def with_output(
    attribution: Attribution, classifier: Classifier, inputs: Float[Tensor, "n *features"], target: Targets
) -> tuple[Float[Tensor, "n *entries"], Float[Tensor, "n classes"]]:
    """Attributions and scores: of the same forward pass where the attribution can give it."""
    both = getattr(attribution, "with_output", None)
    if both is not None and getattr(attribution, "model", None) is classifier:
        with told_of("attribution", attribution, inputs):
            found, output = both(inputs.clone(), _copied(target))
        return _maps(attribution, found, inputs), class_scores(logits_of(output), len(inputs), target)
    return attributions_of(attribution, inputs, target), scores_of(classifier, inputs, target)


def differentiable(attribution: Attribution, inputs: Float[Tensor, "n *features"], target: Targets) -> Tensor | None:
    """Attributions as a differentiable function of inputs that ask for gradients; None from a black box.

    An attribution that can be differentiated has a method ``differentiable(inputs, target)``.
    """
    method = getattr(attribution, "differentiable", None)
    if method is None:
        return None
    with told_of("attribution", attribution, inputs), torch.enable_grad(), twice_differentiable():
        # A copy within the graph: gradients reach the inputs, what is done in place does not.
        attributions: Tensor = method(inputs.clone(), _copied(target))
    return attributions if attributions.requires_grad else None


def name_of(who: object) -> str:
    """What people call a function or an object."""
    return str(getattr(who, "__name__", type(who).__name__))


def is_out_of_memory(error: Exception) -> bool:
    """Whether a smaller batch may help."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


@contextlib.contextmanager
def told_of(role: str, who: object, inputs: Tensor) -> Iterator[None]:
    """Within: calls of somebody else's code.

    Args:
        role: what it is here.
        who: who is called.
        inputs: what it is given.

    Raises:
        CallError: it raised an error.
    """
    try:
        yield
    except AttricertError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        given = f"inputs of shape {tuple(inputs.shape)}, {inputs.dtype}, {inputs.device}"
        text = one_line(told(error))
        short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
        raise CallError(f"{role} {name_of(who)} failed on {given}: {short}{_way_out(text, inputs)}") from error


_WAYS_OUT = {
    ("does not require grad", "None requires grad", "Differentiated Tensors"): (
        "no gradient reaches the input; attricert.wrap(f) takes attributions that need none"
    ),
    ("dtype", "scalar type", "Half", "BFloat16", "Input type"): (
        "the model may want another dtype: cast the inputs or the model"
    ),
    ("same device", "device type", "on device", "expected device"): "move inputs and model to one device",
    ("Inference tensors",): "the model was made under torch.inference_mode(); make or load it outside",
    ("is not implemented", "double backward", "use_reentrant"): (
        'it cannot be differentiated twice; attack its smoothed map with method="score"'
    ),
    (
        "more than 1 value per channel",
    ): "statistics over a batch make maps depend on neighbours; use running statistics",
    ("Guard failed",): "it was exported for one shape of the batch; export it with a dynamic first dimension",
}


def _way_out(text: str, inputs: Tensor) -> str:
    for words, way in _WAYS_OUT.items():
        if any(word in text for word in words):
            return f" ({way})"
    if any(word in text for word in ("shape", "size", "dimension", "channels", "Expected")):
        one = tuple(inputs.shape[1:])
        return f" (each input is taken to have shape {one}; a single one needs a batch dimension: inputs[None])"
    return ""


def _maps(attribution: Attribution, found: Any, inputs: Tensor) -> Tensor:
    """What an attribution returned, if it is a map of each input."""
    name = name_of(attribution)
    if not isinstance(found, Tensor):
        rule = f"must return a torch.Tensor, not {type(found).__name__}; attricert.wrap() takes NumPy arrays and lists"
        raise ArgumentError("attribution", name, rule)
    if found.is_complex():
        raise ArgumentError("attribution", name, "must return real values; take the real part, or the magnitude")
    if found.ndim < 2 or len(found) != len(inputs) or found.numel() == 0:
        rule = f"must return a map an input, of shape (n, ...), here for inputs of shape {tuple(inputs.shape)}"
        raise ArgumentError("attribution", tuple(found.shape), rule)
    dense = found.detach().to_dense() if found.layout != torch.strided else found.detach()
    return dense.dequantize() if dense.is_quantized else dense


def _tell(on_change: OnChange, pairs: Sequence[tuple[str, object, object]]) -> None:
    for what, before, after in pairs:
        if isinstance(before, Tensor) and isinstance(after, Tensor) and not torch.equal(before, after):
            on_change(what)


def _given_by(classifier: Classifier, inputs: Tensor) -> Any:
    return given_by(classifier, inputs) if isinstance(classifier, nn.Module) else classifier(inputs)


def _copied(target: Targets) -> Targets:
    return target.clone() if isinstance(target, Tensor) else target
