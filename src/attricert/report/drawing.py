"""What a page's script draws: places of pictures and numbers in a block, and all that is said at each size."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from attricert.plots.arrays import largest
from attricert.report import whole_set
from attricert.report.measures import Measures
from attricert.report.packing import Block, encoded, pixels
from attricert.report.steps import NOTHING, SCALE
from attricert.report.words import SILENT
from attricert.text import shortened
from attricert.units import perturbation

__all__ = ["drawn"]

_NAME = 24  # characters beside bars
_GAP = 0.06  # between pictures, of a side
_SHADES = 15  # of either colour
_NOISE = 40  # what the sample's noise is scaled to, as root mean square

Array = npt.NDArray[Any]


def drawn(m: Measures, block: Block) -> dict[str, Any]:
    """As plain values, once everything is in the block."""
    height, width = m.layout.size
    return {
        "kind": m.layout.kind,
        "height": height,
        "width": width,
        "gap": max(1, round(_GAP * width)),
        "panels": m.panels,
        "scale": SCALE,
        "shades": _SHADES,
        "nothing": NOTHING,
        "silent": SILENT,
        "eps": m.sizes,
        "words": m.size_words,
        "sets": whole_set.at_each_size(m),
        "marker": whole_set.markers(m),
        "numbers": [block.put(values) for _, values in m.named_numbers],
        "limits": block.put(m.limits[0]),
        "limitWords": m.limits[1],
        "names": [shortened(name, _NAME) for name in m.names],
        **_pictures(m, block),
        **_sample(m, block),
    }


def _pictures(m: Measures, block: Block) -> dict[str, Any]:
    f, layout, maps = m.findings, m.layout, {}
    images: list[list[int]] = []
    shades = _shades if layout.kind == "picture" else _levels
    if f.certificate.evidence.maps is not None:
        maps["smoothed"] = block.put(shades(_cells(m, f.certificate.maps)))
    if layout.kind == "picture":
        if f.plain_maps is not None:
            maps["plain"] = block.put(shades(_cells(m, f.plain_maps)))
        if f.images is not None:
            images = [block.put(encoded(_picture(m, image))) for image in f.images]
    elif layout.kind == "series" and f.images is not None and f.images.shape[1:] == f.shape:
        maps["image"] = block.put(_levels(_cells(m, f.images)))
    found: dict[str, Any] = {"maps": maps, "images": images, "signs": None, "tops": None, "low": None, "high": None}
    if (entries := m.entries) is not None:
        found["signs"], found["tops"] = block.put(entries.signs), block.put(entries.top)
        if entries.low is not None and entries.high is not None and "smoothed" in maps:
            # In units of the largest smoothed value, as the maps are; outwards, so that no interval shrinks.
            unit = _largest(_cells(m, f.certificate.maps))[:, :, None]
            for name, ends, outwards in (("low", entries.low, np.floor), ("high", entries.high, np.ceil)):
                # Ends beyond the axis are cut there, which is still outside all that is shown.
                cut = np.clip(outwards(ends / (2 * unit) * 32767), -32767, 32767)
                found[name] = block.put(cut.astype(np.int16))
    return found


def _cells(m: Measures, maps: Array) -> Array:
    """Of n maps, shape (n, cells): means over cells of the sums over channels."""
    layout = m.layout
    return np.stack([layout.mean(layout.total(one)).reshape(-1) for one in np.asarray(maps, np.float64)])


def _picture(m: Measures, image: Array) -> Any:
    same = image.shape == m.findings.shape
    stack = m.layout.stacked(image) if same else image.reshape(-1, *image.shape[-2:])
    return pixels(stack, m.findings.data_range, m.layout.size)


def _largest(cells: Array) -> Array:
    """Of each map, shape (n, 1); 1 for one that is zero."""
    found = np.abs(cells).max(axis=1, keepdims=True)
    return np.where(found > 0, found, 1.0)


def _levels(cells: Array) -> npt.NDArray[np.int8]:
    """Each map in units of its largest value."""
    return np.asarray((cells / _largest(cells) * 127).round().astype(np.int8))


def _shades(cells: Array) -> npt.NDArray[np.int8]:
    """Each map for colours: few, in even steps of the root, which is what the eye tells apart; outliers are cut."""
    shares = np.clip(cells / np.array([[largest(one)] for one in cells]), -1, 1)
    return np.asarray((np.sign(shares) * np.sqrt(np.abs(shares)) * _SHADES).round().astype(np.int8))


def _sample(m: Measures, block: Block) -> dict[str, Any]:
    """Noise for the first input, and how much of it at each size."""
    if not m.shows_change:
        return {"channels": 0, "rms": [], "noiseRms": _NOISE, "noise": None}
    images = m.findings.images
    channels = 3 if images is not None and images.ndim == 4 and images.shape[1] == 3 else 1
    shape = (*m.layout.size, channels)
    noise = perturbation(shape, _NOISE * float(np.sqrt(np.prod(shape))))
    place = block.put(np.clip(noise.round(), -127, 127).astype(np.int8))
    levels = [round(m.units.levels(size), 3) for size in m.eps]
    return {"channels": channels, "rms": levels, "noiseRms": _NOISE, "noise": place}
