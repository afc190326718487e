"""Looks that call attribution and classifier, a few times each."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from attricert.attributions import comes_singly, held_by_name, is_random, logits_of, name_of, output_of
from attricert.diagnosis.finding import Finding
from attricert.diagnosis.patient import Patient
from attricert.errors import OutputWarning
from attricert.rounding import short
from attricert.sampling import SATURATED, LookedAt
from attricert.streams import Stream
from attricert.text import one_line, shortened

__all__ = ["in_place", "map_shape", "map_values", "output", "probabilities", "repeats", "rows"]

_INPUTS, _COPIES = 4, 8  # of each of which maps are looked at
_TINY = 1e-6  # of the largest score: what a map's norm is at least where it is more than rounding errors
_HALF, _MOST = 0.5, 0.9
_SUM = 1e-3  # from 1, of probabilities
_NAMES = 100  # characters
_MORE = {"attribution": "map", "classifier": "score"}


def output(patient: Patient) -> Finding:
    """In what form scores come, and which of them are taken."""
    if patient.classifier is None:
        return Finding("output", "ok", "no classifier: nothing is certified of the prediction")
    row, function = patient.copies[:1], patient.functions[-1]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OutputWarning)
        given = output_of(patient.classifier, row)
        found, scores = logits_of(given), function(row)
    form = _form(given, found)
    said = [one_line(str(w.message)) for w in caught if issubclass(w.category, OutputWarning)]
    if not bool(torch.isfinite(scores).all()):
        return Finding(
            "output",
            "problem",
            f"{form}: scores hold NaN or inf",
            "no class is predicted there, and maps are seldom finite",
            "look for log, sqrt or a division that meets noisy inputs, which may leave the range of the data",
        )
    single = scores.shape[1] == 2 and torch.equal(scores[:, 0], -scores[:, 1])
    if single and function.is_single_probability(scores, row):
        return Finding(
            "output",
            "problem",
            f"{form}: one number, a probability it seems",
            "its sign decides between two classes, and is never negative: class 1 is predicted always",
            "give the logit: the model without its sigmoid",
        )
    if single:
        return Finding("output", "ok", f"{form}: one logit", "class 1 against class 0, by its sign")
    kind = _kind(function, scores, row)
    seen = f"{form}: {kind} of {scores.shape[1]} classes"
    if kind == "probabilities that do not sum to 1":
        meaning = "several labels at once, it seems: the largest is no prediction of the others"
        return Finding(
            "output", "note", seen, meaning, "ac.OneLabel(model, label) for each label of interest, on logits"
        )
    if kind == "probabilities":
        meaning = "where the model is sure, gradients of a softmax all but vanish"
        return Finding("output", "note", seen, meaning, "explain logits: the model without its softmax")
    if said:
        return Finding(
            "output", "note", seen, said[0], "ac.Output(model, select) or --output names the one that is meant"
        )
    return Finding("output", "ok", seen)


def probabilities(patient: Patient) -> Finding:
    """Whether the explained score is a probability next to 0 or 1."""
    if patient.classifier is None or patient.target is None:
        return Finding("saturation", "ok", "no class is explained")
    function, rows = patient.functions[-1], patient.copies[:_INPUTS]
    count = sum(function.is_saturated(rows[i : i + 1]) for i in range(len(rows)))
    seen = (
        f"{count} of {len(rows)} noisy copies have a probability of the explained class within {SATURATED:g} of 0 or 1"
    )
    if not count:
        return Finding("saturation", "ok", seen)
    return Finding(
        "saturation",
        "problem",
        seen,
        "its gradients all but vanish there, and maps are made of rounding errors",
        "explain logits: the model without its softmax or sigmoid; ac.Output(model, select) where it gives both",
    )


def map_shape(patient: Patient) -> Finding:
    """Of one map, beside that of an input."""
    found, given = patient.shaped.shape, tuple(patient.inputs.shape[1:])
    if found == given:
        return Finding("map shape", "ok", f"{found}, as the inputs")
    meaning = "no entry of the map is one of the input; pictures show it over the input where it is coarser"
    return Finding("map shape", "note", f"{found}; inputs {given}", meaning, "nothing, if that is what is meant")


def in_place(patient: Patient) -> Finding:
    """Whether what is given is written to."""
    found = []
    for function in patient.functions:
        changed: list[str] = []
        function(patient.copies[:1], changed)
        found += [f"the {function.role} {name_of(function.who)} writes to its {what}" for what in changed]
    if not found:
        return Finding("in place", "ok", "inputs are left as they are")
    meaning = "harmless here, where it is given copies; elsewhere it spoils the caller's data"
    return Finding("in place", "note", "; ".join(found), meaning, "first operation out of place: relu(x), not relu_(x)")


def repeats(patient: Patient) -> Finding:
    """Whether equal calls give the same."""
    random = {role: apart for role, apart in patient.randomness.items() if apart}
    if not random:
        declared = is_random(patient.attribution)
        return Finding("repeats", "ok", "declared random" if declared else "equal calls give the same")
    seen = "; ".join(
        f"{_MORE[role]}s of equal inputs differ by {apart:.2g} of their norm" for role, apart in random.items()
    )
    return Finding(
        "repeats",
        "problem",
        seen,
        "random (functional dropout, a method that samples) or with a state: no function of the input",
        "take the randomness out (F.dropout(x, training=self.training)); of an attribution alone, "
        "ac.wrap(f, random=True) certifies the mean over it",
    )


def rows(patient: Patient) -> Finding:
    """Whether a row's result depends on its neighbours."""
    found, untold = {}, []
    for function in patient.functions:
        apart = _mixing(patient, function)
        if apart is None:
            untold.append(function.role)
        elif apart:
            found[function.role] = apart
    if found:
        seen = "; ".join(f"a {_MORE[role]} differs by {apart:.2g} beside other inputs" for role, apart in found.items())
        return Finding(
            "rows",
            "problem",
            seen,
            "rows of a batch are mixed (batch statistics, scaling over the batch): no function of each input",
            "batch_size=1 gives one input at a time; better, statistics that are fixed",
        )
    if untold:
        meaning = "what is random beyond the seeds of torch, NumPy and Python, or comes singly, cannot be told"
        return Finding("rows", "note", f"not told of {' and '.join(untold)}", meaning, "see repeats")
    return Finding("rows", "ok", "each row depends on its own input")


