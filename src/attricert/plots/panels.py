"""What is certified of one input's map, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch

from attricert import checks
from attricert.certificates import Certificate
from attricert.errors import ArgumentError
from attricert.plots.arrays import numbers, picture, scaled, summed
from attricert.plots.one_map import aspect, heat, show_image, signed_bars, unticked
from attricert.plots.style import (
    DOWN,
    GRAY,
    UP,
    Picture,
    bar_limits,
    blank,
    claim,
    columns,
    figure_of,
    literal,
    notes,
    one_size,
    row_of,
)
from attricert.rounding import shown

__all__ = ["certified"]

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_LEFT = (0.045, 0.29, 0.535, 0.78)  # of the panels, in widths of the figure
_TILE = 4  # pixels of the picture a pixel of the map, so that a hatch fits in
_NAMED, _NAME = 40, 18  # entries that are named at the most, and characters of a name
_SHARE = 10  # of the entries: the top tenth
_NO_MAPS = "no map: maps were not kept"
_NO_ENTRIES = "entries were not proven"
_ANY_CHANNEL = "a pixel counts by its best channel"


@final
@dataclass(frozen=True)
class _Kind:
    """One kind of entries.

    Args:
        color: of them.
        word: what they are.
        hatch: as matplotlib writes it, or none.
    """

    color: str
    word: str
    hatch: str = ""


_SIGNS = (
    _Kind(DOWN, "negative"),
    _Kind(GRAY, "not certain"),
    _Kind(UP, "positive"),
)
_RANKS = (
    _Kind("#ececec", "surely not"),
    _Kind("#E69F00", "possible", "////"),
    _Kind("#000000", "certain"),
)


def certified(
    cert: Certificate,
    i: int,
    eps: float,
    image: Any = None,
    k: int | None = None,
    title: str = "",
    figure: Figure | SubFigure | None = None,
    names: Sequence[str] = (),
) -> Figure:
    """Image, smoothed map, the signs that are certain at eps, and which entries are, or may be, among the k largest.

    Over channels maps are summed, as Captum does. The sign of a sum is certain where the intervals of its entries,
    which hold at once, add up to one that leaves out 0; a pixel is certain, or possible, among the top k if one of its
    entries is. Possible is what fewer than k entries are sure to be above.

    Args:
        cert: the certificates.
        i: which input.
        eps: l2 size of the perturbation, >= 0, in input units.
        image: the input, shown beside the map: as in `attribution`, or of one dimension.
        k: size of the top set; a tenth of the entries by default.
        title: what to put before the claim.
        figure: where to draw, a figure or a part of one.
        names: of the entries of a map of one dimension, written under the bars if there are at most 40.

    Raises:
        ArgumentError: an argument breaks its rule, or maps are of other shapes than (length,), (h, w) and (c, h, w).
    """
    one, eps = row_of(cert, i), one_size(eps)
    entries = one.terms.map_entries
    k = max(1, entries // _SHARE) if k is None else checks.count("k", k, 1, entries)
    said = literal(checks.text("title", title))
    seen = None if image is None else _seen(image)
    map = None if one.evidence.maps is None else _over_pixels(one.maps[0])
    figure = Picture(figsize=(11, 3.5)) if figure is None else figure
    if not isinstance(figure, (Figure, SubFigure)):
        raise ArgumentError("figure", type(figure).__name__, "must be a matplotlib figure")
    # Places of their own: legends and color bars would have a layout engine shrink each panel by another amount.
    labels = _labels(names, map)
    bottom, height = (0.38, 0.41) if labels else (0.21, 0.58)
    of_image, of_map, of_signs, of_ranks = (figure.add_axes((left, bottom, 0.2, height)) for left in _LEFT)
    _draw_image(of_image, seen)
    _draw_map(of_map, map)
    if one.evidence.entries is None:
        blank(of_signs, _NO_ENTRIES)
        blank(of_ranks, _NO_ENTRIES)
    else:
        low, high = (end[0] for end in one.intervals(eps))
        signs = (_over_pixels(low) > 0).astype(np.int64) - (_over_pixels(high) < 0)
        by_channel = low.ndim == 3 and len(low) > 1
        _draw_kinds(of_signs, signs + 1, _SIGNS, map, labels)
        _draw_kinds(of_ranks, _ranks(one, low, high, eps, k), _RANKS, map, labels, _ANY_CHANNEL if by_channel else "")
        of_signs.set_title(
            f"sign certain: {np.count_nonzero(signs)} of {signs.size}{' pixels' * by_channel}", fontsize=9
        )
        of_ranks.set_title(f"{k} largest of {entries} entries", fontsize=9)
    for ax in (of_map, of_signs, of_ranks) if labels else ():
        if len(ax.get_xticks()):  # but for panels that are blank
            ax.set_xticks(range(len(labels)), labels, rotation=90, fontsize=5)
    figure.suptitle("\n".join(part for part in (_claim(one, eps, said), notes(one)[0]) if part), fontsize=10, y=0.98)
    return figure_of(figure)


def _seen(image: Any) -> Array:
    array = numbers("image", image, (1, 2, 3), "(length,), (h, w), (1, h, w), (3, h, w) or (h, w, 3)")
    return array if array.ndim == 1 else picture(array)


def _over_pixels(map: Array) -> Array:
    if map.ndim not in (1, 2, 3):
        raise ArgumentError("cert.maps.shape", map.shape, "must be (length,), (h, w) or (c, h, w) an input")
    return summed(map)


def _labels(names: Sequence[str], map: Array | None) -> list[str]:
    """Of the bars; none where there are none, or too many."""
    if map is None or map.ndim != 1 or not names or len(map) > _NAMED:
        return []
    if len(names) != len(map):
        raise ArgumentError("names", f"{len(names)} names", f"must be one for each of {len(map)} entries")
    return [literal(checks.text("names", name), _NAME) for name in names]


def _claim(one: Certificate, eps: float, title: str) -> str:
    """In one line; a lower bound, rounded down."""
    at = f"at {claim(one, eps)}"
    cosine = float(one.cosine(eps)[0])
    said = f"cosine >= {shown(cosine, 3)} {at}" if one.certified(eps)[0] else f"nothing is certified of the cosine {at}"
    return f"{title}: {said}" if title else said


def _ranks(one: Certificate, low: Array, high: Array, eps: float, k: int) -> Counts:
    """2 where certain to be among the k largest, 1 where possible, 0 where not; over pixels."""
    certain = one.top_k_stable(eps, k)[0]
    above = low.size - np.searchsorted(np.sort(low, axis=None), high, side="right")
    ranks = np.where(certain, 2, (above < k).astype(np.int64))
    return np.asarray(ranks.max(axis=0) if ranks.ndim == 3 else ranks)


def _draw_image(ax: Axes, image: Array | None) -> None:
    if image is None:
        blank(ax, "no image given")
    elif image.ndim == 1:
        columns(ax, range(len(image)), image, facecolors="0.3")
        bar_limits(ax, image)
    else:
        show_image(ax, image)
    ax.set_title("input", fontsize=9)


def _draw_map(ax: Axes, map: Array | None) -> None:
    if map is None:
        blank(ax, _NO_MAPS)
    elif map.ndim == 1:
        signed_bars(ax, map)
        ax.set_xlabel(ax.get_ylabel(), fontsize=8)  # beside the axis there is no room
        ax.set_ylabel("")
    else:
        heat(ax, map, location="bottom")
    ax.set_title("smoothed map", fontsize=9)


def _draw_kinds(
    ax: Axes, kinds: Counts, named: tuple[_Kind, ...], heights: Array | None, labels: Sequence[str], rule: str = ""
) -> None:
    """Each entry by its kind: as a pixel, or as a bar of the map."""
    if kinds.ndim == 1:
        tall = np.ones(kinds.shape) if heights is None else scaled(heights)[0]
        for number, kind in enumerate(named):
            (where,) = np.nonzero(kinds == number)
            if where.size:
                style = {"facecolors": kind.color, "edgecolors": "white" if kind.hatch else "none"}
                columns(ax, where, tall[where], hatch=kind.hatch or None, label=kind.word, **style)
        bar_limits(ax, tall)
    else:
        ax.imshow(_tiled(kinds, named), interpolation="nearest", aspect=aspect(kinds))
        unticked(ax)
    patches = [
        Patch(
            facecolor=kind.color, edgecolor="white" if kind.hatch else "0.4", hatch=kind.hatch or None, label=kind.word
        )
        for kind in named
    ]
    ax.legend(
        handles=patches,
        title=rule,
        fontsize=8,
        title_fontsize=8,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.01 if kinds.ndim == 2 else -0.55 if labels else -0.1),
        ncols=3,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.0,
    )


def _tiled(kinds: Counts, named: tuple[_Kind, ...]) -> npt.NDArray[np.uint8]:
    """Kinds over pixels as colors, shape (4 h, 4 w, 3): a hatched kind has a white diagonal in every pixel."""
    colors = np.array([[round(255 * value) for value in to_rgb(kind.color)] for kind in named], dtype=np.uint8)
    drawn: npt.NDArray[np.uint8] = colors[np.kron(kinds, np.ones((_TILE, _TILE), dtype=np.int64))]
    diagonal = np.tile(np.eye(_TILE, dtype=bool)[::-1], kinds.shape)
    hatched = np.kron(np.array([bool(kind.hatch) for kind in named])[kinds], np.ones((_TILE, _TILE), dtype=bool))
    drawn[diagonal & hatched] = 255
    return drawn
