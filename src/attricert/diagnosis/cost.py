"""What draws take here, measured."""

from __future__ import annotations

import time

from attricert.diagnosis.finding import Cost, Finding
from attricert.diagnosis.patient import Patient
from attricert.diagnosis.tuning import Rate, tuned

__all__ = ["duration", "duration_told", "memory", "memory_told", "speed"]

_PROBE = 2
_WARM, _MOST = 8, 2_048  # draws
_SECONDS = 1.0  # for draws that are timed, and as much for ways to compute them
_MEASUREMENTS = 12  # of ways to compute: some four ways, each a few times
_MEBIBYTE = 2**20
_LONG = 600.0  # seconds an input


def memory(patient: Patient) -> tuple[int, int]:
    """Bytes a draw, and the batch size that follows."""
    sampler, x = patient.shaped, patient.inputs[0]
    found = sampler.bytes_per_draw(x, patient.target, patient.stream, 1 if patient.single else _PROBE)
    return found, sampler.batch.choose(lambda: found, x.device)


def memory_told(found: tuple[int, int], fixed: int | None, *, single: bool) -> Finding:
    """In words."""
    a_draw, size = found
    seen = f"{a_draw / _MEBIBYTE:.3g} MiB a draw; batches of {size}"
    if fixed is not None:
        return Finding("memory", "ok", seen, f"as batch_size is given: some {a_draw * size / _MEBIBYTE:,.0f} MiB")
    if size == 1 and not single:
        meaning = "a single draw fills the budget: each goes alone, which is slow"
        return Finding("memory", "note", seen, meaning, "memory_budget= in bytes, if there is more; or another device")
    return Finding("memory", "ok", seen, f"some {a_draw * size / _MEBIBYTE:,.0f} MiB at once")


def duration(patient: Patient) -> float:
    """Seconds a draw, of as many as a second or two allow."""
    _timed(patient, 0, 1)  # what is only done once
    first = _timed(patient, 1, 1 + _WARM) / _WARM
    n = min(_MOST, int(_SECONDS / max(first, 1e-9)))
    return first if n <= _WARM else _timed(patient, 1 + _WARM, 1 + _WARM + n) / n


def duration_told(cost: Cost) -> Finding:
    """In words."""
    a_draw, whole = cost.seconds_a_draw or 0.0, cost.seconds_an_input or 0.0
    seen = f"{1000 * a_draw:.3g} ms a draw, {whole:.3g} s for the {cost.n_samples:,} of an input"
    if whole > _LONG:
        way = "a GPU (--device cuda), --workers, fewer --n_samples, or --stop_eps and --stop_cosine"
        return Finding("time", "note", seen, "long, for each input", way)
    return Finding("time", "ok", seen, "what is proven from the draws adds some")


def speed(patient: Patient, seconds_a_draw: float) -> Finding:
    """In which order channels lie in memory, and what threads do, measured: a second, however slow they are."""
    sampler, most = patient.shaped, max(1, int(_SECONDS / _MEASUREMENTS / max(seconds_a_draw, 1e-9)))
    found = tuned(sampler, patient.inputs[0], patient.target, seconds=_SECONDS, sizes=(), most=most)
    present = found.rates[0].draws_a_second
    last = bool(sampler.channels_last)
    order = "channels last in memory" if last else "copies as they come"
    others = [f"{present / rate.draws_a_second:.2g} x {_otherwise(rate, last=last)}" for rate in found.rates[1:]]
    seen = f"{order}: {', '.join([f'{present:.3g} draws a second', *others])}"
    if found.workers > 1:
        meaning = (
            f"{found.workers} processes of one thread would do about {found.workers_gain:.2g} x as much as this one"
        )
        return Finding(
            "speed", "ok", seen, meaning, f"--workers {found.workers} for many inputs; ac.tune measures more"
        )
    return Finding("speed", "ok", seen, "ac.tune measures batch sizes and compiling, too")


def _otherwise(rate: Rate, *, last: bool) -> str:
    threads = rate.compute.threads
    if threads is not None:
        return f"{threads} thread{'' if threads == 1 else 's'}"
    return "channels first" if last else "channels last"


def _timed(patient: Patient, start: int, stop: int) -> float:
    begin = time.perf_counter()
    for _ in patient.shaped.draws(patient.inputs[0], patient.target, patient.stream, start, stop):
        pass
    return time.perf_counter() - begin
