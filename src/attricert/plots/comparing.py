"""Certificates of several models, or settings, on the same inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from attricert import checks
from attricert.certificates import Certificate
from attricert.errors import ArgumentError
from attricert.plots.style import EPS, Picture, figure_of, known, line, literal, names_of

__all__ = ["compare"]

Array = npt.NDArray[np.float64]

_MARKERS = "os^Dv<>P"
_LONGEST = 28  # characters of a name


def compare(
    certs: Mapping[str, Certificate] | Sequence[Certificate],
    names: Sequence[str] | None = None,
    cosine: float = 0.9,
    figure: Figure | SubFigure | None = None,
) -> Figure:
    """How far each reaches on the same inputs: the share of inputs certified at eps or beyond, and input by input.

    On the right, of two: the largest certified eps of one against that of the other, one dot an input; of more: a box
    each, with a thin line an input.

    Args:
        certs: two certificates or more, of the same inputs in the same order; by name, or in a list.
        names: of those in a list.
        cosine: threshold T, > 0 and < 1.
        figure: where to draw, a figure or a part of one.

    Raises:
        ArgumentError: there are fewer than two, or not as many inputs in each.
    """
    if not isinstance(certs, (Mapping, Sequence)):
        raise ArgumentError("certs", type(certs).__name__, "must be certificates by name, or a list of them")
    if isinstance(certs, Mapping) and names is not None:
        raise ArgumentError("names", names, "must be left out where certs has them")
    given = list(certs.values()) if isinstance(certs, Mapping) else list(certs)
    labels = names_of(list(certs) if isinstance(certs, Mapping) else names, len(given), "certificate")
    if len(set(labels)) < len(labels):
        raise ArgumentError("names", labels, "must differ from each other")
    counts = {label: len(known("certs", cert)) for label, cert in zip(labels, given, strict=True)}
    if len(given) < 2 or len(set(counts.values())) > 1:
        raise ArgumentError("certs", counts, "must be two or more, of as many inputs each: the same ones")
    reached = [np.asarray(cert.max_eps(checks.fraction("cosine", cosine))) for cert in given]
    labels = [literal(label, _LONGEST) for label in labels]
    figure = Picture(figsize=(10, 4), layout="constrained") if figure is None else figure
    if not isinstance(figure, (Figure, SubFigure)):
        raise ArgumentError("figure", type(figure).__name__, "must be a matplotlib figure")
    shares, paired = figure.subplots(1, 2, width_ratios=(3, 2))
    last = float(np.max(reached)) * 1.05 or 1e-3
    _shares(shares, reached, labels, last)
    if len(reached) == 2:
        _scatter(paired, reached, labels, last)
    else:
        _boxes(paired, reached, labels, last)
    figure.suptitle(f"largest eps at which a cosine of {cosine!r} is certified; {len(reached[0])} inputs", fontsize=10)
    return figure_of(figure)


def _shares(ax: Axes, reached: Sequence[Array], labels: Sequence[str], last: float) -> None:
    for i, (eps, label) in enumerate(zip(reached, labels, strict=True)):
        # 0 stands for none: such inputs never count.
        steps = np.unique(eps[eps > 0])
        x = np.concatenate([[0.0], steps, [last]])
        y = [(eps > 0).mean(), *((eps >= step).mean() for step in steps), 0.0]
        ax.step(x, y, where="pre", label=label, linewidth=1.5, **line(i))
    ax.set_xlim(0, last)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel(EPS, fontsize=9)
    ax.set_ylabel("share of inputs certified there", fontsize=9)
    ax.tick_params(labelsize=8)
    ax.legend(fontsize=8, loc="lower left")


def _scatter(ax: Axes, reached: Sequence[Array], labels: Sequence[str], last: float) -> None:
    ax.plot([0, last], [0, last], color="gray", linestyle=":", linewidth=1)
    ax.plot(*reached, linestyle="none", marker="o", markersize=4, alpha=0.7, color=line(0)["color"], clip_on=False)
    ax.set_xlim(0, last)
    ax.set_ylim(0, last)
    ax.set_aspect("equal")
    ax.set_xlabel(labels[0], fontsize=9)
    ax.set_ylabel(labels[1], fontsize=9)
    ax.set_title("largest certified eps, one dot an input", fontsize=9)
    ax.tick_params(labelsize=8)


def _boxes(ax: Axes, reached: Sequence[Array], labels: Sequence[str], last: float) -> None:
    at = range(1, len(reached) + 1)
    ax.plot(at, np.array(reached), color="0.75", linewidth=0.6, zorder=0)
    ax.boxplot(reached, positions=at, showfliers=False, medianprops={"color": "black"})
    for i, (x, eps) in enumerate(zip(at, reached, strict=True)):
        color, marker = line(i)["color"], _MARKERS[i % len(_MARKERS)]
        ax.plot(np.full(len(eps), x), eps, linestyle="none", marker=marker, markersize=3.5, color=color)
    ax.set_xticks(at, labels, rotation=20, ha="right", fontsize=8)
    ax.set_ylim(0, last)
    ax.set_title("largest certified eps, one line an input", fontsize=9)
    ax.tick_params(labelsize=8)
