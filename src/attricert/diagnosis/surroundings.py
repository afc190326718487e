"""Looks that call nothing: device, threads, precision, and what modules say of themselves."""

from __future__ import annotations

import os

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from attricert.attributions import autocast_of, comes_singly, in_training
from attricert.diagnosis.finding import Finding
from attricert.diagnosis.patient import Patient

__all__ = ["batch_norm", "device", "dtype", "mode", "mode_told", "processors", "threads"]

_SHOWN = 3


def device(patient: Patient) -> Finding:
    """Where model and inputs are."""
    here = patient.inputs.device
    found = {str(weight.device) for model in patient.models for weight in _weights(model)}
    seen = f"inputs on {here}, weights on {' and '.join(sorted(found))}" if found else f"inputs on {here}, no weights"
    if any(torch.device(name).type != here.type for name in found):
        return Finding(
            "device",
            "problem",
            seen,
            "noisy copies are made where the inputs are, and the model cannot take them from there",
            "move both to one device: model.to(device), inputs.to(device)",
        )
    if here.type == "cpu" and torch.cuda.is_available():
        way = "--device cuda, or model.cuda() and inputs.cuda()"
        return Finding("device", "note", seen, "there is a GPU that stays idle", way)
    return Finding("device", "ok", seen)


def threads(patient: Patient) -> Finding:
    """Of the processors that there are, how many are used."""
    used, there = torch.get_num_threads(), processors()
    seen = f"{used} of {there} processors"
    if patient.inputs.device.type != "cpu" or used == there:
        return Finding("threads", "ok", seen)
    if used > there:
        meaning, way = "more threads than processors stand in each other's way", f"torch.set_num_threads({there})"
    else:
        meaning = "the rest stays idle while one process certifies"
        way = f"--workers {there} for many inputs, --threads or torch.set_num_threads({there}) for few"
    return Finding("threads", "note", seen, meaning, way)


def dtype(patient: Patient) -> Finding:
    """Of inputs and weights."""
    inputs = _word(patient.inputs.dtype)
    found = sorted({_word(w.dtype) for m in patient.models for w in _weights(m) if w.is_floating_point()})
    seen = f"inputs {inputs}, weights {' and '.join(found) or 'none'}"
    if half := autocast_of(*patient.owners):
        meaning = f"the model computes in {half}, as part of what is certified; the terms say so"
        return Finding("dtype", "ok", seen, meaning)
    if any("16" in word for word in found):
        meaning = "half precision: maps are coarse, and equal inputs may have maps that differ in their third digit"
        return Finding("dtype", "note", seen, meaning, "model.float(), if it fits")
    if len(found) > 1:
        meaning = "weights of several precisions; inputs are cast where none has theirs"
        return Finding("dtype", "note", seen, meaning, "cast all of the model to one")
    if "float64" in (inputs, *found):
        cast = "; inputs are cast to it" if found and found != [inputs] else ""
        meaning = f"double precision takes twice the memory and time, and proves no more{cast}"
        return Finding("dtype", "note", seen, meaning, "model.float() and inputs.float(), unless they need it")
    return Finding("dtype", "ok", seen)


def mode(patient: Patient) -> Finding:
    """Which parts are in train mode."""
    parts = [part for model in patient.models for part in in_training(model)]
    if not parts:
        return Finding("mode", "ok", "eval mode")
    shown = ", ".join(parts[:_SHOWN]) + (f", ... ({len(parts)} in all)" if len(parts) > _SHOWN else "")
    if comes_singly(patient.attribution):
        meaning = "left so, as the attribution says that it is random, and may owe that to them"
        return Finding("mode", "note", f"train mode: {shown}", meaning, "model.eval(), if it does not")
    return mode_told(f"train mode: {shown}")


def mode_told(seen: str) -> Finding:
    """That something is in train mode, as it is said of it."""
    return Finding(
        "mode",
        "note",
        seen,
        "it is called in eval mode, and left as it is: dropout and batch statistics have no part in what is certified",
        "model.eval()",
    )


def batch_norm(patient: Patient) -> Finding:
    """Whether there are layers that know no statistics but those of a batch."""
    found = [
        f"{name or 'the whole'} ({type(part).__name__})"
        for model in patient.models
        for name, part in model.named_modules()
        if isinstance(part, _BatchNorm) and part.running_mean is None
    ]
    if not found:
        some = any(isinstance(part, _BatchNorm) for model in patient.models for part in model.modules())
        return Finding("batch norm", "ok", "running statistics" if some else "none")
    seen = f"statistics of the batch, in eval mode too: {', '.join(found[:_SHOWN])}"
    if patient.batch_size == 1 or (comes_singly(patient.attribution) and patient.classifier is None):
        meaning = "one input is its own batch, as they are given singly (batch_size=1, or a map that is random)"
        return Finding("batch norm", "note", seen, meaning, "running statistics are what the model was trained with")
    return Finding(
        "batch norm",
        "problem",
        seen,
        "an input's map depends on its neighbours in the batch; certificates would be of no function of the input",
        "track_running_stats=True (and train or calibrate them), or batch_size=1",
    )


def _weights(model: nn.Module) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()]


def _word(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def processors() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
