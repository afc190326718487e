"""Write a run's report: one HTML file to hand over, with pictures, numbers and terms; it needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attricert import runs
from attricert.cli.commands.report import Options
from attricert.cli.containing import contained
from attricert.cli.output import show
from attricert.cli.trust import permit

__all__ = ["run"]


def run(**values: Any) -> int:
    """Write it."""
    options = Options(**values)
    if options.trust_code:
        config = runs.Store.open(Path(options.run)).manifest.config
        permit(config.own_code().values(), True, options.run)
    with contained():
        path = runs.report(
            options.run,
            options.out,
            inputs=options.inputs,
            eps=options.eps,
            cosine=options.cosine,
            top_k=options.top_k,
            trust_code=options.trust_code,
            progress=True,
        )
    show(f"written to {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0
