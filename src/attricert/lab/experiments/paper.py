"""The paper's own figures, as far as they are transcribed."""

from __future__ import annotations

import csv
from importlib import resources

__all__ = ["SOURCE", "published"]

SOURCE = "F. Wang, A. W.-K. Kong, arXiv 2405.06361v1"
_ANY = "*"


def published(table: str, data: str, model: str, scale: float, cosine: float) -> float | None:
    """The figure that the paper gives there (``paper.csv``); None where it gives none, or it is not transcribed.

    Args:
        table: such as ``"table5"``.
        data: data set.
        model: training objective, in the zoo's words.
        scale: smoothing radius r, or eps where the table is of radii.
        cosine: threshold T.
    """
    text = resources.files("attricert.lab.experiments").joinpath("paper.csv").read_text(encoding="utf-8")
    here = {"table": table, "data": data, "model": model, "scale": repr(scale), "cosine": repr(cosine)}
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        if all(row[name] in (_ANY, value) for name, value in here.items()):
            return float(row["value"])
    return None
