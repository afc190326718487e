"""Check a run: evidence, data, code, and some inputs sampled again; exit code 1 on any mismatch."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from jsonargparse import ArgumentParser

from attricert import checks, runs
from attricert.certificates import Meaning
from attricert.cli.arguments import add_options
from attricert.cli.containing import contained
from attricert.cli.output import say, show, show_json
from attricert.cli.trust import permit
from attricert.errors import AttricertError

__all__ = ["Options", "configure", "run"]

_SHOWN = 10  # problems of a kind
_WORDS = {"passed": "ok", "mismatch": "MISMATCH", "unchecked": "UNCHECKED", "skipped": "skipped"}


@final
@dataclass(frozen=True)
class Options:
    """Which run, and how much of it to sample again.

    Args:
        run: folder that attricert certify --out has written.
        sample: inputs to sample again, chosen at random.
        seed: of that choice and of the other draws; by default a fresh secret one.
        trust_code: run code (path.py:factory) that the folder names, after showing its path and SHA-256, if it is what
            the run was made with; without, what needs it is skipped.
        json: print JSON.
    """

    run: str
    sample: int = 20
    seed: int | None = None
    trust_code: bool = False
    json: bool = False


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options, first="run")


def run(**values: Any) -> int:
    """Check, print; 1 if anything is wrong, or could not be checked though it was asked for."""
    options = Options(**values)
    checks.count("sample", options.sample, 0)
    if options.trust_code:
        with contextlib.suppress(AttricertError):  # which the checks will say
            config = runs.Store.open(Path(options.run)).manifest.config
            permit(config.own_code().values(), True, options.run)
    with contained():
        found = runs.verify(
            Path(options.run),
            sample=options.sample,
            seed=options.seed,
            trust_code=options.trust_code,
            on_message=(lambda _: None) if options.json else lambda text: say(f"{text} ..."),
        )
    classes = _classes(Path(options.run))
    passed = all(check.state in ("passed", "skipped") for check in found)
    if options.json:
        checked = [{**dataclasses.asdict(check), "state": check.state} for check in found]
        show_json({"passed": passed, "checks": checked, "classes": dataclasses.asdict(classes)})
        return 0 if passed else 1
    for check in found:
        show(f"{_WORDS[check.state]:9}  {check.what}")
        for problem in check.problems[:_SHOWN]:
            show(f"{'':9}  {problem}")
        if len(check.problems) > _SHOWN:
            show(f"{'':9}  ... and {len(check.problems) - _SHOWN} more")
        if reason := check.unchecked or check.skipped:
            show(f"{'':9}  not checked: {reason}")
    for line in classes.lines():
        show(f"{'note':9}  {line}")
    return 0 if passed else 1


def _classes(run: Path) -> Meaning:
    """What maps explain: no mismatch, whatever it is, but to be known; nothing of what cannot be read."""
    try:
        return runs.meaning(runs.Store.open(run), problems=[])
    except AttricertError:  # which the checks have said
        return Meaning()
