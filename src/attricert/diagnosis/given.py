"""Looks at what is given: the range of the inputs, the noise, entries that are held fixed."""

from __future__ import annotations

from attricert.diagnosis.finding import Finding
from attricert.diagnosis.patient import Patient
from attricert.preprocessing import declared_range, range_fault
from attricert.rounding import short
from attricert.sampling import check_precision

__all__ = ["fixed", "input_range", "noise"]

_LEVELS = 255.0
_BRIGHT = 2.0  # images in [0, 1] do not get there, nor by resampling
_TENTH = 0.1


def input_range(patient: Patient) -> Finding:
    """What the inputs' values are, and what eps is then."""
    x = patient.inputs
    declared = declared_range(*patient.owners)
    seen = f"from {float(x.min()):.3g} to {float(x.max()):.3g}"
    seen += "" if declared is None else f"; declared: {declared[0]:g} to {declared[1]:g}"
    if said := range_fault(x, *patient.owners):
        if declared is None:
            way = "ac.Preprocessed(model, mean=, std=), and images as they are"
            return Finding("input range", "note", seen, said, way)
        return Finding("input range", "problem", seen, said, "give images in the declared range, or declare theirs")
    levels = declared is None and x.ndim == 4 and _BRIGHT < float(x.max()) <= _LEVELS and float(x.min()) >= 0
    units = patient.units_for((0.0, _LEVELS) if levels else declared or (0.0, 1.0))
    if levels:
        return Finding(
            "input range",
            "note",
            seen,
            f"8-bit levels, it seems: eps is in these, 255 times as large as in [0, 1]; {units.note(_TENTH * _LEVELS)}",
            "inputs / 255, if the model takes images in [0, 1]; else choose noise and eps in levels",
        )
    low, high = units.data_range
    return Finding("input range", "ok", seen, units.note(float(f"{_TENTH * (high - low):.2g}")))


def noise(patient: Patient) -> Finding:
    """Whether it is neither lost to rounding nor out of proportion."""
    free = patient.free
    check_precision(free.take(patient.inputs[0])[None], patient.sampler.noise)
    a_value = patient.sampler.noise.deviation(free.dimension)
    spread = patient.deviation
    share = "" if spread == 0 else f", {short(a_value / spread, 'nearest', 2)} of the inputs' standard deviation"
    seen = f"{patient.sampler.noise}: {short(a_value, 'nearest')} a value{share}"
    if patient.assumed:
        return Finding("noise", "ok", seen, "chosen here, as none was given; attricert plan tries several")
    if spread > 0 and a_value > 2 * spread:
        meaning = "more noise than input: the smoothed model may predict one class whatever the input"
        return Finding("noise", "note", seen, meaning, "attricert plan says which noise keeps the classes")
    return Finding("noise", "ok", seen)


def fixed(patient: Patient) -> Finding:
    """How many entries get no noise."""
    held = patient.sampler.fixed
    free = patient.free.dimension
    if held is None:
        return Finding("fixed entries", "ok", f"none of {free:,}")
    meaning = "they get no noise, and certificates hold for changes of the others alone"
    return Finding("fixed entries", "ok", f"{held.count:,} of {held.count + free:,}", meaning)
