"""Inputs sampled again: whether a row's evidence comes out with the same draws, and agrees with that of other draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from attricert.certificates import Evidence
from attricert.certificates.legacy import UNKNOWN
from attricert.certificates.pieces import Cone
from attricert.datasets import Dataset
from attricert.runs.inputs import units
from attricert.runs.rows import CERTIFIED, EXPLAINED, Row, evidence_of_rows
from attricert.runs.work import Worker

__all__ = ["sampled_again"]

_ERRORS = 6.0  # standard errors
_DRIFTS = 3.0  # by which the distances of two pilots' means from h may differ
_FEW = 8  # numbers that are shown
_AGAIN = 1e-4  # relative; the same draws on another kind of machine


def sampled_again(
    row: Row, items: Dataset, shape: tuple[int, ...] | None, worker: Worker, *, same: bool
) -> Iterator[str]:
    """What differs when the row's input is sampled once more: by the same seed, or by another one.

    Args:
        row: as it is stored.
        items: the run's data.
        shape: that of the first input that can be read; None where none can be.
        worker: who samples.
        same: whether by the run's seed.
    """
    position, failed = int(row.facts["position"]), row.facts["status"] != CERTIFIED
    (unit,) = units(items, [position], shape)
    if isinstance(unit, Row):
        if not failed:
            yield f"cannot be read ({unit.facts['reason']})"
        return
    now = worker.certify(dataclasses.replace(unit, id=str(row.facts["id"])), lambda _: None)
    if failed != (now.facts["status"] != CERTIFIED):
        then, found = (f"{facts['status']} ({facts['reason']})" for facts in (row.facts, now.facts))
        yield f"{then}, sampled again {found}"
    elif failed:
        return
    elif row.facts["input"] != now.facts["input"]:
        yield "is another input"
    else:
        yield from (_equal(row, now) if same else _agree(row, now))


def _equal(then: Row, now: Row) -> Iterator[str]:
    """With the same draws every number comes out again."""
    for name in ("prediction", "target", "outcome"):
        if then.facts.get(name) != now.facts.get(name):
            yield f"{name} is {then.facts.get(name)!r}, sampled again {now.facts.get(name)!r}"
    one, two = evidence_of_rows([then]), evidence_of_rows([now])
    if one.terms != dataclasses.replace(two.terms, version=one.terms.version):
        yield f"terms are {one.terms}, sampled again {two.terms}"
    again = two.arrays()
    kept = {name: array for name, array in one.arrays().items() if not (then.legacy and name in UNKNOWN)}
    lately = set() if then.tells_class else {EXPLAINED}  # its target, which was compared, says the same
    for name in () if then.legacy else sorted(set(again) - set(kept) - lately):
        yield f"{name} is not there, sampled again it is"
    for name, array in kept.items():
        if name not in again or not _close(array, again[name]):
            found = again.get(name, "nothing")
            few = array.size <= _FEW
            text = f"is {array!r}, sampled again {found!r}" if few else "comes out differently, sampled again"
            yield f"{name} {text}"


def _close(one: Any, other: Any) -> bool:
    if other is None or np.shape(one) != np.shape(other):
        return False
    a, b = np.asarray(one, float), np.asarray(other, float)
    scale = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
    return np.allclose(a, b, rtol=_AGAIN, atol=_AGAIN * scale, equal_nan=True)


def _agree(then: Row, now: Row) -> Iterator[str]:
    """Draws of another seed give other numbers, but none that chance does not explain.

    Bounds that two samples of equal size give for the same quantity differ by no more than the means they come from do,
    or hardly; these by a few standard errors.
    """
    for name in ("prediction", "target"):
        if then.facts[name] != now.facts[name]:
            yield f"{name} is {then.facts[name]}, sampled again {now.facts[name]}"
    one, two = evidence_of_rows([then]), evidence_of_rows([now])
    n = float(min(one.sampling.n_samples[0], two.sampling.n_samples[0])) / (2 if one.terms.antithetic else 1)
    error = np.sqrt(2 * _variance(two) / n)  # from what was sampled now: the other is what is being judged
    c, again = float(one.norm.lower[0]), float(two.norm.lower[0])
    if abs(c - again) > _ERRORS * error:
        apart = abs(c - again) / error
        yield f"norm is {c:.6g}, with other draws {again:.6g}: {apart:.1f} standard errors apart"
    if one.top_variance is not None and two.top_variance is not None:
        # (v.(g - m))^2 is at most B^2, and its mean at most the top variance.
        mine, theirs = float(one.top_variance.upper[0]), float(two.top_variance.upper[0])
        error = float(two.top_variance.max_deviation[0]) * np.sqrt(2 * theirs / n)
        if abs(mine - theirs) > _ERRORS * error:
            yield f"top_variance is {mine:.6g}, with other draws {theirs:.6g}"
    if one.cone is not None and two.cone is not None:
        yield from _cones_agree(one.cone, two.cone, n, one.terms.max_norm)
    if one.prediction is not None and two.prediction is not None:
        mine, theirs = float(one.prediction.p_lower[0]), float(two.prediction.p_lower[0])
        same = one.prediction.label[0] == two.prediction.label[0]
        if same and abs(mine - theirs) > _ERRORS * np.sqrt(0.5 / n):
            yield f"p_lower is {mine:.6g}, with other draws {theirs:.6g}"


def _cones_agree(one: Cone, two: Cone, n: float, max_norm: float) -> Iterator[str]:
    """Other pilots choose other regions, whose masses cannot be compared.

    But the distances of their means from h are of one order, and so is the variance where both stretch alike.
    """
    drift, again = float(one.drift[0]), float(two.drift[0])
    if drift < again / _DRIFTS:
        yield f"drift is {drift:.3g}, with other draws {again:.3g}"
    if one.stretch[0] == two.stretch[0]:
        mine, theirs = float(one.variance[0]), float(two.variance[0])
        largest = (1.0 + float(two.stretch[0]) ** 2) * max_norm**2
        if abs(mine - theirs) > _ERRORS * np.sqrt(2 * largest * theirs / n):
            yield f"variance inside is {mine:.6g}, with other draws {theirs:.6g}"


def _variance(evidence: Evidence) -> float:
    """At least that of u.g: at most lambda, and E (u.g)^2 - (u.h)^2 is at most M^2 - c^2."""
    rest = evidence.terms.max_norm**2 - float(evidence.norm.lower[0]) ** 2
    return rest if evidence.top_variance is None else min(rest, float(evidence.top_variance.upper[0]))
