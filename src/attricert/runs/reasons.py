"""Reasons of many inputs, in as few lines as say it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

__all__ = ["grouped"]

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_ALONE = re.compile(r"[\s=(\[,:]-?[\d.]+(?:e[-+]?\d+)?[\s)\],;.%]")


def grouped(reasons: Iterable[str]) -> dict[str, int]:
    """How many there are of each kind; those that differ in numbers alone are one, told with the range of each number.

    Where a number is part of a name (``IMG_07.png``), the first one stands for them: "... (and 11 like it)".

    Args:
        reasons: one an input.
    """
    kinds: dict[str, list[str]] = {}
    for reason in reasons:
        kinds.setdefault(_NUMBER.sub("\0", reason), []).append(reason)
    counts: Counter[str] = Counter()
    for alike in kinds.values():
        counts[_told(alike)] += len(alike)
    return dict(counts)


def _told(alike: Sequence[str]) -> str:
    first = alike[0]
    columns = list(zip(*(_NUMBER.findall(reason) for reason in alike), strict=True))
    matches = list(_NUMBER.finditer(first))
    varying = {match.span(): values for match, values in zip(matches, columns, strict=True) if len(set(values)) > 1}
    around = f" {first} "
    if not all(_ALONE.fullmatch(around[start : end + 2]) for start, end in varying):
        return f"{first} (and {len(alike) - 1} like it)"
    text, last = "", 0
    for (start, end), values in varying.items():
        text += f"{first[last:start]}{min(values, key=float)} to {max(values, key=float)}"
        last = end
    return text + first[last:]
