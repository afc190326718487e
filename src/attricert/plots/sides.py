"""What is certified beside what an attack has found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from attricert import checks
from attricert.attacks import Sandwich
from attricert.certificates import Certificate
from attricert.errors import ArgumentError
from attricert.plots.style import EPS, Picture, known, line, notes, titles

__all__ = ["sandwich"]

_LEAST = 0.01  # a certified cosine that is as good as none
_FAR = 8.0  # times the certified range
_LONGEST = 28  # characters above a panel


def sandwich(cert: Certificate, attacked: Sandwich, names: Sequence[str]) -> Figure:
    """Certified cosine (a line) and attacked cosine (dots) against eps, one input a panel; the truth lies between.

    The line ends where nothing is certified; where attacks go far beyond that, eps is by its logarithm from there on.

    Args:
        cert: the certificates.
        attacked: what attacks on the same inputs found (`attricert.attacks.sandwich`).
        names: of the first inputs, those to draw.

    Raises:
        ArgumentError: certificates and attacks are not as many, or names are none or more.
    """
    known("cert", cert)
    if not isinstance(attacked, Sandwich) or len(attacked.eps) != len(cert):
        given = f"{len(attacked.eps)} inputs" if isinstance(attacked, Sandwich) else type(attacked).__name__
        raise ArgumentError("attacked", given, f"must be the Sandwich of the same {len(cert)} inputs")
    if isinstance(names, str) or not 0 < len(names) <= len(cert):
        raise ArgumentError("names", names, f"must be from 1 to {len(cert)}, one for each input drawn")
    said = titles([checks.text("names", name) for name in names], notes(cert), _LONGEST)
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = Picture(figsize=(3.1 * max(columns, 2) + 0.4, 2.5 * rows + 0.7), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for i, (ax, name) in enumerate(zip(axes.flat, said, strict=False)):
        sizes = attacked.eps[i][np.isfinite(attacked.eps[i])]
        last, end = float(sizes.max()) * 1.05, float(cert.max_eps(_LEAST)[i])
        eps = np.linspace(0, min(last, 1.05 * end) if end else last, 200)
        curve = cert.cosine(eps)[i]
        shown = np.where(curve > 0, curve, np.nan)
        ax.plot(eps, shown, label="certified: at least (to its end)", linewidth=1.5, **line(0))
        values, error = attacked.attacked[i][: len(sizes)], attacked.error[i][: len(sizes)]
        color = line(1)["color"]
        ax.errorbar(sizes, values, 2 * error, fmt=".-", linewidth=0.8, label="attacked: at most", color=color)
        ax.axhline(attacked.threshold, color="gray", linestyle=":", linewidth=1)
        ax.set_title(name, fontsize=9)
        if 0 < _FAR * end < last:
            ax.set_xscale("symlog", linthresh=end)
        ax.set_xlim(0, last)
        ax.set_ylim(0, 1.02)
    figure.legend(*axes[0][0].get_legend_handles_labels(), fontsize=8, loc="outside upper right", ncols=2)
    figure.supxlabel(EPS, fontsize=9)
    figure.supylabel("cosine similarity of the smoothed map", fontsize=9)
    return figure
