"""What a worker does: load once, then certify one input after another, whatever an input does to the model."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import final

import threadpoolctl
import torch

from attricert.certificates import Certificate, Terms
from attricert.errors import (
    ArgumentError,
    AttributionWarning,
    CallError,
    InPlaceWarning,
    IntegrityError,
    ModelModeWarning,
    OutputWarning,
    RangeWarning,
    ZeroMapsWarning,
)
from attricert.options import Options
from attricert.runs.asked import Asked
from attricert.runs.config import Config
from attricert.runs.loaded import LoadedConfig
from attricert.runs.loading import load_array
from attricert.runs.manifest import code_fingerprint, model_digest
from attricert.runs.objects import NOTHING, Objects
from attricert.runs.rows import Row, Unit
from attricert.text import told

__all__ = ["SAID", "InputCallback", "Job", "Note", "Progress", "Worker", "dry_run", "limited_threads"]

SAID = (InPlaceWarning, OutputWarning, RangeWarning, ZeroMapsWarning)
"""What a dry run warns of."""

_DRY_RUN = 100  # samples
_LOOK_SECONDS, _LOOK_SHARE = 1.0, 0.02  # at most so often, and so much of the time, progress is looked at


@final
@dataclass(frozen=True)
class Job:
    """What a worker needs to begin; can be sent to another machine.

    Args:
        config: seed included.
        weights: fingerprint that the worker's own copy of the model must have.
        code: and its copy of the user's own code, before it is run.
        cosine: threshold whose certified eps is shown as draws come in.
        terms: of rows of this run, where there are any: what is proven, at which shares of alpha.
        objects: model and attribution as they are, where the config does not name them: for this process alone.
    """

    config: Config
    weights: str
    code: str
    cosine: float
    terms: Terms | None = None
    objects: Objects = NOTHING


@final
@dataclass(frozen=True)
class Progress:
    """How far an input is.

    Args:
        id: the input.
        draws: noisy copies done.
        max_eps: certified so far, if the draws so far were all.
    """

    id: str
    draws: int
    max_eps: float


@final
@dataclass(frozen=True)
class Note:
    """Something that people should know, in an executor's words.

    Args:
        text: a line.
    """

    text: str


DrawsCallback = Callable[[int, Callable[[], Certificate]], None]

InputCallback = Callable[[Progress | Note], None]
"""Told how far an input is, and what people should know."""


@final
class Worker:
    """Certifies one input at a time."""

    def __init__(self, job: Job, device: str | None = None) -> None:
        self._job = job
        self._looked, self._look_seconds = time.monotonic(), 0.0  # when progress was looked at, and how long it took
        code = code_fingerprint(job.config, load_array("functionals", job.config.functionals))
        if code != job.code:
            raise IntegrityError(
                f"{job.config.model}: a worker's copy of the code has {code}, the run's has {job.code}"
            )
        with warnings.catch_warnings():
            for said in (ModelModeWarning, RangeWarning):  # who started the run has been told
                warnings.simplefilter("ignore", said)
            self._setting = LoadedConfig.load(job.config, device, job.objects)
        found = model_digest(self._setting.model)
        if found != job.weights:
            text = f"a worker's copy has SHA-256 {found}, the run's has {job.weights}"
            raise IntegrityError(f"{job.config.model}: {text}; a factory must always give the same weights")

    def certify(self, unit: Unit, on_progress: InputCallback) -> Row:
        """The input's row; an exception of model or attribution becomes part of it."""
        try:
            with warnings.catch_warnings():
                for said in (AttributionWarning, ModelModeWarning, *SAID):  # by the row, or before the run
                    warnings.simplefilter("ignore", said)
                return _certified(
                    self._setting,
                    unit,
                    self._job.config.options(),
                    self._job.terms,
                    self._throttled(unit, on_progress),
                )
        except KeyboardInterrupt:
            raise
        except CallError as error:  # which says what was raised
            return Row.failed(unit.position, unit.id, str(error))
        except BaseException as error:  # sys.exit too
            return Row.failed(unit.position, unit.id, told(error))

    def _throttled(self, unit: Unit, on_progress: InputCallback) -> DrawsCallback:
        """A look takes eigenvalues: not too often, and over all inputs, as many of them may be quick."""

        def look(draws: int, so_far: Callable[[], Certificate]) -> None:
            start = time.monotonic()
            if start - self._looked >= max(_LOOK_SECONDS, self._look_seconds / _LOOK_SHARE):
                on_progress(Progress(unit.id, draws, float(so_far().max_eps(self._job.cosine)[0])))
                self._looked = time.monotonic()
                self._look_seconds = self._looked - start

        return look


def dry_run(setting: LoadedConfig, unit: Unit, asked: Asked) -> None:
    """Certify one input from a few samples, for the complaints about arguments; nothing else matters here."""
    try:
        with _said_once(*SAID):
            options = setting.config.options()
            options = replace(options, n_samples=min(options.n_samples, _DRY_RUN))
            plain = replace(setting, config=replace(setting.config, compile=False))  # which would take too long
            row = _certified(plain, unit, options, None, None)
        asked.top(Terms.from_json(row.facts["terms"]).map_entries)
    except (ArgumentError, KeyboardInterrupt):
        raise
    except BaseException:  # trouble of this input's own: its row will say so
        return


@contextlib.contextmanager
def _said_once(*kinds: type[Warning]) -> Iterator[None]:
    """Of the library's warnings these alone, and each once, however many calls they come from."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("ignore", AttributionWarning)
        for kind in kinds:
            warnings.simplefilter("always", kind)
        try:
            yield
        finally:
            texts = {str(one.message): one.category for one in found}
    for text, category in texts.items():
        warnings.warn(text, category, stacklevel=3)


def _certified(
    setting: LoadedConfig, unit: Unit, options: Options, like: Terms | None, on_draws: DrawsCallback | None
) -> Row:
    c = setting.config
    images = setting.inputs(unit.image[None])
    predicted = setting.predicted(images)
    target = setting.target(torch.tensor([unit.label]), predicted)
    keep = c.maps == "keep"
    smoothed = setting.smoothed()
    if options.prove is None and not keep:
        proven = options.proven(classifier=smoothed.classifier is not None)
        options = replace(options, prove=tuple(name for name in proven if name != "entries"))
    certificate = smoothed.certify_with(
        options,
        images,
        target,
        functionals=setting.functionals,
        sample_ids=[unit.id],
        on_draws=on_draws,
        like=like,
    )
    explained = -1 if target is None else int(target[0])
    return Row.certified(unit, int(predicted[0]), explained, certificate, keep=keep)


@contextlib.contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """So many for torch and for linear algebra alike."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with threadpoolctl.threadpool_limits(limits=threads):
            yield
    finally:
        torch.set_num_threads(before)
