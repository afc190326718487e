"""Many maps in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from attricert.errors import ArgumentError
from attricert.plots.arrays import numbers, scaled
from attricert.plots.style import Picture, literal, names_of, titles

__all__ = ["maps"]

_LONGEST = 24  # characters that fit beside a row


def maps(columns: Mapping[str, Any], row_titles: Sequence[str], row_notes: Sequence[str] = ()) -> Figure:
    """Images beside their attribution maps, one input a row, in the manner of the paper's Figure 3.

    Args:
        columns: title to images (not negative: shown in gray) or maps (signed: red positive, blue negative, each
            scaled by its own largest value), shape (n, height, width).
        row_titles: one an input.
        row_notes: what to put below each, or nothing; see `notes`.

    Raises:
        ArgumentError: there are no columns, or one has another number of rows than there are titles, or NaN or inf.
    """
    said = titles(names_of(row_titles, len(row_titles), "input"), row_notes, _LONGEST)
    n, m = len(row_titles), len(columns)
    if not n or not m:
        raise ArgumentError("columns", f"{m} of {n} rows", "must be at least one, of at least one row")
    drawn = [numbers("columns", pictures, (3,), "(n, height, width) each") for pictures in columns.values()]
    if wrong := [len(pictures) for pictures in drawn if len(pictures) != n]:
        raise ArgumentError("columns", f"{wrong[0]} rows", f"must have {n} rows each, as there are row_titles")
    figure = Picture(figsize=(1.7 * m + 0.6, 1.6 * n + 0.5), layout="constrained")
    axes = figure.subplots(n, m, squeeze=False)
    for j, (title, pictures) in enumerate(zip(columns, drawn, strict=True)):
        for i, picture in enumerate(pictures):
            ax, (values, _) = axes[i][j], scaled(picture)
            size = float(np.abs(values).max()) or 1.0
            if values.min() >= 0:
                ax.imshow(values, cmap="gray", vmin=0, vmax=size)
            else:
                ax.imshow(values, cmap="RdBu_r", vmin=-size, vmax=size)
            ax.set_xticks([])
            ax.set_yticks([])
            if i == 0:
                ax.set_title(literal(title, _LONGEST), fontsize=9)
            if j == 0:
                ax.set_ylabel(said[i], fontsize=8)
    return figure
