"""Certify the explanations of a model on a slice of data; goes on where it was stopped."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attricert import checks, runs
from attricert.cli.commands.certify import Options, check
from attricert.cli.containing import contained
from attricert.cli.display import displaying
from attricert.cli.going_on import command, resumable
from attricert.cli.lines import say
from attricert.cli.output import exit_code, show, show_json, show_run
from attricert.cli.pictures import PICTURES, leave_pictures
from attricert.cli.trust import permit
from attricert.errors import ArgumentError
from attricert.runs.results import positions

__all__ = ["run"]

_ASKED = ("eps", "cosine", "top_k")


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
    check({**given, "out": options.out})
    named = options.out is not None and given.get("model") is None
    return runs.Store.open(Path(str(options.out))) if named else None


def _done(store: runs.Store, config: runs.Config, options: Options) -> bool:
    """Whether the evidence is there for all that is asked, so that nothing has to be computed but certificates."""
    every = positions(store) == set(range(store.manifest.inputs))
    return every and config == store.manifest.config and not options.retry_failed


def _executor(options: Options) -> runs.Executor:
    if options.ray is not None:
        return runs.Ray(options.workers, options.ray)
    return runs.Inline() if options.workers == 1 else runs.Processes(options.workers)
