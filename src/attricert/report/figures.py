"""Pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from attricert.attacks import Sandwich
from attricert.certificates import Certificate, note
from attricert.files import write_atomically
from attricert.text import printable

__all__ = ["Picture", "both_sides", "curves", "maps", "notes", "save_figure"]

Array = npt.NDArray[np.floating]

_LEAST = 0.01  # a certified cosine that is as good as none
_FAR = 8.0  # times the certified range


@final
class Picture(Figure):
    """A figure that notebooks show by themselves, whether or not pyplot is in use there."""

    def _repr_png_(self) -> bytes:
        return _png(self)


def maps(columns: Mapping[str, Array], row_titles: Sequence[str], row_notes: Sequence[str] = ()) -> Figure:
    """Images beside their attribution maps, one input a row, in the manner of the paper's Figure 3.

    Args:
        columns: title to images (not negative: shown in gray) or maps (signed: red positive, blue negative, each
            scaled by its own largest value), shape (n, height, width).
        row_titles: one an input.
        row_notes: what to put below each, or nothing; see `notes`.
    """
    titles = _titles(row_titles, row_notes)
    n, m = len(row_titles), len(columns)
    figure = Picture(figsize=(1.7 * m + 0.6, 1.6 * n + 0.5), layout="constrained")
    axes = figure.subplots(n, m, squeeze=False)
    for j, (title, pictures) in enumerate(columns.items()):
        for i, picture in enumerate(pictures):
            ax = axes[i][j]
            size = float(np.abs(picture).max()) or 1.0
            if picture.min() >= 0:
                ax.imshow(picture, cmap="gray", vmin=0, vmax=size)
            else:
                ax.imshow(picture, cmap="RdBu_r", vmin=-size, vmax=size)
            ax.set_xticks([])
            ax.set_yticks([])
            if i == 0:
                ax.set_title(_literal(title), fontsize=9)
            if j == 0:
                ax.set_ylabel(titles[i], fontsize=9)
    return figure


def curves(certificate: Certificate, names: Sequence[str], threshold: float = 0.9) -> Figure:
    """Certified cosine against eps, one curve an input; each ends where the certificate abstains."""
    last = float(certificate.max_eps(0.05).max()) or 1e-3
    eps = np.linspace(0, last, 400)
    figure = Picture(figsize=(7, 4.2), layout="constrained")
    ax = figure.subplots()
    for name, curve in zip(_titles(names, notes(certificate)), certificate.cosine(eps), strict=True):
        ax.plot(eps, np.where(curve > 0, curve, np.nan), label=name, linewidth=1.3)
    ax.axhline(threshold, color="gray", linestyle=":", linewidth=1)
    ax.text(0, threshold, f" T = {threshold:g}", va="bottom", color="gray", fontsize=8)
    ax.set_xlim(0, last)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("eps: $\\ell_2$ size of the perturbation, in input units")
    ax.set_ylabel("certified cosine similarity")
    t = certificate.terms
    ax.set_title(f"{t.noise}, {t.bound}, {t.guarantee}, alpha = {t.alpha!r}", fontsize=9)
    ax.legend(fontsize=8, ncols=2, loc="lower left")
    return figure


def both_sides(certificate: Certificate, attacked: Sandwich, names: Sequence[str]) -> Figure:
    """Certified cosine (a line) and attacked cosine (dots) against eps, one input a panel; the truth lies between.

    The line ends where nothing is certified; where attacks go far beyond that, eps is by its logarithm from there on.
    """
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = Picture(figsize=(3.1 * columns + 0.4, 2.5 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for i, (ax, name) in enumerate(zip(axes.flat, _titles(names, notes(certificate)), strict=False)):
        sizes = attacked.eps[i][np.isfinite(attacked.eps[i])]
        last, end = float(sizes.max()) * 1.05, float(certificate.max_eps(_LEAST)[i])
        eps = np.linspace(0, min(last, 1.05 * end) if end else last, 200)
        certified = certificate.cosine(eps)[i]
        ax.plot(
            eps, np.where(certified > 0, certified, np.nan), label="certified: at least (to its end)", linewidth=1.5
        )
        values, error = attacked.attacked[i][: len(sizes)], attacked.error[i][: len(sizes)]
        ax.errorbar(sizes, values, 2 * error, fmt=".-", linewidth=0.8, label="attacked: at most", color="C3")
        ax.axhline(attacked.threshold, color="gray", linestyle=":", linewidth=1)
        ax.set_title(name, fontsize=9)
        if 0 < _FAR * end < last:
            ax.set_xscale("symlog", linthresh=end)
        ax.set_xlim(0, last)
        ax.set_ylim(0, 1.02)
    figure.legend(*axes[0][0].get_legend_handles_labels(), fontsize=8, loc="outside upper right", ncols=2)
    figure.supxlabel("eps: $\\ell_2$ size of the perturbation, in input units", fontsize=9)
    figure.supylabel("cosine similarity of the smoothed map", fontsize=9)
    return figure


def notes(certificate: Certificate) -> list[str]:
    """One an input: in words, where its map explains another class than the smoothed model's; else empty."""
    prediction = certificate.evidence.prediction
    smoothed = certificate.explained if prediction is None else prediction.label
    return [note(*pair) for pair in zip(certificate.explained.tolist(), smoothed.tolist(), strict=True)]


def _titles(names: Sequence[str], notes: Sequence[str]) -> list[str]:
    return [_literal(name) + (f"\n{said}" if said else "") for name, said in zip_longest(names, notes[: len(names)])]


def _literal(name: str) -> str:
    """A name that matplotlib takes as it is: no formulas, no characters that cannot be seen."""
    return printable(name).replace("$", r"\$")


def save_figure(figure: Figure, path: Path) -> None:
    """A PNG file."""
    write_atomically(path, _png(figure))


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()
