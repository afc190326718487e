"""Curves as SVG: static, without styles, scripts or identifiers, so that it can stand in any page, dark or light."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

from attricert.errors import ArgumentError
from attricert.text import printable

__all__ = ["MARKER", "across", "curves"]

MARKER = "marker"
"""The id of the element that marks one x; a page's script may move it, to where `across` says."""

Line = tuple[Sequence[float], Sequence[float]]
Band = tuple[Sequence[float], Sequence[float], Sequence[float]]

_COLOURS = ("#3b8ed0", "#d9722e", "#2e9e5b", "#a855c7", "#b8860b", "#d6457f")  # at least 3 to 1 on white and on black
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 38  # margins, in pixels
_WIDTH, _HEIGHT = 480, 260  # in pixels
_TICKS = 55, 32  # pixels between ticks at the least, along x and y
_FONT = 'font-family="sans-serif" font-size="11" fill="currentColor"'


def curves(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    title: str,
    width: int = _WIDTH,
    height: int = _HEIGHT,
    band: Band | None = None,
    names: Sequence[str] = (),
    dashed: Collection[int] = (),
    marker: float | None = None,
    legend: bool = False,
) -> str:
    """One ``<svg>`` element: lines on axes with ticks, in colours that can be seen on white and on black.

    Points are rounded to the left and downwards: those of a falling lower bound are never drawn better than they are;
    between them lines are straight. Axes have the colour of the text around (``currentColor``), and begin at 0, or
    below where values do.

    Args:
        lines: x and y of each; a point that is not finite leaves a gap.
        x_label: below.
        y_label: at the side.
        title: what it is of, for those who do not see it.
        width: in pixels.
        height: in pixels.
        band: x, and the lower and upper y of an area; points that are not finite are left out.
        names: of the lines, shown where the mouse points at one; as many as there are lines, or none.
        dashed: numbers of lines that are dashed.
        marker: an x that is marked by a vertical line, or None.
        legend: also write the names in the upper right, where falling curves leave room.
    """
    for x, *values in (*lines, *([band] if band else [])):
        if any(len(y) != len(x) for y in values):
            raise ArgumentError("lines", [len(x), *map(len, values)], "must have as many x as y")
    plane = _plane(_all(lines, band), width, height)
    said = names or [""] * len(lines)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">',
        f"<title>{_text(title)}</title>",
        *_axes(plane, _text(x_label), _text(y_label)),
        *(_area(plane, band) if band else ()),
        *(_line(plane, i, line, _text(said[i]), len(lines), i in dashed) for i, line in enumerate(lines)),
        *(() if marker is None else [_marker(plane, marker)]),
        *(_legend(said, plane) if legend else ()),
        "</svg>",
    ]
    return "".join(parts)


def across(
    values: Sequence[float], lines: Sequence[Line], *, width: int = _WIDTH, band: Band | None = None
) -> list[float]:
    """Where x values lie in the picture that `curves` makes of the same, in pixels from the left."""
    x = _plane(_all(lines, band), width, _HEIGHT).x
    return [round(x.at(value), 1) for value in values]


def _all(lines: Sequence[Line], band: Band | None) -> list[Line]:
    """The edges of the band among them."""
    return [*lines, *([(band[0], band[1]), (band[0], band[2])] if band else [])]


@final
@dataclass(frozen=True)
class _Axis:
    """Values to pixels; ``first`` is where ``low`` lies."""

    low: float
    high: float
    first: float
    last: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        return self.first + (self.last - self.first) * (value - self.low) / (self.high - self.low)


@final
@dataclass(frozen=True)
class _Plane:
    x: _Axis
    y: _Axis

    def point(self, x: float, y: float) -> str:
        return f"{_tenth(self.x.at(x), math.floor)} {_tenth(self.y.at(y), math.ceil)}"

    def point_above(self, x: float, y: float) -> str:
        return f"{_tenth(self.x.at(x), math.floor)} {_tenth(self.y.at(y), math.floor)}"


def _plane(lines: Iterable[Line], width: int, height: int) -> _Plane:
    points = [point for x, y in lines for point in _finite(x, y)]
    x, y = ([point[i] for point in points] for i in (0, 1))
    across, up = (_LEFT, width - _RIGHT), (height - _BOTTOM, _TOP)
    return _Plane(_axis(x, *across, _TICKS[0], to_tick=False), _axis(y, *up, _TICKS[1], to_tick=True))


