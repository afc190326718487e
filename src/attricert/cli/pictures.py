"""The pictures that a run leaves beside its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from attricert import runs
from attricert.certificates import Certificate
from attricert.cli.lines import say
from attricert.errors import IntegrityError
from attricert.plots import certified, save_figure
from attricert.runs.results import stream
from attricert.runs.rows import CERTIFIED, Row, evidence_of_rows
from attricert.streams import sample_key
from attricert.text import told

__all__ = ["PICTURES", "leave_pictures"]

PICTURES = "pictures.png"

_WIDTH, _HEIGHT = 11.0, 3.5  # inches of a row


def leave_pictures(
    store: runs.Store, rows: Sequence[Mapping[str, Any]], asked: runs.Asked, most: int, ran: bool
) -> bool:
    """``pictures.png``: the first certified inputs, with what is certified at the first of the sizes asked.

    Nothing is drawn where maps were not kept, where the paper's formulas were asked for, or no size was. What goes
    wrong is one note, as the run itself is done.

    Args:
        store: a run that is whole.
        rows: of all its inputs, in the order of the data.
        asked: sizes, and how many entries are the top ones.
        most: how many inputs to draw.
        ran: whether the run's own code, if it has any, was run just now; where it was not, it makes no data either.

    Returns:
        Whether there is a picture.
    """
    config = store.manifest.config
    first = [i for i, row in enumerate(rows) if row["status"] == CERTIFIED][:most]
    if not first or asked.eps == () or config.maps != "keep" or config.method == "printed":
        return False
    try:
        save_figure(_figure(store, first, asked, ran), store.folder / PICTURES)
    except Exception as error:  # data that are gone, files that cannot be written, whatever it is
        say(f"no pictures were left: {told(error)}")
        return False
    return True


def _figure(store: runs.Store, positions: Sequence[int], asked: runs.Asked, ran: bool) -> Figure:
    found = sorted(stream(store, positions), key=lambda row: int(row.facts["position"]))
    certificate, items = Certificate(evidence_of_rows(found)), store.items(trust_code=ran)
    whole = Figure(figsize=(_WIDTH, _HEIGHT * len(found)))
    parts = whole.subfigures(len(found), 1, squeeze=False)[:, 0]
    top, sizes = asked.top(certificate.terms.map_entries), asked.sizes(certificate.terms)
    form = store.manifest.data_form
    names = form.names if form.kind == "columns" and len(form.names) == certificate.terms.map_entries else ()
    for i, (row, part) in enumerate(zip(found, parts, strict=True)):
        image = items[row.facts["position"]][0]
        _refuse_other(row, sample_key(image))
        certified(certificate, i, sizes[0], image, top, row.facts["id"], part, names)
    return whole


def _refuse_other(row: Row, key: str) -> None:
    """An image that is not what was certified."""
    if key != row.facts["input"]:
        raise IntegrityError(f"{row.facts['id']}: the data are not those of the run")
