"""What a run over a whole data set amounts to, in little: summary.json, digits.parquet and report.html.

Usage: python benchmarks/mnist10k/summary.py RUN [OUT]; RUN has its results.parquet, OUT is this folder by default.
All from ``max_eps``, so that any size can be told: a cosine is kept at eps where max_eps is at least that.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from attricert import runs
from attricert.report import MAX_EPS
from attricert.report.share_claims import BETA, share_at
from attricert.runs.results import terms

COSINES = (0.8, 0.9)
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
SIZES = tuple(round(0.01 * step, 2) for step in range(1, 31))
FULL = 50  # inputs that the report shows in full
DIGITS = 5  # decimal places; bounds are rounded down


def down(value: float) -> float:
    """A lower bound as it is told."""
    return math.floor(value * 10**DIGITS) / 10**DIGITS


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Of max_eps: at least that of the given share of inputs from below."""
    found = np.quantile(np.array(values), QUANTILES, method="lower")
    return {f"{q:g}": down(value) for q, value in zip(QUANTILES, found.tolist(), strict=True)}


def summary(store: runs.Store, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of all inputs, of each class, and of the source."""
    stated, good = terms(store), [row for row in rows if row["status"] == "certified"]
    if stated is None:
        raise SystemExit(f"{store.folder}: nothing is certified yet")
    classes = sorted({row["label"] for row in good})
    found: dict[str, Any] = {
        "config": store.manifest.config.to_dict(),
        "version": store.manifest.version,
        "inputs": store.manifest.inputs,
        "certified": len(good),
        "class_kept": sum(bool(row.get("class_kept")) for row in good),
        "predicted_right": sum(row["prediction"] == row["label"] for row in good),
        "confidence": 1 - BETA,
        "cosine": {},
    }
    for cosine in COSINES:
        name = f"{MAX_EPS}{cosine!r}"
        share = share_at(rows, cosine, SIZES, store.manifest.inputs, stated, simultaneous=True)
        found["cosine"][repr(cosine)] = {
            "max_eps": {
                "all": quantiles([row[name] for row in good]),
                **{str(label): quantiles([row[name] for row in good if row["label"] == label]) for label in classes},
            },
            # One claim for all sizes at once: with that confidence, of the source that the inputs are a sample of.
            "shares": [
                {"eps": size, "certified": round(observed, 4), "of_the_source_at_least": down(least)}
                for size, observed, least in zip(SIZES, share.observed.tolist(), share.at_least.tolist(), strict=True)
            ],
        }
    return found


def digits(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A row an input: who it is, and how far its map is certified."""
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in ("id", "status")}
    columns |= {name: pa.array([row[name] for row in rows], pa.int8()) for name in ("label", "prediction")}
    for cosine in COSINES:
        name = f"{MAX_EPS}{cosine!r}"
        columns[name] = [None if row.get(name) is None else down(row[name]) for row in rows]
    columns["class_kept"] = [row.get("class_kept") for row in rows]
    return pa.table(columns)


def main() -> None:
    """Write all three."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent
    out.mkdir(parents=True, exist_ok=True)
    store, rows = runs.Store.open(folder), pq.read_table(folder / "results.parquet").to_pylist()
    found = summary(store, rows)
    (out / "summary.json").write_text(json.dumps(found, indent=1) + "\n")
    pq.write_table(digits(rows), out / "digits.parquet", compression="zstd")
    runs.report(folder, out / "report.html", inputs=FULL, progress=True)
    for path in (out / name for name in ("summary.json", "digits.parquet", "report.html")):
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
