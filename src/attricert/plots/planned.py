"""What a plan expects of each noise scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from attricert.errors import ArgumentError
from attricert.noise import NOISES
from attricert.planning import Plan
from attricert.plots.style import GRAY, Picture, figure_of, line

__all__ = ["plan"]

Array = npt.NDArray[np.float64]


def plan(plan: Plan, figure: Figure | SubFigure | None = None) -> Figure:
    """Eps against the noise scale, and under it how much of the map and of the class is left; all are estimates.

    Above: eps at the plan's cosine, least and mean of the inputs with the samples that may be spent, and least with
    very many. Below: likeness of the smoothed map and the map without noise, and the share of noisy copies that stay
    in the explained class. Gray and hatched: scales at which some input's class will not be kept. A vertical line
    marks the scale that is chosen.

    Args:
        plan: with at least one scale.
        figure: where to draw, a figure or a part of one.

    Raises:
        ArgumentError: it is no plan, or has no scales.
    """
    if not isinstance(plan, Plan) or not plan.scales:
        given = "no scales" if isinstance(plan, Plan) else type(plan).__name__
        raise ArgumentError("plan", given, "must be a Plan of at least one scale")
    figure = Picture(figsize=(8, 6), layout="constrained") if figure is None else figure
    if not isinstance(figure, (Figure, SubFigure)):
        raise ArgumentError("figure", type(figure).__name__, "must be a matplotlib figure")
    sizes, shares = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    rows = sorted(plan.scales, key=lambda row: row.scale)
    scales = np.array([row.scale for row in rows])
    _curves(
        sizes,
        scales,
        {
            f"least of {plan.inputs} inputs, {plan.n_samples:,} samples": [row.least_max_eps for row in rows],
            "their mean": [row.mean_max_eps for row in rows],
            "least, with very many samples": [row.least_max_eps_in_the_limit for row in rows],
        },
    )
    if plan.claim is not None:
        sizes.axhline(plan.claim.eps, color="gray", linestyle=":", linewidth=1)
        at = (1, plan.claim.eps)
        sizes.annotate("eps of the claim ", at, xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    sizes.set_ylim(bottom=0)
    sizes.set_ylabel(f"eps at cosine {plan.threshold!r}, in input units", fontsize=9)
    _curves(
        shares,
        scales,
        {
            "likeness to the map without noise, least": [row.likeness for row in rows],
            "noisy copies in the explained class, mean": [row.class_votes for row in rows],
        },
    )
    shares.set_ylim(min(0.0, shares.get_ylim()[0]), 1.02)
    shares.set_ylabel("share, or cosine", fontsize=9)
    (word,) = NOISES.required(NOISES.name_of(plan.noise))
    shares.set_xlabel(f"{word}, in input units", fontsize=9)
    shares.set_xscale("log")
    shares.set_xticks(scales, [f"{scale:.3g}" for scale in scales])
    shares.minorticks_off()
    for ax in (sizes, shares):
        _mark(ax, plan, scales, [row.keeps(plan.inputs) for row in rows])
        ax.tick_params(labelsize=8)
        ax.legend(fontsize=8, loc="upper left" if ax is sizes else "lower left")
    figure.suptitle(f"{type(plan.noise).__name__} noise: estimates, nothing is proven", fontsize=10)
    return figure_of(figure)


def _curves(ax: Axes, scales: Array, curves: Mapping[str, Sequence[float | None]]) -> None:
    for i, (label, values) in enumerate(curves.items()):
        known = np.array([np.nan if value is None else value for value in values])
        if np.isfinite(known).any():
            ax.plot(scales, known, label=label, marker="o", markersize=3.5, linewidth=1.5, **line(i))


def _mark(ax: Axes, plan: Plan, scales: Array, kept: Sequence[bool]) -> None:
    """Scales that lose a class, each up to the middle between it and its neighbours; and the chosen one."""
    middles = np.sqrt(scales[1:] * scales[:-1])
    edges = np.concatenate([[scales[0] / 1.1], middles, [scales[-1] * 1.1]])
    label = "some class not kept"
    for keeps, left, right in zip(kept, edges[:-1], edges[1:], strict=True):
        if not keeps:
            ax.axvspan(left, right, facecolor="none", edgecolor=GRAY, hatch="////", linewidth=0, label=label, zorder=0)
            label = ""
    if plan.chosen is not None:
        label = "chosen" if plan.best else "nearest to what was asked"
        ax.axvline(plan.chosen.scale, color="black", linewidth=1, linestyle="--", label=label)
    ax.set_xlim(edges[0], edges[-1])
