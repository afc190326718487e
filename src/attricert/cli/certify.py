"""Certify the explanations of a model on a slice of data; goes on where it was stopped."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from jsonargparse import ArgumentParser

from attricert import checks, runs
from attricert.cli.arguments import add_options
from attricert.cli.containing import contained
from attricert.cli.display import displaying
from attricert.cli.going_on import command, resumable
from attricert.cli.output import exit_code, say, show, show_json, show_run
from attricert.cli.pictures import PICTURES, leave_pictures
from attricert.cli.trust import permit
from attricert.errors import ArgumentError
from attricert.runs.results import positions

__all__ = ["Options", "configure", "run"]

_ASKED = ("eps", "cosine", "top_k")


@final
@dataclass(frozen=True)
class Options:
    """Where the work is done, and what is shown of it.

    Args:
        out: folder of the run. One that holds a part of the same run is gone on with; given alone, it says what of.
        workers: processes (or Ray actors) that work at the same time, each with a model of its own.
        ray: work on a Ray cluster: auto, ray://HOST:10001, or local (needs the extra ray).
        shard: i/N, only every N-th input from the i-th (from 0) on, for arrays of jobs that share the folder.
        retry_failed: try inputs again that have failed before.
        input_timeout: seconds that an input may take; one that takes longer fails, whatever its model is doing, and the
            others are certified. Work is then done in processes, with one worker too; not with --ray.
        eps: l2 sizes at which to report the certified cosine.
        cosine: thresholds at which to report the largest certified eps.
        top_k: size of the top set whose overlap is certified; by default a tenth of the features.
        pictures: of how many inputs to leave a picture beside the results, in pictures.png: the first that are
            certified, at the first of the asked sizes; 0 for none. Needs --out, and maps that are kept.
        trust_code: run code that a folder or a --config file names, after showing its path and SHA-256, and for a
            folder only if it is what the run was made with; code that is typed as --model or --attribution needs none.
        json: print JSON instead of a table.
    """

    out: str | None = None
    workers: int = 1
    ray: str | None = None
    shard: str | None = None
    retry_failed: bool = False
    input_timeout: float | None = None
    eps: tuple[float, ...] = (0.02, 0.05, 0.1)
    cosine: tuple[float, ...] = (0.8, 0.9)
    top_k: int | None = None
    pictures: int = 8
    trust_code: bool = False
    json: bool = False


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, runs.Config, optional=("model", "data"))
    add_options(parser, Options)
    # Settings of version 0.1: its config files are still read (`runs.Config.of` knows what they mean).
    hidden: dict[str, Any] = {"help": argparse.SUPPRESS, "default": argparse.SUPPRESS}
    parser.add_argument("--moments", type=int, nargs="+", **hidden)
    parser.add_argument("--skip_label", type=bool, **hidden)
    parser.add_argument("--stop_when", type=list[float] | None, **hidden)


def run(**values: Any) -> int:
    """Certify, store, print; 1 if an input failed."""
    names = {field.name for field in dataclasses.fields(Options)}
    here = {name: value for name, value in values.items() if name in names}
    options = Options(**here)
    checks.count("pictures", options.pictures, 0)
    given = {name: value for name, value in values.items() if name not in names}
    asking: dict[str, Any] = {name: here[name] for name in _ASKED if name in here}
    named = _named_run(given, options)
    if named is None:
        config, asked = runs.Config.of(given), runs.Asked.of(asking)
    else:
        config, asked = named.manifest.config.updated(given), named.asked(**asking)
    shard = None if options.shard is None else runs.Shard.parse(options.shard)
    if options.out is None and (shard is not None or options.ray is not None):
        raise ArgumentError("out", None, "is needed with --shard and --ray")
    foreign = [name for name in config.own_code().values() if named is not None and name not in given.values()]
    if named is not None and not options.trust_code and foreign and _done(named, config, options):
        say(f"all inputs of {options.out} are done: shown from the evidence, its code is not run")
        return _shown(named, asked, options, ran=False)
    permit(foreign, options.trust_code, str(options.out))
    far: list[runs.State] = []
    with tempfile.TemporaryDirectory() as nowhere:
        with (
            resumable(lambda: _how(here, config, named is not None, far)),
            contained(),
            displaying() as show_it,
        ):

            def on_progress(state: runs.State) -> None:
                far[:] = [state]
                show_it(state)

            store = runs.certify(
                config,
                Path(nowhere) / "run" if options.out is None else Path(options.out),
                executor=_executor(options),
                shard=shard,
                retry_failed=options.retry_failed,
                input_timeout=options.input_timeout,
                asked=asked,
                on_progress=on_progress,
            )
        return _shown(store, asked, options, ran=True)


def _shown(store: runs.Store, asked: runs.Asked, options: Options, *, ran: bool) -> int:
    """Print, and write results that are whole; 1 if an input failed."""
    rows, terms = runs.certificates(store, asked), runs.terms(store)
    whole = len(rows) == store.manifest.inputs
    if whole and options.out is not None:
        runs.write_results(store, rows)
    drawn = whole and options.out is not None and leave_pictures(store, rows, asked, options.pictures, ran)
    asked_for = options.pictures not in (0, Options().pictures)
    if asked_for and not drawn and whole and options.out is not None:
        say("no pictures were left: they need inputs that are certified, maps that are kept, and an eps")
    summary = runs.summary(store, rows, asked)
    if options.json:
        stated = None if terms is None else terms.to_dict()
        show_json({"terms": stated, "rows": rows, "summary": dataclasses.asdict(summary)})
    else:
        show_run(store, rows, summary, terms)
        if options.out is None:
            show("not written: give --out FOLDER to keep the results" + (", and pictures" if asked_for else ""))
        elif whole:
            show(f"written to {options.out}" + (f"; pictures in {PICTURES}" if drawn else ""))
        else:
            show(f"{summary.missing} inputs are left to other shards; then: attricert merge {options.out}")
    return exit_code(summary)


def _how(here: Mapping[str, Any], config: runs.Config, named: bool, far: Sequence[runs.State]) -> str:
    """What an interrupted run has kept, and what goes on with it.

    Args:
        here: the options that were given.
        config: of the run; folders that name code need --trust-code.
        named: whether the run was there before, so that its folder does not say what is asked now.
        far: how far it was, if it had begun.
    """
    if "out" not in here:
        return "nothing is kept without --out FOLDER"
    if not far:
        return "nothing was done yet; the same command begins again"
    names = ("out", "workers", "ray", "shard", "input_timeout", *(_ASKED if named else ()), "pictures", "json")
    flags = {name: here[name] for name in names if name in here}
    trust = {"trust-code": bool(config.own_code())}
    again = command("certify", **flags, **trust)
    return f"{far[0].done} of {far[0].total} inputs are done and stored; go on with: {again}"


def _named_run(given: Mapping[str, Any], options: Options) -> runs.Store | None:
    """The run that exists, where nothing but that is named; None where model and data are given."""
    missing = [name for name in ("model", "data") if given.get(name) is None]
    if not missing:
        return None
    if len(missing) == 1 or options.out is None or not Path(options.out).exists():
        raise ArgumentError(missing[0], None, "is needed, unless --out alone names a run to go on with")
    return runs.Store.open(Path(options.out))


def _done(store: runs.Store, config: runs.Config, options: Options) -> bool:
    """Whether the evidence is there for all that is asked, so that nothing has to be computed but certificates."""
    every = positions(store) == set(range(store.manifest.inputs))
    return every and config == store.manifest.config and not options.retry_failed


def _executor(options: Options) -> runs.Executor:
    if options.ray is not None:
        return runs.Ray(options.workers, options.ray)
    return runs.Inline() if options.workers == 1 else runs.Processes(options.workers)