def _axis(values: Sequence[float], first: float, last: float, apart: float, *, to_tick: bool) -> _Axis:
    low, high = min([0.0, *values]), max([0.0, *values])
    if not 0 < high - low < math.inf:
        low, high = 0.0, 1.0
    step = _step((high - low) / max(abs(last - first) / apart, 1))
    least, most = math.floor(low / step), math.ceil(high / step - 1e-9)
    if to_tick:
        low, high = least * step, most * step
    ticks = (i * step for i in range(least, most + 1))
    return _Axis(low, high, first, last, tuple(tick for tick in ticks if low <= tick <= high))


def _step(at_least: float) -> float:
    """1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(at_least))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= at_least), 10 * power)


def _axes(plane: _Plane, x_label: str, y_label: str) -> Iterator[str]:
    x, y = plane.x, plane.y
    yield '<g stroke="currentColor" stroke-width="1" fill="none">'
    for tick in y.ticks:
        at = _tenth(y.at(tick), math.floor)
        yield f'<path d="M{x.first} {at}H{x.last}" stroke-opacity="0.15"/><path d="M{x.first} {at}h-4"/>'
    for tick in x.ticks:
        yield f'<path d="M{_tenth(x.at(tick), math.floor)} {y.first}v4"/>'
    yield f'<path d="M{x.first} {y.last}V{y.first}H{x.last}"/></g><g {_FONT}>'
    for tick in y.ticks:
        yield f'<text x="{x.first - 7}" y="{_tenth(y.at(tick) + 4, math.floor)}" text-anchor="end">{tick:g}</text>'
    for tick in x.ticks:
        yield f'<text x="{_tenth(x.at(tick), math.floor)}" y="{y.first + 16}" text-anchor="middle">{tick:g}</text>'
    middle, down = (x.first + x.last) / 2, (y.first + y.last) / 2
    yield f'<text x="{middle:g}" y="{y.first + 32}" text-anchor="middle">{x_label}</text>'
    yield f'<text x="12" y="{down:g}" text-anchor="middle" transform="rotate(-90 12 {down:g})">{y_label}</text></g>'


def _area(plane: _Plane, band: Band) -> Iterator[str]:
    x, low, high = band
    points = [(a, b, c) for a, b, c in zip(x, low, high, strict=True) if all(map(math.isfinite, (a, b, c)))]
    edge = [plane.point(a, b) for a, b, _ in points] + [plane.point_above(a, c) for a, _, c in reversed(points)]
    if edge:
        yield f'<path d="M{"L".join(edge)}Z" fill="{_COLOURS[0]}" fill-opacity="0.15" stroke="none"/>'


def _line(plane: _Plane, i: int, line: Line, name: str, count: int, dashed: bool) -> str:
    few = count <= len(_COLOURS)
    colour, faint = _COLOURS[i if few else 0], "" if few else ' stroke-opacity="0.5"'
    dashes = ' stroke-dasharray="4 3"' if dashed else ""
    said = f"<title>{name}</title>" if name else ""
    return (
        f'<path d="{_path(plane, line)}" fill="none" stroke="{colour}" stroke-width="1.5"{faint}{dashes}>{said}</path>'
    )


def _legend(names: Sequence[str], plane: _Plane) -> Iterator[str]:
    x, y = plane.x.last - 6, plane.y.last + 14
    for i, name in enumerate(names):
        colour = _COLOURS[i % len(_COLOURS)]
        yield f'<path d="M{x - 18} {y + 16 * i - 4}h18" stroke="{colour}" stroke-width="2"/>'
        yield f'<text x="{x - 24}" y="{y + 16 * i}" text-anchor="end" {_FONT}>{_text(name)}</text>'


def _marker(plane: _Plane, x: float) -> str:
    at = round(plane.x.at(x), 1)
    ends = f'x1="{at:g}" y1="{plane.y.last}" x2="{at:g}" y2="{plane.y.first}"'
    return f'<line id="{MARKER}" {ends} stroke="currentColor" stroke-width="1.5" stroke-opacity="0.6"/>'


def _path(plane: _Plane, line: Line) -> str:
    found, pen = "", "M"
    for x, y in zip(*line, strict=True):
        there = math.isfinite(x) and math.isfinite(y)
        found += pen + plane.point(x, y) if there else ""
        pen = "L" if there else "M"
    return found


def _finite(x: Sequence[float], y: Sequence[float]) -> list[tuple[float, float]]:
    return [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(a) and math.isfinite(b)]


def _tenth(pixels: float, towards: Callable[[float], int]) -> str:
    return f"{towards(10 * pixels) / 10:g}"


def _text(text: str) -> str:
    return html.escape(printable(text))
