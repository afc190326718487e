"""How far a run is."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from jsonargparse import ArgumentParser

from attricert import runs
from attricert.cli.arguments import add_options
from attricert.cli.output import show, show_json
from attricert.report.statement import unproven
from attricert.runs.manifest import told_reading
from attricert.runs.reasons import grouped
from attricert.runs.results import input_units, stream
from attricert.runs.rows import CERTIFIED, FAILED

__all__ = ["Options", "configure", "run"]


@final
@dataclass(frozen=True)
class Options:
    """Which run.

    Args:
        run: folder that attricert certify --out has written.
        json: print JSON.
    """

    run: str
    json: bool = False


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options, first="run")


def run(**values: Any) -> int:
    """Count and print."""
    options = Options(**values)
    store = runs.Store.open(Path(options.run))
    rows, total = [(row.facts["status"], row.facts["reason"]) for row in stream(store)], store.manifest.inputs
    counts = Counter(status for status, _ in rows)
    facts = {name: counts[name] for name in (CERTIFIED, FAILED)} | {"missing": total - len(rows)}
    reading, classes = store.manifest.data_reading, runs.meaning(store)
    if options.json:
        more = {"data_reading": reading, "classes": asdict(classes)}
        show_json({"inputs": total, **facts, "working": store.working(), **more})
        return 0
    config = store.manifest.config
    show(f"{config.model}, {config.data}: {total} inputs, " + ", ".join(f"{v} {k}" for k, v in facts.items()))
    if warning := unproven(config.confidence, printed=config.method == "printed"):
        show(warning)
    if config.stop_eps is not None and (terms := runs.terms(store)) is not None:
        show(f"draws stop at a claim of {input_units(store, terms).note(config.stop_eps)}")
    if reading:
        show(f"data: {told_reading(reading)}")
    show(f"at work: {', '.join(store.working()) or 'nobody'}")
    for reason, count in Counter(grouped(reason for _, reason in rows if reason)).most_common():
        show(f"failed on {count}: {reason}")
    for line in classes.lines():
        show(line)
    return 0
