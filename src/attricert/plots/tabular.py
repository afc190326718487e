"""A map of few entries that have names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from attricert import checks
from attricert.certificates import Certificate
from attricert.plots.style import DOWN, GRAY, UP, axes_of, claim, figure_of, literal, names_of, notes, one_size, row_of

__all__ = ["bars"]

_SHOWN = 40  # entries that there is room for
_HATCH = "////"  # of signs that are not certain, for those who do not see the color
_LONGEST = 28  # characters of a name


def bars(
    cert: Certificate,
    i: int,
    eps: float,
    names: Sequence[str] | None = None,
    k: int | None = None,
    ax: Axes | None = None,
) -> Figure:
    """The entries of one smoothed map as bars, the largest first, with the interval that each is certain to stay in.

    All intervals hold at once, at every perturbation of size eps and at the input itself. Bars whose sign is certain
    are red or blue, others gray and hatched.

    Args:
        cert: the certificates; maps and entries are needed.
        i: which input.
        eps: l2 size of the perturbation, >= 0, in input units.
        names: one an entry, in the order of the input's entries.
        k: how many entries to show, those of the largest size; 40 by default, or all if they are fewer.
        ax: where to draw.

    Raises:
        ArgumentError: an argument breaks its rule, or maps or entries are not there.
    """
    one, eps = row_of(cert, i), one_size(eps)
    map, signs = one.maps[0].reshape(-1), one.signs(eps)[0].reshape(-1)
    low, high = (end[0].reshape(-1) for end in one.intervals(eps))
    labels = [literal(name, _LONGEST) for name in names_of(names, map.size, "entry")]
    k = min(_SHOWN, map.size) if k is None else checks.count("k", k, 1, map.size)
    order = np.argsort(-np.abs(map), kind="stable")[:k]
    ax = axes_of(ax, (6.5, 1.7 + 0.2 * k))
    at = np.arange(k)
    drawn = ax.barh(at, map[order], height=0.75, color=[(DOWN, GRAY, UP)[sign + 1] for sign in signs[order]])
    for bar, sign in zip(drawn, signs[order], strict=True):
        if not sign:
            bar.set(hatch=_HATCH, edgecolor="white")
    _intervals(ax, at, low[order], high[order])
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(at, [labels[entry] for entry in order], fontsize=8)
    ax.set_ylim(k - 0.4, -0.6)
    ax.tick_params(axis="x", labelsize=8)
    ax.set_xlabel("smoothed attribution, and where it is certain to stay", fontsize=9)
    which = f"{map.size} entries" if k == map.size else f"the {k} largest of {map.size} entries"
    said = f"{which}, {np.count_nonzero(signs)} signs certain: {claim(one, eps)}"
    ax.set_title("\n".join(part for part in (said, notes(one)[0]) if part), fontsize=9)
    below = ax.transAxes + ScaledTranslation(0, -0.5, figure_of(ax).dpi_scale_trans)
    patches = [
        Patch(facecolor=UP, label="positive"),
        Patch(facecolor=DOWN, label="negative"),
        Patch(facecolor=GRAY, hatch=_HATCH, edgecolor="white", label="not certain"),
    ]
    ax.legend(handles=patches, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below, ncols=3)
    return figure_of(ax)


def _intervals(
    ax: Axes, at: npt.NDArray[np.int64], low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> None:
    ax.hlines(at, low, high, color="black", linewidth=1.0)
    ends = np.concatenate([low, high])
    ax.plot(ends, np.concatenate([at, at]), linestyle="none", marker="|", markersize=5, color="black")
