"""Results as rows, and rows as Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attricert.certificates import Certificate, Statement

__all__ = ["COSINE", "MAX_EPS", "rows_of", "to_parquet"]

COSINE, MAX_EPS, ABSTAINS = "cosine_eps_", "max_eps_cosine_", "abstains_eps_"


def rows_of(
    certificate: Certificate,
    about: Mapping[str, Sequence[Any]],
    eps: Sequence[float],
    cosine: Sequence[float],
) -> list[dict[str, Any]]:
    """One row an input.

    Columns: those of ``about``; ``norm`` (lower bound on ||h||), ``n_samples``, ``n_pilot``, ``zeros``, ``nonfinite``,
    ``outcome`` (see `Evidence`); ``cosine_eps_E`` (certified cosine at E), ``abstains_eps_E`` (why it is trivial, or
    empty), ``max_eps_cosine_T`` (largest certified eps at T, in input units).
    """
    evidence = certificate.evidence
    # Numbers in names are exact: a rounded eps would be a claim about another one.
    columns: dict[str, Sequence[Any]] = dict(about)
    for name in ("norm", "n_samples", "n_pilot", "zeros", "nonfinite"):
        columns[name] = getattr(evidence, name).tolist()
    columns["outcome"] = evidence.outcome
    for e in eps:
        columns[f"{COSINE}{e!r}"] = certificate.cosine(e).tolist()
        columns[f"{ABSTAINS}{e!r}"] = certificate.abstains(e).tolist()
    for t in cosine:
        columns[f"{MAX_EPS}{t!r}"] = certificate.max_eps(t).tolist()
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def to_parquet(rows: Sequence[Mapping[str, Any]], statement: Statement) -> bytes:
    """A Parquet file's content; the terms of the claim are in its metadata under ``attricert``."""
    table = pa.Table.from_pylist(list(rows)).replace_schema_metadata({"attricert": statement.to_json()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())
