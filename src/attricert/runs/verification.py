"""Checking somebody else's run: nothing in it is taken on trust that can be computed again."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow.parquet as pq

from attricert.certificates import Evidence
from attricert.certificates.legacy import UNKNOWN
from attricert.certificates.pieces import Cone
from attricert.datasets import Dataset
from attricert.errors import AttricertError
from attricert.report import COSINE, MAX_EPS
from attricert.runs.asked import Asked
from attricert.runs.code import is_code
from attricert.runs.config import Config, LoadedConfig
from attricert.runs.manifest import Manifest
from attricert.runs.results import certificates, stream, terms
from attricert.runs.rows import CERTIFIED, Row, Unit, evidence_of
from attricert.runs.store import CONFIG, RESULTS, Store
from attricert.runs.trust import refuse_other_code
from attricert.runs.work import Job, Worker, limited_threads
from attricert.streams import fresh_seed

__all__ = ["Check", "verify"]

_ERRORS = 6.0  # standard errors
_DRIFTS = 3.0  # by which the distances of two pilots' means from h may differ
_FEW = 8  # numbers that are shown
_SAME = 1e-9  # relative; other machines' special functions
_OLD = 1e-7  # relative; version 0.1 searched less far for the best multipliers of an interval
_AGAIN = 1e-4  # relative; the same draws on another kind of machine


@final
@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    Args:
        what: the thing.
        problems: what is wrong with it; empty if nothing is.
    """

    what: str
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(
    folder: Path,
    *,
    sample: int = 20,
    seed: int | None = None,
    trust_code: bool = False,
    on_message: Callable[[str], None] = lambda _: None,
) -> list[Check]:
    """Check a run.

    In order: config and manifest agree; model, code, data have the manifest's fingerprints; every row has its digest,
    and is there once; ``results.parquet`` follows from the evidence; some inputs, sampled again with the run's seed,
    give the same evidence, and with another seed evidence that agrees with it within Monte-Carlo error.

    Args:
        folder: the run.
        sample: how many certified inputs to sample again, chosen at random.
        seed: of that choice and of the other draws; None takes a fresh secret one.
        trust_code: run the code that the folder names, if its digest is the manifest's; without, the evidence alone is
            checked where there is such code.
        on_message: told what is being done.
    """
    store = Store.open(folder)
    chance = random.Random(fresh_seed() if seed is None else seed)
    checks: list[Check] = []

    def check(what: str, problems: Callable[[], Iterator[str]]) -> None:
        on_message(what)
        try:
            found = tuple(problems())
        except AttricertError as error:
            found = (str(error),)
        checks.append(Check(what, found))

    check("config", lambda: _config(store))
    runnable = _runnable(store, trust_code)
    if runnable:
        check("fingerprints of model, code and data", lambda: _fingerprints(store))
    check(
        f"digests of rows ({len(store.table(['position']))} of {store.manifest.inputs} inputs)", lambda: _digests(store)
    )
    check("certificates from evidence", lambda: _results(store))
    if not runnable:
        return checks
    again = min(sample, len(store.table(["position"])))
    check(f"{again} inputs sampled again, same seed", lambda: _again(store, again, chance, same=True))
    check(f"{again} inputs sampled again, other seeds", lambda: _again(store, again, chance, same=False))
    return checks


def _runnable(store: Store, trust_code: bool) -> bool:
    """Whether model and attribution may be loaded; sees that trusted code is what the run was made with."""
    config = store.manifest.config
    if not any(map(is_code, (config.model, config.attribution))):
        return True
    if trust_code:
        refuse_other_code(config, store.folder)
    return trust_code


def _config(store: Store) -> Iterator[str]:
    settings = {name: value for name, value in store.settings().items() if name not in Asked().to_dict()}
    written = Config.of({"model": "", "data": "", **settings}).to_dict()
    for name, value in store.manifest.config.to_dict().items():
        if written.get(name) != value:
            yield f"{CONFIG} has {name}: {written.get(name)!r}, the manifest {value!r}"


def _fingerprints(store: Store) -> Iterator[str]:
    now = Manifest.of(LoadedConfig.load(store.manifest.config), store.items())
    yield from store.manifest.differences(now)


def _digests(store: Store) -> Iterator[str]:
    run = store.manifest.digest
    ids = store.items().ids
    for row in stream(store):
        position, name = row.facts["position"], row.facts["id"]
        if row.digest(run) != row.facts["digest"]:
            yield f"{name}: its row, or the manifest, is not as it was written"
        elif not 0 <= position < len(ids) or ids[position] != name:
            yield f"{name}: is not input {position} of the data"


