"""All looks, one after the other: none keeps the others from being had."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from attricert.attributions import is_out_of_memory, undisturbed
from attricert.diagnosis import behaviour, cost, given, surroundings
from attricert.diagnosis.finding import Cost, Diagnosis, Finding
from attricert.diagnosis.patient import Patient
from attricert.errors import AttributionWarning, AttricertError, ModelModeWarning, OutputWarning, RangeWarning
from attricert.fixed import Fixed
from attricert.noise import Gaussian, Noise
from attricert.sampling import LookedAt
from attricert.text import one_line
from attricert.workload import measured_on

__all__ = ["default_noise", "examine"]

_SHARE = 0.25  # of the inputs' standard deviation
_FAILS = "certify would stop here"
_WAY = "what the message says; else call it on noisy inputs by itself, to see where it fails"

Found = TypeVar("Found")

_STILL = {
    "device": surroundings.device,
    "threads": surroundings.threads,
    "dtype": surroundings.dtype,
    "mode": surroundings.mode,
    "batch norm": surroundings.batch_norm,
    "input range": given.input_range,
    "noise": given.noise,
    "fixed entries": given.fixed,
}
_OF_THE_CLASSIFIER = {"output": behaviour.output, "saturation": behaviour.probabilities}
_OF_THE_ATTRIBUTION = {"map shape": behaviour.map_shape, "map values": behaviour.map_values}
_OF_BOTH = {"in place": behaviour.in_place, "repeats": behaviour.repeats, "rows": behaviour.rows}


def default_noise(family: Noise, inputs: Float[Tensor, "n *features"], fixed: Fixed | None) -> Noise:
    """Noise for those who name none: as much as a Gaussian of a quarter of the inputs' standard deviation.

    Args:
        family: which noise, at any scale.
        inputs: whose deviation is meant; where it is 0 it counts as 1.
        fixed: entries that get none, and count for nothing; of inputs of another shape it is a look's to tell of them.
    """
    free = inputs
    if fixed is not None and fixed.shape == inputs.shape[1:]:
        free = inputs[:, torch.from_numpy(~fixed.mask).to(inputs.device)]
    deviation = float(free.double().std(correction=0))
    scale = family.matching(Gaussian(_SHARE * (deviation or 1.0)), free[0].numel()).scale
    return family.with_scale(float(f"{scale:.2g}"))


def examine(patient: Patient) -> Diagnosis:
    """Look at everything. What fails is a finding; what the looks warn of is told by them."""
    with warnings.catch_warnings():
        for category in (AttributionWarning, ModelModeWarning, OutputWarning, RangeWarning):
            warnings.simplefilter("ignore", category)
        findings = [_found(name, look, patient) for name, look in _STILL.items()]
        whole = Cost(None, None, None, patient.n_samples)
        try:
            with undisturbed(patient.attribution, patient.classifier):
                more, whole = _called(patient, whole)
        except AttricertError as error:
            more = [_failed("calls", error)]
    return Diagnosis(str(patient), (*findings, *more), whole)


def _called(patient: Patient, whole: Cost) -> tuple[list[Finding], Cost]:
    """What needs calls, of those who can be called."""
    tried = {f.role: _tried(partial(_once, f, patient))[1] for f in patient.functions}
    fails = {role: error for role, error in tried.items() if error is not None}
    findings = [_calls(patient, fails)]
    if "classifier" not in fails:
        findings += [_found(name, look, patient) for name, look in _OF_THE_CLASSIFIER.items()]
    if "attribution" not in fails:
        findings += [_found(name, look, patient) for name, look in _OF_THE_ATTRIBUTION.items()]
    if fails:
        return findings, whole
    findings += [_found(name, look, patient) for name, look in _OF_BOTH.items()]
    memory, said = _tried(lambda: cost.memory(patient))
    if memory is None:
        return [*findings, _failed("memory", said)], whole
    findings.append(cost.memory_told(memory, patient.batch_size, single=patient.single))
    seconds, said = _tried(lambda: cost.duration(patient))
    whole = Cost(*memory, seconds, patient.n_samples, measured_on(patient.inputs.device))
    if seconds is None:
        return [*findings, _failed("time", said)], whole
    look = partial(cost.speed, seconds_a_draw=seconds)
    return [*findings, cost.duration_told(whole), _found("speed", look, patient)], whole


def _once(function: LookedAt, patient: Patient) -> Tensor:
    return function(patient.copies[:1])


def _calls(patient: Patient, fails: dict[str, Exception]) -> Finding:
    if not fails:
        return Finding("calls", "ok", f"{' and '.join(f.role for f in patient.functions)} can be called")
    # The model's own fault is told by both; it is plainer where nothing but the model is called.
    return _failed("calls", fails.get("classifier") or fails["attribution"])


def _found(name: str, look: Callable[[Patient], Finding], patient: Patient) -> Finding:
    finding, error = _tried(lambda: look(patient))
    return _failed(name, error) if finding is None else finding


def _failed(name: str, error: Exception | None) -> Finding:
    return Finding(name, "problem", one_line(str(error)), _FAILS, _WAY)


def _tried(call: Callable[[], Found]) -> tuple[Found | None, Exception | None]:
    """What it gives, or the error that it ends with."""
    try:
        return call(), None
    except (AttricertError, MemoryError, RuntimeError) as error:
        if not isinstance(error, AttricertError) and not is_out_of_memory(error):
            raise
        return None, error
