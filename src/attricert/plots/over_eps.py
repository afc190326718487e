"""What is certified, against eps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from attricert import checks
from attricert.certificates import Certificate
from attricert.plots.style import EPS, axes_of, figure_of, known, line, literal, names_of, notes, titles

__all__ = ["curves"]

_LEAST = 0.05  # a certified cosine at which the picture ends
_FEWEST, _MOST, _POINTS = 50, 400, 12_000  # of a curve, and of all, as each takes time
_NAMED = 16  # curves that a legend has room for


def curves(
    cert: Certificate, names: Sequence[str] | None = None, threshold: float = 0.9, ax: Axes | None = None
) -> Figure:
    """Certified cosine against eps, one curve an input; each ends where the certificate abstains.

    Args:
        cert: the certificates.
        names: one an input; more than 16 curves go without them.
        threshold: a cosine to mark, > 0 and < 1.
        ax: where to draw.
    """
    known("cert", cert)
    threshold = checks.fraction("threshold", threshold)
    labels = titles(names_of(names, len(cert), "input"), notes(cert))
    ax = axes_of(ax, (8, 4.2))
    last = float(cert.max_eps(_LEAST).max()) or 1e-3
    eps = np.linspace(0, last, int(np.clip(_POINTS // len(cert), _FEWEST, _MOST)))
    for i, (label, curve) in enumerate(zip(labels, cert.cosine(eps), strict=True)):
        ax.plot(eps, np.where(curve > 0, curve, np.nan), label=label, linewidth=1.3, **line(i))
    ax.axhline(threshold, color="gray", linestyle=":", linewidth=1)
    ax.text(0, threshold, f" T = {threshold:g}", va="bottom", color="0.35", fontsize=8)
    ax.set_xlim(0, last)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel(EPS)
    ax.set_ylabel("certified cosine similarity")
    t = cert.terms
    said = f"{t.noise}, {t.bound}, {t.guarantee}, alpha = {t.alpha!r}"
    ax.set_title(literal(said, 100), fontsize=9)
    if len(cert) <= _NAMED:
        ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False)
    return figure_of(ax)
