"""Checking somebody else's run: nothing in it is taken on trust that can be computed again."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa

from attricert import checks
from attricert._version import __version__
from attricert.attributions import autocast_of, is_nonnegative
from attricert.certificates import Terms
from attricert.datasets import Dataset, Form
from attricert.errors import ArgumentError, AttricertError, IntegrityError, UnavailableError
from attricert.report import COSINE, MAX_EPS
from attricert.report.share_claims import SHARES, shares_from_json
from attricert.runs.asked import Asked
from attricert.runs.config import Config
from attricert.runs.inputs import first_unit
from attricert.runs.loaded import LoadedConfig
from attricert.runs.loading import load_array
from attricert.runs.manifest import code_fingerprint, model_digest
from attricert.runs.objects import Objects
from attricert.runs.parts import read_table
from attricert.runs.resampling import sampled_again
from attricert.runs.results import certificates, shares, stream
from attricert.runs.rows import CERTIFIED, evidence_of_rows
from attricert.runs.store import CONFIG, RESULTS, Store
from attricert.runs.trust import code_files
from attricert.runs.work import Job, Worker, limited_threads
from attricert.streams import fresh_seed, sample_key

__all__ = ["Check", "verify"]

_KNOWN = ("id", "status", "input", "label")  # of each row
_SAME = 1e-9  # relative; other machines' special functions
_OLD = 1e-7  # relative; version 0.1 searched less far for the best multipliers of an interval


@final
@dataclass(frozen=True)
class Check:
    """One thing that was to be checked.

    Args:
        what: the thing.
        problems: what is wrong with it; empty if nothing is.
        unchecked: why it could not be checked; empty if it was.
        skipped: why it was left out, as was asked for; empty if it was not.
    """

    what: str
    problems: tuple[str, ...] = ()
    unchecked: str = ""
    skipped: str = ""

    @property
    def state(self) -> str:
        """``"passed"``, ``"mismatch"``, ``"unchecked"`` or ``"skipped"``."""
        if self.problems:
            return "mismatch"
        return "unchecked" if self.unchecked else "skipped" if self.skipped else "passed"

    @property
    def passed(self) -> bool:
        """Whether it was checked, and nothing is wrong."""
        return self.state == "passed"


def verify(
    folder: str | Path,
    *,
    sample: int = 20,
    seed: int | None = None,
    trust_code: bool = False,
    model: Any = None,
    data: Any = None,
    attribution: Any = None,
    on_message: Callable[[str], None] = lambda _: None,
) -> list[Check]:
    """Check a run; whatever is wrong with one thing, the others are checked too.

    First the evidence alone: no file is a link, config and manifest agree, every row has its digest and can be, every
    input has a row, ``results.parquet`` follows from the rows. Then what needs the data: its fingerprint, and the name
    and the image of every row. Then what needs the code: its fingerprint, taken without running it, the model's
    weights, and some inputs sampled again: with the run's seed they give the same evidence, and with another seed
    evidence that agrees with it within Monte-Carlo error.

    Args:
        folder: the run.
        sample: how many certified inputs to sample again, chosen at random.
        seed: of that choice and of the other draws; None takes a fresh secret one.
        trust_code: run the user's own code (path.py:factory) that the manifest names, if its fingerprint is right.
        model: that of a run that `certify` was given it for, as it is.
        data: likewise.
        attribution: likewise.
        on_message: told what is being done.

    Raises:
        ArgumentError: there is no run.
    """
    checks.count("sample", sample, 0)
    checks.flag("trust_code", trust_code)
    try:
        store = Store.open(folder)
    except IntegrityError as error:
        rest = Check("rows, data, code and model", unchecked="the manifest cannot be read")
        return [Check("manifest", (str(error),)), rest]
    return list(
        _Checking(
            store,
            sample,
            random.Random(fresh_seed() if seed is None else seed),
            trust_code,
            Objects.of(model=model, data=data, attribution=attribution)[0],
        ).run(on_message)
    )


class _SkippedError(Exception):
    """Something is left out, as was asked for."""


class _UncheckedError(Exception):
    """Something cannot be checked here."""


@final
class _Checking:
    """What is known while a run is checked."""

    def __init__(self, store: Store, sample: int, chance: random.Random, trust_code: bool, objects: Objects) -> None:
        self._store, self._sample, self._chance, self._trusted = store, sample, chance, trust_code
        self._objects = objects
        self._rows: dict[int, Mapping[str, Any]] = {}
        self._damage: list[str] = []
        self._terms: Terms | None = None
        self._legacy = False
        self._own = store.manifest.config.own_code()

    def run(self, on_message: Callable[[str], None]) -> Iterator[Check]:
        """One check after another."""
        here: list[tuple[str, Callable[[], Iterator[str]]]] = [
            ("files of the folder", self._store.special),
            ("config", self._config),
            ("digests of rows", self._digests),
            ("every input has a row", self._complete),
            ("certificates from evidence", self._results),
        ]
        sample = min(self._sample, self._store.manifest.inputs)
        elsewhere: list[tuple[str, Callable[[], Iterator[str]]]] = [
            ("data", self._data),
            ("code", self._code),
            ("model", self._model),
            (f"{sample} inputs sampled again, same seed", lambda: self._again(same=True)),
            (f"{sample} inputs sampled again, other seeds", lambda: self._again(same=False)),
        ]
        for what, problems in here:
            on_message(what)
            yield _check(what, problems, ())
        for what, problems in elsewhere:
            on_message(what)
            yield _check(what, problems, (_UncheckedError, ArgumentError, UnavailableError, OSError))

    def _config(self) -> Iterator[str]:
        self._store.asked()
        settings = {name: value for name, value in self._store.settings().items() if name not in Asked().to_dict()}
        written = Config.of({"model": "", "data": "", **settings}).to_dict()
        for name, value in self._store.manifest.config.to_dict().items():
            if written.get(name) != value:
                yield f"{CONFIG} has {name}: {written.get(name)!r}, the manifest {value!r}"

    def _digests(self) -> Iterator[str]:
        for row in stream(self._store, problems=self._damage):
            self._rows[row.facts["position"]] = {name: row.facts.get(name) for name in _KNOWN}
            self._legacy |= row.legacy
            if self._terms is None and row.facts["status"] == CERTIFIED:
                self._terms = evidence_of_rows([row]).terms
        yield from self._damage

    def _complete(self) -> Iterator[str]:
        inputs = self._store.manifest.inputs
        if missing := inputs - len(self._rows):
            yield f"{missing} of {inputs} inputs have no row" + (", or none that can be read" if self._damage else "")

    def _results(self) -> Iterator[str]:
        path = self._store.folder / RESULTS
        if not os.path.lexists(path):
            return
        table = read_table(path, self._store.manifest.inputs)
        fields = [(field.name, field.type) for field in table.schema]
        if len(dict(fields)) < len(fields) or ("id", pa.string()) not in fields:
            yield f"{path}: does not have the columns of results"
            return
        again = {row["id"]: row for row in certificates(self._store, _asked(table, path), problems=[])}
        if len(again) != len(table) and not self._damage:
            yield f"{RESULTS} has {len(table)} rows, the evidence {len(again)}"
            return
        old, ledger = self._legacy, None if self._terms is None else self._terms.ledger
        unread = (COSINE, MAX_EPS, "joint_") if ledger is not None and "moments" in ledger else ()
        for theirs in table.to_pylist():
            mine = again.get(theirs["id"], {})
            if not mine and self._damage:
                continue
            judged = {**dict.fromkeys(mine), **theirs}
            if old:
                # Version 0.1 had other names for some columns, and other words; the numbers that are shared must agree.
                shared = {name: value for name, value in theirs.items() if name in mine and not isinstance(value, str)}
                # Its higher moments are not read (CHANGELOG): what may rest on them cannot be judged.
                judged = {name: value for name, value in shared.items() if not name.startswith(unread)}
            rtol = _OLD if old else _SAME
            wrong = [name for name, value in judged.items() if not _same(value, mine.get(name), rtol)]
            if wrong:
                yield f"{RESULTS}, {theirs['id']}: {', '.join(wrong)} do not follow from the evidence"
        if not old and not self._damage:
            yield from self._shares(table, list(again.values()))

    def _shares(self, table: pa.Table, again: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        """What the results say of the source; those of earlier versions do not speak of it."""
        text = (table.schema.metadata or {}).get(SHARES.encode())
        if text is None:
            return
        try:
            theirs = shares_from_json(text.decode())
        except ValueError as error:
            yield f"{RESULTS}, {SHARES}: cannot be read ({error})"
            return
        mine = shares(self._store, again)
        pairs = zip(theirs, mine, strict=False)
        if len(theirs) != len(mine) or not all(_same(astuple(one), astuple(other), _SAME) for one, other in pairs):
            yield f"{RESULTS}, {SHARES} do not follow from the evidence"

    def _items(self) -> Dataset:
        self._may_run("data")
        return self._store.items(self._objects, trust_code=True)

    def _data(self) -> Iterator[str]:
        manifest, items = self._store.manifest, self._items()
        if len(items) != manifest.inputs:
            yield f"inputs: {manifest.inputs!r} -> {len(items)!r}"
        survey = items.survey()
        if (now := survey.sha256) != manifest.data_sha256:
            yield f"data_sha256: {manifest.data_sha256!r} -> {now!r}"
        elif not _same_form(manifest.data_form, survey.form):
            yield f"data_form: {manifest.data_form.to_dict()!r} -> {survey.form.to_dict()!r}"
        ids = items.ids
        for position, row in sorted(self._rows.items()):
            if position >= len(ids) or ids[position] != row["id"]:
                yield f"{row['id']}: is not input {position} of the data"
            elif row["status"] == CERTIFIED:
                yield from (f"{row['id']}: {problem}" for problem in _image(items, position, row))

    def _code(self) -> Iterator[str]:
        manifest = self._store.manifest
        if manifest.version != __version__:
            yield f"version: {manifest.version!r} -> {__version__!r}"
        try:
            now = self._code_now
        except ArgumentError as error:
            if self._own and not self._trusted:  # its file need not be here: nobody asked for it
                raise _SkippedError(str(error)) from None
            raise
        if now != manifest.code_sha256:
            yield f"code_sha256: {manifest.code_sha256!r} -> {now!r}"

    @cached_property
    def _code_now(self) -> str:
        config = self._store.manifest.config
        return code_fingerprint(config, load_array("functionals", config.functionals))

    def _model(self) -> Iterator[str]:
        self._may_run("model", "attribution")
        manifest = self._store.manifest
        setting = LoadedConfig.load(manifest.config, objects=self._objects)
        if (now := model_digest(setting.model)) != manifest.weights_sha256:
            yield f"weights_sha256: {manifest.weights_sha256!r} -> {now!r}"
        nonnegative = is_nonnegative(setting.attribution)
        if self._terms is not None and self._terms.nonnegative != nonnegative:
            yield f"nonnegative: {self._terms.nonnegative!r} -> {nonnegative!r}"
        autocast = autocast_of(setting.attribution, setting.classifier)
        if self._terms is not None and self._terms.autocast != autocast:
            yield f"autocast: {self._terms.autocast!r} -> {autocast!r}"

    def _may_run(self, *settings: str) -> None:
        """Whether the code that these settings name may be run."""
        own = list(dict.fromkeys(self._own[setting] for setting in settings if setting in self._own))
        if own and not self._trusted:
            raise _SkippedError(f"needs --trust-code ({', '.join(map(_named, own))})")
        if own and self._code_now != self._store.manifest.code_sha256:
            raise _UncheckedError("the code is not the run's")

    def _again(self, *, same: bool) -> Iterator[str]:
        self._may_run("model", "attribution", "data")
        manifest, items = self._store.manifest, self._items()
        positions = sorted(set(self._rows) & set(range(len(items))))
        chosen = set(self._chance.sample(positions, min(self._sample, len(positions))))
        other = manifest if same else manifest.with_seed(self._chance.getrandbits(62))
        with limited_threads(manifest.config.threads):
            job = Job(other.config, manifest.weights_sha256, manifest.code_sha256, 0.9, self._terms, self._objects)
            worker, first = Worker(job), first_unit(items)
            shape = None if first is None else tuple(first.image.shape)
            for row in stream(self._store, chosen, problems=[]):
                for problem in sampled_again(row, items, shape, worker, same=same):
                    yield f"{row.facts['id']}: {problem}"


def _named(code: str) -> str:
    """Its files with their digests, where they are here."""
    try:
        return "; ".join(f"{path}, SHA-256 {digest}" for path, digest in code_files([code]).items())
    except ArgumentError:
        return f"{code}, which is not here"


def _check(what: str, problems: Callable[[], Iterator[str]], unavailable: tuple[type[Exception], ...]) -> Check:
    found: list[str] = []
    try:
        for problem in problems():
            found.append(problem)
    except _SkippedError as error:
        return Check(what, tuple(found), skipped=str(error))
    except unavailable as error:
        return Check(what, tuple(found), unchecked=str(error))
    except AttricertError as error:
        found.append(str(error))
    except Exception as error:  # of what a forged config names, or a user's model: it ends this check, not the others
        found.append(f"{type(error).__name__}: {error}")
    return Check(what, tuple(found))


def _asked(table: pa.Table, path: Path) -> Asked:
    """What results were computed for, from the names of their columns."""
    try:
        eps, cosine = (
            [float(name[len(start) :]) for name in table.column_names if name.startswith(start)]
            for start in (COSINE, MAX_EPS)
        )
        tops = {int(found[1]) for name in table.column_names if (found := re.match(r"top_(\d+)_", name))}
        return Asked(tuple(eps), tuple(cosine), next(iter(tops), None))
    except ValueError as error:
        raise IntegrityError(f"{path}: does not have the columns of results ({error})") from None


def _image(items: Dataset, position: int, row: Mapping[str, Any]) -> Iterator[str]:
    try:
        image, label = items[position]
    except AttricertError as error:
        yield f"cannot be read ({error})"
        return
    if sample_key(image) != row["input"]:
        yield "is another input"
    if label != row["label"]:
        yield f"its label is {label}, not {row['label']}"


def _same_form(one: Form, other: Form) -> bool:
    """Equal but for the last digits of deviations, and for what the attribution adds."""
    if one.free:
        other = replace(other, free=one.free, names=other.names or one.names)
    alike = replace(one, deviations=()) == replace(other, deviations=())
    return alike and _same(one.deviations, other.deviations, _SAME)


def _same(one: Any, other: Any, rtol: float) -> bool:
    """Equal but for the last digits."""
    if one is None or other is None or isinstance(one, str):
        return bool(one == other)
    try:
        a, b = np.asarray(one, float), np.asarray(other, float)
    except (TypeError, ValueError):
        return False
    return a.shape == b.shape and np.allclose(a, b, rtol=rtol, atol=1e-12, equal_nan=True)
