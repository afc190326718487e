"""One attribution map, alone or with what it is of."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from attricert import checks
from attricert.errors import ArgumentError
from attricert.plots.arrays import OUTLIERS, largest, numbers, picture, scaled, summed
from attricert.plots.style import DOWN, UP, axes_of, bar_limits, columns, figure_of, literal

__all__ = ["aspect", "attribution", "heat", "show_image", "signed_bars", "unticked"]

Array = npt.NDArray[np.float64]

_METHODS = ("heat_map", "blended_heat_map", "masked_image", "original_image", "series")
_ALSO = {"overlay": "blended_heat_map", "masked": "masked_image"}
_SIGNS = ("all", "positive", "negative", "absolute_value")
_COLORS = {"all": "RdBu_r", "positive": "Reds", "negative": "Blues", "absolute_value": "Purples"}
_BARS = {"positive": UP, "negative": DOWN, "absolute_value": "#54278f"}
_WORDS = {
    "all": "attribution",
    "positive": "positive attribution",
    "negative": "size of negative attribution",
    "absolute_value": "size of attribution",
}
_SHAPES = "(length,), (h, w) or (c, h, w)"
_OPAQUE, _PALE = 0.85, 0.45  # the largest entries over an image; the darkest gray of an image under a map
_STRIPS = 16  # channels that can be told apart
_ELONGATED = 6.0  # height over width, or the other way round, from which on pixels are not square


def attribution(
    map: Any,
    image: Any = None,
    method: str = "heat_map",
    sign: str = "all",
    ax: Axes | None = None,
    title: str = "",
    outlier_perc: float = OUTLIERS,
) -> Figure:
    """One attribution map; methods and signs are named as in Captum's ``visualize_image_attr``.

    Channels are summed. Color is in proportion to the value, up to the outliers: red positive, blue negative.

    Args:
        map: an array or tensor, shape (h, w) or (c, h, w); (length,) is drawn as bars; or (channels, length), with the
            method ``"series"``.
        image: what the map is of: shape (h, w), (1, h, w), (3, h, w) or (h, w, 3), in [0, 1] or stretched to it; a map
            may be coarser, as those of layers are. For a series that of the map.
        method: ``"heat_map"``; ``"blended_heat_map"`` (or ``"overlay"``), over the image in pale gray, stronger where
            sizes are larger; ``"masked_image"`` (or ``"masked"``), the image as bright as sizes are large;
            ``"original_image"``; ``"series"``, a strip a channel with the series in it.
        sign: ``"all"``, ``"positive"``, ``"negative"`` or ``"absolute_value"``: which of the map is drawn. A
            masked image takes sizes where ``"all"`` is asked.
        ax: where to draw.
        title: above it.
        outlier_perc: percentage of all there is in a map that its largest entries may hold and have one color; 0 for
            none. Bars are never cut.

    Raises:
        ArgumentError: a shape does not fit, an image is missing, a value is NaN or inf, or a word is not known.
    """
    method = _ALSO.get(checks.known("method", method, (*_METHODS, *_ALSO)), method)
    checks.known("sign", sign, _SIGNS)
    said = literal(checks.text("title", title), 70)
    cut = _percentage(outlier_perc)
    if method == "series":
        ax = _series(ax, map, image, sign, cut)
    else:
        values = numbers("map", map, (1, 2, 3), _SHAPES)
        if values.ndim == 1:
            if method != "heat_map":
                raise ArgumentError("method", method, "must be heat_map or series for a map of one dimension")
            ax = axes_of(ax, (min(max(0.12 * len(values), 4.0), 12.0), 3.0))
            signed_bars(ax, values, sign)
        else:
            ax = _pixels(ax, values, image, method, sign, cut)
    ax.set_title(said, fontsize=10)
    return figure_of(ax)


def heat(
    ax: Axes,
    values: Array,
    sign: str = "all",
    alpha: Array | None = None,
    location: Literal["right", "bottom"] = "right",
    outlier_perc: float = OUTLIERS,
) -> None:
    """A map over pixels in color, with its color bar.

    Args:
        ax: the axes.
        values: shape (h, w).
        sign: which of it.
        alpha: how opaque each pixel is; all of them wholly if None.
        location: of the color bar.
        outlier_perc: as in `attribution`.
    """
    chosen, unit = scaled(_chosen(values, sign))
    norm = _norm(chosen, sign, outlier_perc)
    ax.imshow(chosen, cmap=_COLORS[sign], norm=norm, alpha=alpha, interpolation="nearest", aspect=aspect(chosen))
    unticked(ax)
    _color_bar(ax, norm, sign, unit, chosen, location)


def aspect(values: npt.NDArray[Any]) -> Literal["equal", "auto"]:
    """Square pixels, but for what would be a line."""
    h, w = values.shape[:2]
    return "equal" if max(h, w) < _ELONGATED * min(h, w) else "auto"


def signed_bars(ax: Axes, values: Array, sign: str = "all") -> None:
    """A map of one dimension as bars, red above 0 and blue below."""
    chosen, unit = scaled(_chosen(values, sign))
    colors = np.where(chosen > 0, UP, DOWN) if sign == "all" else _BARS[sign]
    columns(ax, range(len(chosen)), chosen, facecolors=colors)
    bar_limits(ax, chosen)
    ax.set_xlabel("entry", fontsize=8)
    ax.set_ylabel(_label(sign, unit, chosen), fontsize=8)


def show_image(ax: Axes, image: Array) -> None:
    """An image in [0, 1], gray or in color."""
    ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect=aspect(image))
    unticked(ax)


def unticked(ax: Axes) -> None:
    """Pixels have no numbers."""
    ax.set_xticks([])
    ax.set_yticks([])


def _pixels(ax: Axes | None, values: Array, image: Any, method: str, sign: str, outlier_perc: float) -> Axes:
    over = summed(scaled(values)[0]) if values.ndim == 3 else values
    seen = None if image is None else picture(image)
    if seen is None and method != "heat_map":
        raise ArgumentError("image", None, f"is needed for the method {method}")
    if seen is not None:
        over = _enlarged(over, seen, np.shape(image))
    ax = axes_of(ax, (4.0, 3.4))
    if method == "original_image" and seen is not None:
        show_image(ax, seen)
    elif method == "masked_image" and seen is not None:
        mask = _shares(_chosen(over, "absolute_value" if sign == "all" else sign), outlier_perc)
        show_image(ax, seen * (mask if seen.ndim == 2 else mask[..., None]))
    elif method == "blended_heat_map" and seen is not None:
        gray = seen if seen.ndim == 2 else seen.mean(axis=-1)
        show_image(ax, _PALE + (1 - _PALE) * gray)
        shares = _shares(np.abs(_chosen(over, sign)), outlier_perc)
        heat(ax, over, sign, alpha=_OPAQUE * shares, outlier_perc=outlier_perc)
    else:
        heat(ax, over, sign, outlier_perc=outlier_perc)
    return ax


def _enlarged(map: Array, image: Array, given: tuple[int, ...]) -> Array:
    """A map that is coarser than its image, each entry over the pixels that are nearest to it."""
    (h, w), (height, width) = map.shape, image.shape[:2]
    if h > height or w > width:
        raise ArgumentError("image.shape", given, f"must have the map's height and width, {map.shape}, or more of them")
    rows, columns = (np.arange(many) * few // many for few, many in ((h, height), (w, width)))
    return np.asarray(map[rows][:, columns])


def _series(ax: Axes | None, map: Any, image: Any, sign: str, outlier_perc: float) -> Axes:
    """One strip a channel, one beneath the other; each series within its strip, from its least to its largest."""
    values = np.atleast_2d(numbers("map", map, (1, 2), "(length,) or (channels, length) for a series"))
    chosen, unit = scaled(_chosen(values, sign))
    n, length = chosen.shape
    series = None
    if image is not None:
        series = np.atleast_2d(numbers("image", image, (1, 2), "(length,) or (channels, length) for a series"))
        if series.shape != values.shape:
            raise ArgumentError("image.shape", np.shape(image), f"must be the map's for a series, {np.shape(map)}")
    ax = axes_of(ax, (8.0, min(1.0 + 0.9 * n, 9.0)))
    norm = _norm(chosen, sign, outlier_perc)
    ax.imshow(chosen, cmap=_COLORS[sign], norm=norm, interpolation="nearest", aspect="auto")
    if series is not None:
        least, width = series.min(axis=1, keepdims=True) / 2, np.ptp(series / 2, axis=1)[:, None]
        heights = np.where(width > 0, (series / 2 - least) / np.where(width > 0, width, 1.0), 0.5)
        for channel, height in enumerate(heights):
            ax.plot(range(length), channel + 0.4 - 0.8 * height, color="black", linewidth=1.0)
    for edge in range(1, n):
        ax.axhline(edge - 0.5, color="white", linewidth=3)
    ax.set_yticks(range(n) if n <= _STRIPS else [])
    ax.set_ylabel("channel", fontsize=8)
    ax.set_xlabel("position", fontsize=8)
    ax.tick_params(labelsize=8)
    _color_bar(ax, norm, sign, unit, chosen)
    return ax


def _chosen(values: Array, sign: str) -> Array:
    """What of a map is drawn; >= 0 unless it is all."""
    if sign == "positive":
        return np.maximum(values, 0.0)
    if sign == "negative":
        return np.maximum(-values, 0.0)
    return np.abs(values) if sign == "absolute_value" else values


def _percentage(value: object) -> float:
    found = float(checks.nonnegative_values("outlier_perc", np.asarray(value)))
    if found >= 100:
        raise ArgumentError("outlier_perc", value, "must be a percentage below 100")
    return found


def _shares(sizes: Array, outlier_perc: float) -> Array:
    """Of the largest size, at most 1."""
    return np.minimum(sizes / largest(sizes, outlier_perc), 1.0)


def _norm(chosen: Array, sign: str, outlier_perc: float) -> Normalize:
    most = largest(chosen, outlier_perc)
    return Normalize(-most if sign == "all" else 0.0, most)


def _color_bar(
    ax: Axes, norm: Normalize, sign: str, unit: float, chosen: Array, location: Literal["right", "bottom"] = "right"
) -> None:
    shown = ScalarMappable(norm, _COLORS[sign])
    if location == "right":
        bar = figure_of(ax).colorbar(shown, ax=ax, shrink=0.9)
    else:  # as wide as the pixels, however wide their place is
        place = ax.inset_axes((0, -0.1, 1, 0.05))
        bar = figure_of(ax).colorbar(shown, cax=place, orientation="horizontal", ticks=MaxNLocator(4))
    bar.set_label(_label(sign, unit, chosen), fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _label(sign: str, unit: float, chosen: Array) -> str:
    said = _WORDS[sign] + ("" if unit == 1 else f" / {unit:g}")
    return said if chosen.any() else f"{said} (all 0)"
