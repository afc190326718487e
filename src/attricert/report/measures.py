"""What a report shows, measured once: sizes, numbers, cells, words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt

from attricert.metrics import cosine_similarity
from attricert.report.findings import Findings
from attricert.report.layout import Layout
from attricert.report.statement import unproven
from attricert.report.steps import NOTHING, SCALE, Entries, Numbers, Thousandths, grid_of
from attricert.units import InputUnits

__all__ = ["Measures", "grid"]

_CELLS, _SIDE = 3_300_000, 160  # of all pictures together, and of a side: some 15 MB
_POINTS = 512  # of a series
_TITLES = {
    "image": "input",
    "plain": "map without noise",
    "smoothed": "smoothed map",
    "signs": "certain signs",
    "top": "certain top {k}",
}


@final
@dataclass(frozen=True, eq=False)
class Measures:
    """Of findings, at every size of a grid.

    Args:
        findings: what they are of.
        eps: the sizes, rising.
        layout: where entries are shown.
        numbers: of each input at each size.
        entries: of each cell; None where bounds on entries were not proven or not kept.
    """

    findings: Findings
    eps: tuple[float, ...]
    layout: Layout
    numbers: Numbers
    entries: Entries | None

    @classmethod
    def of(cls, f: Findings, on_progress: Callable[[int], None]) -> Measures:
        """Take them, which takes time; told of every input and size that is done."""
        layout = Layout.of(f.shape, _CELLS // len(f.certificate), _SIDE, f.kind, f.picture)
        if layout.kind != "picture":
            layout = Layout.of(f.shape, _POINTS, _SIDE, layout.kind)
        eps = grid(f)
        return cls(f, eps, layout, *Entries.of(f.certificate, eps, layout, f.top_k, on_progress))

    @property
    def start(self) -> int:
        """Which size is shown first."""
        return self.eps.index(self.findings.eps[0]) if self.findings.eps else len(self.eps) // 4

    @property
    def proven(self) -> bool:
        """Whether the numbers are bounds at all."""
        return not unproven(self.findings.certificate.terms.confidence)

    @property
    def of_pictures(self) -> bool:
        """Whether inputs are shown as pictures."""
        return self.findings.images is not None and self.layout.kind == "picture"

    @property
    def cut(self) -> bool:
        """Whether some inputs have values that pictures of them cannot show."""
        images, (low, high) = self.findings.images, self.findings.data_range
        return images is not None and not bool(images.min() >= low and images.max() <= high)

    @property
    def of_images(self) -> bool:
        """Whether inputs are pictures in their range, so that eps can be told in grey levels."""
        known = self.findings.picture is not None or self.findings.shape == self.findings.input_shape
        return known and self.of_pictures and not self.layout.slices and not self.cut

    @property
    def shows_change(self) -> bool:
        """Whether a change of the first input is shown: of all its values, so not where some are held fixed."""
        return self.of_images and self.findings.certificate.terms.fixed is None

    @cached_property
    def units(self) -> InputUnits:
        """In which eps is told."""
        if self.findings.units is not None:
            return self.findings.units
        f, fixed = self.findings, self.findings.certificate.terms.fixed
        held = 0 if fixed is None or f.images is None else fixed.count
        return InputUnits("image" if self.of_images else "other", f.input_shape, f.data_range, held=held)

    @property
    def panels(self) -> list[str]:
        """Pictures of an input, from left to right; of rows of entries there is one."""
        f, picture = self.findings, self.layout.kind == "picture"
        have = {
            "image": f.images is not None and picture,
            "plain": f.plain_maps is not None and picture,
            "smoothed": f.certificate.evidence.maps is not None,
            "signs": self.entries is not None and picture,
            "top": self.entries is not None and picture,
        }
        return [name for name, there in have.items() if there]

    @property
    def titles(self) -> list[str]:
        """Of the panels."""
        return [_TITLES[name].format(k=self.findings.top_k) for name in self.panels]

    @cached_property
    def sizes(self) -> list[str]:
        """The grid in words, every digit."""
        return [f"{size:g}" if float(f"{size:g}") == size else repr(size) for size in self.eps]

    @cached_property
    def size_words(self) -> list[str]:
        """What each size amounts to."""
        compared = self.units.compared if self.units.kind == "image" else lambda _: ""
        pairs = [(f"= {self.units.spread(size)}", compared(size)) for size in self.eps]
        return ["; ".join(words for words in pair if words) for pair in pairs]

    @cached_property
    def named_numbers(self) -> list[tuple[str, Thousandths]]:
        """Those that there are; `NOTHING` where they say nothing, be it that no overlap, or no order, is certain."""
        found = {
            "certified cosine": (self.numbers.cosine, NOTHING),
            f"certified top {self.findings.top_k} overlap": (self.numbers.overlap, 0),
            "certified Kendall's tau": (self.numbers.tau, -SCALE),
            "share of entries with a certain sign": (self.numbers.signs, 0),
        }
        return [
            (name, np.where(values > least, values, NOTHING).astype(np.int16))
            for name, (values, least) in found.items()
            if values is not None
        ]

    @property
    def headings(self) -> list[str]:
        """Of columns with these numbers, shorter."""
        short = ["cosine", f"top {self.findings.top_k}", "tau", "signs"]
        return short[: len(self.named_numbers)]

    def told(self, i: int) -> int:
        """How many sizes say all of an input: those at which something holds, and the next one."""
        holds = [values[i] != NOTHING for _, values in self.named_numbers]
        return min(int(np.flatnonzero(np.any(holds, axis=0)).max(initial=-1)) + 2, len(self.eps))

    @cached_property
    def limits(self) -> tuple[npt.NDArray[np.uint8], list[str]]:
        """What limits each certificate at each size, and whether the smoothed model's class stays.

        Numbers of texts, shape (n, sizes), and the texts.
        """
        certificate = self.findings.certificate
        words = certificate.binding(list(self.eps))
        words = np.where(self.numbers.cosine == NOTHING, "nothing is certified: " + words, "limited by " + words)
        if certificate.evidence.prediction is not None:
            stays = np.array(self.eps) < certificate.prediction_radius()[:, None]
            words = words + np.where(stays, "; the smoothed prediction stays", "; the smoothed prediction may change")
        texts, where = np.unique(words.astype(str), return_inverse=True)
        return where.reshape(words.shape).astype(np.uint8), texts.tolist()

    @cached_property
    def names(self) -> list[str]:
        """Of entries (table), or of channels (series)."""
        rows, columns = self.layout.size
        count = {"table": columns, "series": rows, "picture": 0}[self.layout.kind]
        kind = "channel" if self.layout.kind == "series" else "entry"
        given = self.findings.names or ()
        return [given[i] if i < len(given) else f"{kind} {i}" for i in range(count)]

    @cached_property
    def likeness(self) -> list[float]:
        """The cosine between maps with and without noise, one an input; NaN where one is zero or not there."""
        f, n = self.findings, len(self.findings.certificate)
        if f.plain_maps is None or f.certificate.evidence.maps is None:
            return [float("nan")] * n
        pair = (np.asarray(a, np.float64).reshape(n, -1) for a in (f.plain_maps, f.certificate.maps))
        return list(map(float, cosine_similarity(*pair)))


def grid(f: Findings) -> tuple[float, ...]:
    """The sizes at which findings are shown."""
    entries = len(f.certificate) * f.certificate.terms.map_entries
    return grid_of(f.certificate, f.eps, entries if f.certificate.evidence.entries is not None else 0)
