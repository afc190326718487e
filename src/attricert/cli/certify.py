"""Certify the explanations of a model on a slice of data, and write the results."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from attricert import checks
from attricert._version import __version__
from attricert.certificates import METHODS, Certificate
from attricert.cli.arguments import add_options
from attricert.cli.loading import load_array
from attricert.cli.output import show_json, show_rows, subjects
from attricert.cli.setting import CERTIFICATE, CONFIG, Options, setting_of
from attricert.errors import ArgumentError
from attricert.files import write_atomically
from attricert.report import rows_of, to_parquet

__all__ = ["Options", "configure", "run"]

_RESULTS = "results.parquet"


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options)


def run(**values: Any) -> int:
    """Certify, write, print."""
    options = Options(**values)
    folder = _fresh_folder(options.out)
    checks.known("method", options.method, METHODS)
    eps = checks.nonnegative_values("eps", options.eps).tolist()
    cosine = checks.open_fractions("cosine", options.cosine).tolist()
    functionals = load_array("functionals", options.functionals)
    setting = setting_of(options)
    top_k = _top_k(options.top_k, setting.images[0].numel())
    certificate = setting.smoothed.certify(
        setting.images,
        setting.target,
        n_samples=options.n_samples,
        alpha=options.alpha,
        seed=options.seed,
        confidence=options.confidence,
        guarantee=options.guarantee,
        observed_samples=options.observed_samples,
        method=options.method,
        stop_when=None if options.stop_when is None else (options.stop_when[0], options.stop_when[1]),
        moments=options.moments,
        functionals=functionals,
        sample_ids=setting.data.ids,
        progress=True,
    )
    rows = rows_of(certificate, subjects(setting.data, setting.predicted, setting.target), eps, cosine, top_k)
    if folder is not None:
        _write(folder, options, certificate, rows)
    if options.json:
        show_json({"statement": certificate.statement.to_dict(), "rows": rows})
    else:
        show_rows(rows, certificate, title=f"{options.model}, {options.data}")
        print(f"written to {folder}" if folder else "not written: give --out FOLDER to keep the results")
    return 0


def _fresh_folder(out: str | None) -> Path | None:
    if out is None:
        return None
    folder = Path(out)
    if (folder / _RESULTS).exists():
        raise ArgumentError("out", out, f"already holds {_RESULTS}; choose another folder or remove it")
    if folder.exists() and not folder.is_dir():
        raise ArgumentError("out", out, "must be a folder")
    return folder


def _top_k(k: int | None, features: int) -> int:
    if k is None:
        return max(1, features // 10)
    if checks.count("top_k", k, 1) > features:
        raise ArgumentError("top_k", k, f"must be at most the number of features, {features}")
    return k


def _write(folder: Path, options: Options, certificate: Certificate, rows: Sequence[dict[str, object]]) -> None:
    settings = {**dataclasses.asdict(options), "seed": certificate.statement.seed}
    text = f"# attricert {__version__}\n{yaml.safe_dump(settings, sort_keys=False)}"
    certificate.save(folder / CERTIFICATE)
    write_atomically(folder / CONFIG, text.encode())
    # Last: results that exist are complete.
    write_atomically(folder / _RESULTS, to_parquet(rows, certificate.statement.to_json()))