def map_values(patient: Patient) -> Finding:
    """Maps that are zero, next to it, or not finite; on a few noisy copies of a few inputs."""
    maps = torch.cat(list(_maps(patient)))
    norms, n = torch.linalg.vector_norm(maps, dim=1), len(maps)
    limit = _TINY * _largest_score(patient)
    counts = {
        "hold NaN or inf": int((~torch.isfinite(norms)).sum()),
        "are zero": int((norms == 0).sum()),
        f"have a norm below {limit:.2g}": int(((norms > 0) & (norms <= limit)).sum()),
    }
    zeros = float((maps == 0).double().mean())
    finite = norms[torch.isfinite(norms)]
    norm = f"; median norm {short(float(finite.median()), 'nearest')}" if len(finite) else ""
    bad = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "none is zero, tiny or not finite"
    seen = f"of {n} maps {bad}{norm}; {zeros:.0%} of entries are 0"
    share = sum(counts.values()) / n
    if share >= _HALF:
        return Finding(
            "map values",
            "problem",
            seen,
            _why(counts),
            "explain logits, or a smooth model; ac.wrap(f) takes methods that need values only, such as occlusion",
        )
    if share > 0:
        meaning = "what is zero or not finite counts as zero, and makes certificates smaller; what is tiny is rounding"
        return Finding("map values", "note", seen, meaning, "more noise, or another attribution, if they are many")
    if zeros > _MOST:
        meaning = "most entries never get a value: nothing will be certain of their signs and ranks"
        return Finding("map values", "note", seen, meaning, "nothing, if that is what is meant")
    return Finding("map values", "ok", seen)


def _why(counts: dict[str, int]) -> str:
    nonfinite, zero, tiny = counts.values()
    if nonfinite >= max(zero, tiny):
        return "maps that are not finite count as zero: next to nothing will be certified"
    if zero >= tiny:
        return (
            "the model does not change around these inputs (steps, trees, argmax, rounding, dead units): there is "
            "nothing to certify"
        )
    return "maps are made of rounding errors: scores are saturated, or the model all but ignores the input"


def _maps(patient: Patient) -> Iterator[Tensor]:
    for i, x in enumerate(patient.inputs[:_INPUTS]):
        target = None if patient.targets is None else patient.targets[i]
        function = LookedAt.attribution(patient.attribution, target, patient.batch_size, patient.free)
        copies = patient.sampler.copies(x, Stream(0, str(i), "doctor"), _COPIES)
        singly = patient.single or comes_singly(patient.attribution)
        for part in torch.split(copies, 1 if singly else function.size):
            yield function(part).flatten(1).double()


def _largest_score(patient: Patient) -> float:
    if patient.classifier is None:
        return 1.0
    scores = patient.functions[-1](patient.copies[:1])
    return float(scores.abs().max().nan_to_num(1.0))


def _mixing(patient: Patient, function: LookedAt) -> float | None:
    if function.role not in patient.randomness:
        return 0.0  # says that it is random, and is given one at a time
    if patient.randomness[function.role]:
        return function.mixing_if_random(patient.copies)
    return function.mixing(patient.copies, function.beside(patient.copies, 0))


def _form(given: Any, found: Tensor) -> str:
    shape = tuple(found.shape[1:])
    if isinstance(given, Tensor):
        return f"a tensor, {shape} an input"
    if named := held_by_name(given):
        names = shortened(one_line(", ".join(named)), _NAMES)
        taken = next((name for name, value in named.items() if value is found), "one")
        return f"{type(given).__name__} of {names}, of which {one_line(taken)}, {shape} an input, is taken"
    return f"{type(given).__name__} of {len(given)}, of which the first tensor, {shape} an input, is taken"


def _kind(function: LookedAt, scores: Tensor, row: Tensor) -> str:
    if function.stays_in_unit(row):
        whole = bool(((scores.sum(dim=1) - 1).abs() < _SUM).all())
        return "probabilities" if whole else "probabilities that do not sum to 1"
    if bool((scores <= 0).all()) and bool(((scores.exp().sum(dim=1) - 1).abs() < _SUM).all()):
        return "log-probabilities"
    return "logits"
