"""Check a run: fingerprints, digests, certificates, and some inputs sampled again; exit code 1 on any mismatch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from jsonargparse import ArgumentParser

from attricert import checks, runs
from attricert.cli.arguments import add_options
from attricert.cli.containing import contained
from attricert.cli.output import say, show, show_json
from attricert.cli.trust import permit
from attricert.runs.code import is_code

__all__ = ["Options", "configure", "run"]

_SHOWN = 10  # problems of a kind


@final
@dataclass(frozen=True)
class Options:
    """Which run, and how much of it to sample again.

    Args:
        run: folder that attricert certify --out has written.
        sample: inputs to sample again, chosen at random.
        seed: of that choice and of the other draws; by default a fresh secret one.
        trust_code: run code that the folder names, after showing its path and SHA-256, if it is what the run was made
            with; without, and for such runs, the evidence alone is checked.
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
    """Check, print; 1 if anything is wrong."""
    options = Options(**values)
    checks.count("sample", options.sample, 0)
    config = runs.Store.open(Path(options.run)).manifest.config
    if options.trust_code:
        permit((config.model, config.attribution), True, options.run)
    elif any(map(is_code, (config.model, config.attribution))):
        say(f"{options.run} names code, which is not run: its evidence alone is checked; --trust-code for the rest")
    with contained():
        found = runs.verify(
            Path(options.run),
            sample=options.sample,
            seed=options.seed,
            trust_code=options.trust_code,
            on_message=(lambda _: None) if options.json else lambda text: say(f"{text} ..."),
        )
    passed = all(check.passed for check in found)
    if options.json:
        show_json({"passed": passed, "checks": [dataclasses.asdict(check) for check in found]})
        return 0 if passed else 1
    for check in found:
        show(f"{'ok      ' if check.passed else 'MISMATCH'}  {check.what}")
        for problem in check.problems[:_SHOWN]:
            show(f"          {problem}")
        if len(check.problems) > _SHOWN:
            show(f"          ... and {len(check.problems) - _SHOWN} more")
    return 0 if passed else 1