def _results(store: Store) -> Iterator[str]:
    path = store.folder / RESULTS
    if not path.exists():
        return
    table = pq.read_table(path)
    eps, cosine = (
        [float(name[len(start) :]) for name in table.column_names if name.startswith(start)]
        for start in (COSINE, MAX_EPS)
    )
    tops = {int(found[1]) for name in table.column_names if (found := re.match(r"top_(\d+)_", name))}
    again = certificates(store, Asked(tuple(eps), tuple(cosine), next(iter(tops), None)))
    if len(again) != len(table):
        yield f"{RESULTS} has {len(table)} rows, the evidence {len(again)}"
        return
    old = any(part.legacy for part in store.parts())
    known = terms(store)
    unread = (COSINE, MAX_EPS, "joint_") if known is not None and "moments" in known.ledger else ()
    for mine, theirs in zip(again, table.to_pylist(), strict=True):
        judged = theirs
        if old:
            # Version 0.1 had other names for some columns, and other words; the numbers that are shared must agree.
            shared = {name: value for name, value in theirs.items() if name in mine and not isinstance(value, str)}
            # Its higher moments are not read (CHANGELOG): what may rest on them cannot be judged.
            judged = {name: value for name, value in shared.items() if not name.startswith(unread)}
        rtol = _OLD if old else _SAME
        wrong = [name for name, value in judged.items() if not _same(value, mine.get(name), rtol)]
        if wrong:
            yield f"{RESULTS}, {theirs['id']}: {', '.join(wrong)} do not follow from the evidence"


def _same(one: Any, other: Any, rtol: float) -> bool:
    """Equal but for the last digits."""
    if one is None or other is None or isinstance(one, str):
        return bool(one == other)
    if np.shape(one) != np.shape(other):
        return False
    return np.allclose(np.asarray(one, float), np.asarray(other, float), rtol=rtol, atol=1e-12, equal_nan=True)


def _again(store: Store, sample: int, chance: random.Random, *, same: bool) -> Iterator[str]:
    manifest, items = store.manifest, store.items()
    positions = sorted(set(store.table(["position"])["position"].to_pylist()) & set(range(len(items))))
    chosen = set(chance.sample(positions, min(sample, len(positions))))
    other = manifest if same else manifest.with_seed(chance.getrandbits(62))
    with limited_threads(manifest.config.threads):
        known = terms(store)
        worker = Worker(Job(other.config, manifest.weights_sha256, 0.9, None if known is None else known.ledger))
        for row in stream(store, chosen):
            for problem in _sampled_again(row, items, worker, same=same):
                yield f"{row.facts['id']}: {problem}"


def _sampled_again(row: Row, items: Dataset, worker: Worker, *, same: bool) -> Iterator[str]:
    position, failed = int(row.facts["position"]), row.facts["status"] != CERTIFIED
    try:
        image, label = items[position]
    except AttricertError as error:
        if not failed:
            yield f"cannot be read ({error})"
        return
    now = worker.certify(Unit(position, str(row.facts["id"]), image, label), lambda _: None)
    if failed != (now.facts["status"] != CERTIFIED):
        then, found = (f"{facts['status']} ({facts['reason']})" for facts in (row.facts, now.facts))
        yield f"{then}, sampled again {found}"
    elif failed:
        return
    elif row.facts["input"] != now.facts["input"]:
        yield "is another image"
    else:
        yield from (_equal(row, now) if same else _agree(row, now))


def _equal(then: Row, now: Row) -> Iterator[str]:
    """With the same draws every number comes out again."""
    for name in ("prediction", "target", "outcome"):
        if then.facts.get(name) != now.facts.get(name):
            yield f"{name} is {then.facts.get(name)!r}, sampled again {now.facts.get(name)!r}"
    one, two = _evidence(then), _evidence(now)
    if one.terms != dataclasses.replace(two.terms, version=one.terms.version):
        yield f"terms are {one.terms}, sampled again {two.terms}"
    again = two.arrays()
    kept = {name: array for name, array in one.arrays().items() if not ("statement" in then.facts and name in UNKNOWN)}
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
    one, two = _evidence(then), _evidence(now)
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
        yield from _cones_agree(one.cone, two.cone, n)
    if one.prediction is not None and two.prediction is not None:
        mine, theirs = float(one.prediction.p_lower[0]), float(two.prediction.p_lower[0])
        same = one.prediction.label[0] == two.prediction.label[0]
        if same and abs(mine - theirs) > _ERRORS * np.sqrt(0.5 / n):
            yield f"p_lower is {mine:.6g}, with other draws {theirs:.6g}"


def _cones_agree(one: Cone, two: Cone, n: float) -> Iterator[str]:
    """Other pilots choose other regions, whose masses cannot be compared.

    But the distances of their means from h are of one order, and so is the variance where both stretch alike.
    """
    drift, again = float(one.drift[0]), float(two.drift[0])
    if drift < again / _DRIFTS:
        yield f"drift is {drift:.3g}, with other draws {again:.3g}"
    if one.stretch[0] == two.stretch[0]:
        mine, theirs = float(one.variance[0]), float(two.variance[0])
        largest = 1.0 + float(two.stretch[0]) ** 2
        if abs(mine - theirs) > _ERRORS * np.sqrt(2 * largest * theirs / n):
            yield f"variance inside is {mine:.6g}, with other draws {theirs:.6g}"


def _variance(evidence: Evidence) -> float:
    """At least that of u.g: at most lambda, and E (u.g)^2 - (u.h)^2 is at most M^2 - c^2."""
    rest = evidence.terms.max_norm**2 - float(evidence.norm.lower[0]) ** 2
    return rest if evidence.top_variance is None else min(rest, float(evidence.top_variance.upper[0]))


def _evidence(row: Row) -> Evidence:
    return evidence_of({name: [value] for name, value in row.facts.items()}, [row.arrays])
