"""Whether maps explain the class that the smoothed model predicts; true claims of others may well mean nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

__all__ = ["Meaning", "note"]

_FEW = 5  # pairs of classes that are named
_MANY = 3  # inputs from which on one class for all is no chance


@final
@dataclass(frozen=True)
class Meaning:
    """The classes that maps explain, beside those of the smoothed model.

    Args:
        inputs: how many have both.
        others: where they differ: (explained, smoothed, how many inputs), most frequent first.
        one_class: the smoothed class of all inputs, three or more, though more classes are explained; None otherwise.
    """

    inputs: int = 0
    others: tuple[tuple[int, int, int], ...] = ()
    one_class: int | None = None

    @classmethod
    def of(cls, explained: npt.ArrayLike, smoothed: npt.ArrayLike) -> Meaning:
        """From classes, one an input each.

        Args:
            explained: -1 where there is none: such inputs do not count.
            smoothed: -1 where no draw had one.
        """
        pairs = np.stack([np.asarray(explained, dtype=np.int64), np.asarray(smoothed, dtype=np.int64)], axis=-1)
        known: list[tuple[int, int]] = [(a, b) for a, b in pairs.tolist() if a >= 0]
        counts = Counter((a, b) for a, b in known if a != b)
        classes = {b for _, b in known}
        alike = len(known) >= _MANY and len(classes) == 1 and len({a for a, _ in known}) > 1
        return cls(
            len(known), tuple((*pair, count) for pair, count in counts.most_common()), classes.pop() if alike else None
        )

    @property
    def other(self) -> int:
        """Inputs whose smoothed class is not the explained one."""
        return sum(count for *_, count in self.others)

    def lines(self) -> list[str]:
        """For people; none where every map explains the smoothed model's class."""
        found = []
        if self.others:
            found.append(
                f"on {self.other} of {self.inputs} inputs the explained class is not the class of the smoothed model "
                f"({'; '.join(self._pairs())}): such a map explains a class that the smoothed model does not predict; "
                "less noise would help where the model itself predicts it"
            )
        if self.one_class is not None:
            found.append(
                f"all {self.inputs} inputs are {_named(self.one_class)} under this noise, though different classes are "
                "explained: the smoothed model does not tell them apart; less noise would help"
            )
        return found

    def _pairs(self) -> Iterable[str]:
        for explained, smoothed, count in self.others[:_FEW]:
            yield f"{explained} explained, {_named(smoothed)} predicted" + (f", {count} times" if count > 1 else "")
        if len(self.others) > _FEW:
            yield "and so on"


def note(explained: int, smoothed: int) -> str:
    """What to put beside the map of one input; empty where it explains the smoothed model's class, or none."""
    return "" if explained in (-1, smoothed) else f"smoothed model says {_named(smoothed)}, explained {explained}"


def _named(label: int) -> str:
    return "no class" if label < 0 else str(label)
