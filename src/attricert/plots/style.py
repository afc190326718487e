"""What all pictures share: colours that colour-blind people tell apart, text of unknown origin, axes, files."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from io import BytesIO
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties, findfont, get_font

from attricert import checks
from attricert.certificates import Certificate, note
from attricert.errors import ArgumentError
from attricert.files import write_atomically
from attricert.text import printable, shortened

__all__ = [
    "DOWN",
    "EPS",
    "GRAY",
    "UP",
    "Picture",
    "axes_of",
    "bar_limits",
    "blank",
    "claim",
    "columns",
    "figure_of",
    "known",
    "line",
    "literal",
    "names_of",
    "notes",
    "one_size",
    "row_of",
    "save_figure",
    "titles",
]

UP, DOWN, GRAY = "#b2182b", "#2166ac", "#bdbdbd"
"""Positive and negative, as at the ends of matplotlib's RdBu_r, and what is not certain."""

EPS = "eps: $\\ell_2$ size of the perturbation, in input units"

_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito 2008
_DASHES = ("-", "--", "-.", ":")
_FORMATS = ("png", "pdf", "svg")
_LONGEST = 40  # characters of a name, if nothing else is said


class Picture(Figure):
    """A figure that notebooks show by themselves, whether or not pyplot is in use there."""

    def _repr_png_(self) -> bytes:
        return _file(self, "png")


def line(i: int) -> dict[str, Any]:
    """How the i-th line is drawn: lines differ by color and by dashes, so that one shows where others lie on it."""
    return {"color": _LINES[i % len(_LINES)], "linestyle": _DASHES[i % len(_DASHES)]}


def literal(name: str, longest: int = _LONGEST) -> str:
    """A name that matplotlib takes as it is: no formulas, no characters that cannot be seen or that its font lacks."""
    there = get_font(findfont(FontProperties())).get_charmap()
    seen = "".join(c if ord(c) in there else c.encode("unicode_escape").decode("ascii") for c in printable(name))
    # A label that begins with an underscore is left out of legends.
    return (" " if seen.startswith("_") else "") + shortened(seen, longest).replace("$", r"\$")


def titles(names: Sequence[str], notes: Sequence[str], longest: int = _LONGEST) -> list[str]:
    """Names, each with what is noted of it on a line of its own."""
    pairs = zip_longest(names, notes[: len(names)], fillvalue="")
    return [literal(name, longest) + (f"\n{literal(said)}" if said else "") for name, said in pairs]


def notes(certificate: Certificate) -> list[str]:
    """One an input: in words, where its map explains another class than the smoothed model's; else empty."""
    prediction = certificate.evidence.prediction
    smoothed = certificate.explained if prediction is None else prediction.label
    return [note(*pair) for pair in zip(certificate.explained.tolist(), smoothed.tolist(), strict=True)]


def claim(certificate: Certificate, eps: float) -> str:
    """Under which terms something is certain."""
    return f"eps = {eps!r}, alpha = {certificate.terms.alpha!r}"


def known(name: str, certificate: object) -> Certificate:
    """A certificate of one input or more."""
    if not isinstance(certificate, Certificate) or not len(certificate):
        given = "no inputs" if isinstance(certificate, Certificate) else type(certificate).__name__
        raise ArgumentError(name, given, "must be a Certificate of at least one input")
    return certificate


def row_of(certificate: object, i: int) -> Certificate:
    """That of the i-th input alone."""
    whole = known("cert", certificate)
    return whole[checks.count("i", i, 0, len(whole) - 1)]


def one_size(eps: npt.ArrayLike) -> float:
    """A number >= 0."""
    value = checks.nonnegative_values("eps", eps)
    if value.ndim:
        raise ArgumentError("eps", eps, "must be one number; a picture is of one size")
    return float(value)


def names_of(names: Sequence[str] | None, n: int, word: str) -> list[str]:
    """As many names as there are things; ``word 0``, ... where none are given."""
    found = [f"{word} {i}" for i in range(n)] if names is None else [checks.text("names", name) for name in names]
    if isinstance(names, str) or len(found) != n:
        raise ArgumentError("names", names, f"must be {n}, one for each {word}")
    return found


def axes_of(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Those given, or the only ones of a new figure of that size in inches."""
    if ax is None:
        return Picture(figsize=size, layout="constrained").subplots()
    if not isinstance(ax, Axes):
        raise ArgumentError("ax", type(ax).__name__, "must be matplotlib axes")
    return ax


def figure_of(part: Axes | SubFigure | Figure) -> Figure:
    """The whole figure that something is part of."""
    whole = part.figure
    while not isinstance(whole, Figure):
        whole = whole.figure
    return whole


def blank(ax: Axes, message: str) -> None:
    """Words in place of a picture."""
    ax.set_xticks([])
    ax.set_yticks([])
    text = textwrap.fill(message, 24)
    ax.text(0.5, 0.5, text, ha="center", va="center", fontsize=8, color="0.3", transform=ax.transAxes)


def columns(ax: Axes, where: Sequence[int] | npt.NDArray[Any], heights: npt.NDArray[Any], **style: Any) -> None:
    """Bars from 0, all of them one artist: thousands are no slower than ten.

    Args:
        ax: the axes.
        where: middles of the bars, shape (n,).
        heights: shape (n,).
        style: of the collection.
    """
    x, zero = np.asarray(where, dtype=np.float64), np.zeros(len(heights))
    left, right = x - 0.4, x + 0.4
    corners = [(left, zero), (left, heights), (right, heights), (right, zero)]
    outlines = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)
    ax.add_collection(PolyCollection(list(outlines), **style))


def bar_limits(ax: Axes, heights: npt.NDArray[Any]) -> None:
    """Room for `columns` of these heights, one at each of 0, 1, ..., and a line at 0."""
    low, high = min(float(heights.min()), 0.0), max(float(heights.max()), 0.0)
    room = 0.06 * (high - low) or 1.0
    ax.set_ylim(low - room * (low < 0 or not high), high + room * (high > 0 or not low))
    ax.set_xlim(-0.7, len(heights) - 0.3)
    ax.axhline(0, color="black", linewidth=0.6)
    ax.tick_params(labelsize=8)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """A PNG, PDF or SVG file, as its name ends; written aside and renamed.

    Args:
        figure: the figure.
        path: where.

    Raises:
        ArgumentError: the name ends otherwise.
    """
    if not isinstance(figure, Figure):
        raise ArgumentError("figure", type(figure).__name__, "must be a matplotlib figure")
    file = checks.path("path", path)
    form = file.suffix.lower().removeprefix(".")
    if form not in _FORMATS:
        raise ArgumentError("path", str(file), f"must end in {', '.join(f'.{one}' for one in _FORMATS)}")
    write_atomically(file, _file(figure, form))


def _file(figure: Figure, form: str) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format=form, dpi=130)
    return buffer.getvalue()
