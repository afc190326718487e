"""Results as rows, and rows as Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attricert.certificates import Certificate

__all__ = ["ABSTAINS", "COSINE", "MAX_EPS", "rows_of", "to_parquet"]

COSINE, MAX_EPS, ABSTAINS = "cosine_eps_", "max_eps_cosine_", "abstains_eps_"
BINDING, JOINT, TOP_K, SIGNS, KENDALL = "binding_eps_", "joint_eps_", "top_{}_eps_", "signs_eps_", "kendall_eps_"


def rows_of(
    certificate: Certificate,
    about: Mapping[str, Sequence[Any]],
    eps: Sequence[float],
    cosine: Sequence[float],
    top_k: int | None = None,
) -> list[dict[str, Any]]:
    """One row an input.

    Columns: those of ``about``; ``norm`` (lower bound on ||h||), ``n_samples``, ``n_pilot``, ``zeros``, ``nonfinite``,
    ``outcome`` (see `Evidence`); ``cosine_eps_E`` (certified cosine at E), ``abstains_eps_E`` (why it is trivial, or
    empty), ``binding_eps_E`` (which displacement bound is the smallest), ``max_eps_cosine_T`` (largest certified eps at
    T, in input units).

    Where it was proven: ``spread`` (upper bound on lambda); ``label_certified`` and ``label_eps`` (the smoothed
    classifier's class, and the eps below which it stays), ``joint_eps_E`` (certified cosine where the label is certain
    too); ``signs_eps_E`` (share of features with a certain sign), ``kendall_eps_E`` (lower bound on tau),
    ``top_K_eps_E`` (certified overlap of the K largest features), ``functional_low_eps_E`` and
    ``functional_high_eps_E`` (lists).
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
        columns[f"{BINDING}{e!r}"] = certificate.binding(e).tolist()
    for t in cosine:
        columns[f"{MAX_EPS}{t!r}"] = certificate.max_eps(t).tolist()
    columns.update(_further(certificate, eps, top_k))
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _further(certificate: Certificate, eps: Sequence[float], top_k: int | None) -> dict[str, Sequence[Any]]:
    """Columns for what was proven beyond the norm."""
    evidence, columns = certificate.evidence, dict[str, Sequence[Any]]()
    if evidence.spread is not None:
        columns["spread"] = evidence.spread.tolist()
    if evidence.label is not None:
        columns["label_certified"] = certificate.label.tolist()
        columns["label_eps"] = certificate.label_eps().tolist()
        columns.update({f"{JOINT}{e!r}": certificate.joint(e).tolist() for e in eps})
    if evidence.feature_low is None or certificate.method == "printed":
        return columns
    for e in eps:
        signs = certificate.signs(e).reshape(len(certificate), -1)
        columns[f"{SIGNS}{e!r}"] = (signs != 0).mean(axis=1).tolist()
        columns[f"{KENDALL}{e!r}"] = certificate.kendall(e).tolist()
        if top_k is not None:
            columns[f"{TOP_K.format(top_k)}{e!r}"] = certificate.top_k(top_k, e).tolist()
        if evidence.functional_low is not None:
            low, high = certificate.functionals(e)
            columns[f"functional_low_eps_{e!r}"], columns[f"functional_high_eps_{e!r}"] = low.tolist(), high.tolist()
    return columns


def to_parquet(rows: Sequence[Mapping[str, Any]], terms: str) -> bytes:
    """A Parquet file's content; the terms, as JSON, are in its metadata under ``attricert``."""
    names = {name: None for row in rows for name in row}  # rows without evidence have fewer
    table = pa.Table.from_pylist([{**names, **row} for row in rows]).replace_schema_metadata({"attricert": terms})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())
