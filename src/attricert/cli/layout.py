"""How a table fits a terminal: headings wrap, cells never; what does not fit is stacked in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len

__all__ = ["Block", "blocks"]

Block = Mapping[str, int]
"""Columns that stand side by side, with the width of each in characters."""

_AROUND, _BETWEEN = 1, 3  # characters beside the outermost columns and between two, as rich draws SIMPLE_HEAD


def blocks(rows: Sequence[Mapping[str, str]], width: int, repeat: bool) -> list[Block]:
    """All columns in as few blocks as they fit.

    Args:
        rows: cells, with the same keys in every row.
        width: of the terminal.
        repeat: begin every block with the first column.
    """
    least = {name: max(_cells(rows, name), max(map(cell_len, name.split()), default=0)) for name in rows[0]}
    wanted = {name: max(_cells(rows, name), cell_len(name)) for name in least}
    return [_widened(names, least, wanted, width) for names in _split(least, width, repeat)]


def _split(least: Mapping[str, int], width: int, repeat: bool) -> Iterator[list[str]]:
    first, *others = least
    head = [first] if repeat else []
    block = [first]
    for name in others:
        if block != head and _total([least[n] for n in [*block, name]]) > width:
            yield block
            block = list(head)
        block.append(name)
    yield block


def _widened(names: Sequence[str], least: Mapping[str, int], wanted: Mapping[str, int], width: int) -> Block:
    """With headings on one line as far as there is room, and no column wider than the terminal."""
    found = {name: least[name] for name in names}
    for name in names:
        room = width - _total(list(found.values()))
        found[name] = max(1, found[name] + min(room, wanted[name] - found[name]))
    return found


def _cells(rows: Sequence[Mapping[str, str]], name: str) -> int:
    return max(cell_len(row[name]) for row in rows)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _BETWEEN * len(widths) + _AROUND
