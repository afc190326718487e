"""Certify the explanations of a model on a slice of data; goes on where it was stopped."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

from jsonargparse import ArgumentParser

from attricert.cli.arguments import add_options
from attricert.errors import ArgumentError
from attricert.runs.config import Config

__all__ = ["EXAMPLES", "Options", "check", "configure"]

EXAMPLES = (
    "attricert certify --model mnist-standard --data mnist:sample[0:4] --sigma 0.25 --out runs/a",
    "attricert certify --out runs/a",
    "attricert certify --model mine.py:model --data images --radius 2.0 --prove cone,entries --eps 0.05,0.1",
    "attricert certify --model mnist-standard --data mnist:test[0:1000] --sigma 0.25 --out runs/b --shard 0/4",
)


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
        eps: l2 sizes at which to report the certified cosine; by default 0.1, 0.25 and 0.5 sigma, or what is like
            these for other noise.
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
    eps: tuple[float, ...] | None = None
    cosine: tuple[float, ...] = (0.8, 0.9)
    top_k: int | None = None
    pictures: int = 8
    trust_code: bool = False
    json: bool = False

    groups: ClassVar[Mapping[str, Collection[str]]] = {
        "what to report": ("eps", "cosine", "top_k", "pictures", "json"),
        "where the work is done": ("out", "workers", "shard", "retry_failed", "input_timeout", "ray", "trust_code"),
    }


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Config, optional=("model", "data"))
    add_options(parser, Options)
    # Settings of version 0.1: its config files are still read (`Config.of` knows what they mean).
    hidden: dict[str, Any] = {"help": argparse.SUPPRESS, "default": argparse.SUPPRESS}
    parser.add_argument("--moments", type=int, nargs="+", **hidden)
    parser.add_argument("--skip_label", type=bool, **hidden)
    parser.add_argument("--stop_when", type=list[float] | None, **hidden)


def check(values: Mapping[str, Any]) -> None:
    """That it is said what to certify: a model and data, or, by ``out`` alone, a run that exists.

    Raises:
        ArgumentError: it is not.
    """
    missing = [name for name in ("model", "data") if values.get(name) is None]
    out = values.get("out")
    if len(missing) == 1 or (missing and (out is None or not Path(out).exists())):
        raise ArgumentError(missing[0], None, "is needed, unless --out alone names a run to go on with")
