"""Runs over data sets: resumable, parallel, distributed, verifiable."""

from typing import TYPE_CHECKING

from attricert.lazy import lazily

if TYPE_CHECKING:
    from attricert.report.share_claims import ShareClaim
    from attricert.runs.asked import Asked
    from attricert.runs.config import Config
    from attricert.runs.executors import Executor, Inline, Processes, Ray
    from attricert.runs.loaded import LoadedConfig
    from attricert.runs.manifest import Manifest
    from attricert.runs.merging import compact, merge
    from attricert.runs.reporting import report
    from attricert.runs.results import (
        Summary,
        certificates,
        certified,
        load,
        meaning,
        results_as_parquet,
        shares,
        summary,
        terms,
        write_results,
    )
    from attricert.runs.running import Shard, State, certify
    from attricert.runs.store import Store
    from attricert.runs.verification import Check, verify

__all__ = [
    "Asked",
    "Check",
    "Config",
    "Executor",
    "Inline",
    "LoadedConfig",
    "Manifest",
    "Processes",
    "Ray",
    "Shard",
    "ShareClaim",
    "State",
    "Store",
    "Summary",
    "certificates",
    "certified",
    "certify",
    "compact",
    "load",
    "meaning",
    "merge",
    "report",
    "results_as_parquet",
    "shares",
    "summary",
    "terms",
    "verify",
    "write_results",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "asked": ("Asked",),
        "config": ("Config",),
        "executors": (
            "Executor",
            "Inline",
            "Processes",
            "Ray",
        ),
        "manifest": ("Manifest",),
        "merging": ("compact", "merge"),
        "reporting": ("report",),
        "results": (
            "Summary",
            "certificates",
            "certified",
            "load",
            "meaning",
            "results_as_parquet",
            "shares",
            "summary",
            "terms",
            "write_results",
        ),
        "running": (
            "Shard",
            "State",
            "certify",
        ),
        "store": ("Store",),
        "verification": (
            "Check",
            "verify",
        ),
        "loaded": ("LoadedConfig",),
    },
)
