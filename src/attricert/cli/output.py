"""Output: tables for people, JSON for programs, pictures; lower bounds are rounded down."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from attricert.certificates import Terms, note
from attricert.cli.layout import blocks
from attricert.cli.lines import say
from attricert.datasets import Labelled
from attricert.report import COSINE, MAX_EPS, shown
from attricert.report.brief import inputs
from attricert.rounding import short
from attricert.runs import Store, Summary
from attricert.runs.results import input_units
from attricert.runs.rows import CERTIFIED
from attricert.text import printable, shortened
from attricert.units import InputUnits

_FEW = 50  # inputs that are shown one by one
_PIPE = 160  # characters of a line, where there is no terminal that says how many
_SHORTEST = 16  # characters that are left of a name
_OTHERS = 10  # of which it is said one by one that they have another class
_KIND = {
    "sound": "sound lower bounds",
    "printed": "the paper's printed formula (NOT lower bounds)",
    "asymptotic": "asymptotic figures (NOT lower bounds: they hold for no finite number of samples)",
}

__all__ = [
    "describe",
    "exit_code",
    "show",
    "show_json",
    "show_rows",
    "show_run",
    "show_table",
    "subjects",
]


def subjects(data: Labelled, predicted: Tensor, target: Tensor) -> dict[str, Sequence[Any]]:
    """What each row of results is about."""
    return {
        "id": data.ids,
        "label": data.labels.tolist(),
        "prediction": predicted.tolist(),
        "target": target.tolist(),
    }


def show_run(store: Store, rows: Sequence[Mapping[str, Any]], found: Summary, terms: Terms | None) -> None:
    """A run: its certificates, if they are few, and what they amount to."""
    config = store.manifest.config
    good = [row for row in rows if row["status"] == CERTIFIED]
    title = f"{config.model}, {config.data}"
    if terms is not None and good:
        samples = max(row["n_samples"] + row["n_pilot"] for row in good)
        text = describe(terms, config.method, samples)
        units = input_units(store, terms)
        if len(good) <= _FEW:
            show_rows(good, text, title, units)
        else:
            show(f"{title}: {text}")
            _show_units(good[0], units)
    _show_curve(found)
    _show_shares(found)
    if known := found.classes.inputs:
        show(f"explained class certain to be the smoothed model's: {found.class_kept} of {known} inputs")
    for line in found.classes.lines():
        show(line)
    for e, reasons in found.abstentions.items():
        for reason, count in reasons.items():
            show(f"abstains at eps={e!r} on {count} of {inputs(found.certified)}: {reason}")
    for reason, count in found.failed.items():
        show(f"failed on {count} of {inputs(found.inputs)}: {reason}")


def _show_curve(found: Summary) -> None:
    """Share of inputs against eps, as certified accuracy is shown."""
    for t, points in found.curve.items():
        if points and found.certified > 1:
            table = {f"eps {e!r}": _down(share) for e, share in points}
            show_table([table], f"share of inputs certified to keep a cosine of {t!r}", repeat=False)


def _show_shares(found: Summary) -> None:
    """What the run says of the source of its inputs, where it says anything."""
    said = [claim for claim in found.shares if claim.certified]
    if not said:
        return
    table = [
        {
            "cosine": repr(claim.cosine),
            "eps": repr(claim.eps),
            "certified": f"{claim.certified} of {claim.inputs}",
            "of the source, at least": _down(claim.at_least),
        }
        for claim in said
    ]
    sure = f"{1 - Decimal(repr(said[0].beta)):f}"
    show_table(
        table,
        f"share of inputs from the same source that keep a cosine, with confidence {sure}",
        "each by itself: if eps and cosine were not chosen by looking at results, and the inputs are a random sample",
    )


def _show_units(row: Mapping[str, Any], units: InputUnits) -> None:
    """What eps amounts to, once: the largest at which a cosine is told."""
    if asked := [float(key[len(COSINE) :]) for key in row if key.startswith(COSINE)]:
        show(units.note(max(asked)))


def show_rows(rows: Sequence[Mapping[str, Any]], description: str, title: str, units: InputUnits) -> None:
    """The certificates of a run: one line an input."""
    table = [
        {
            "input": shortened(row["id"]),
            "label": "" if row["label"] < 0 else str(row["label"]),
            "prediction": "" if row["prediction"] < 0 else str(row["prediction"]),
            **({"target": str(row["target"])} if any(r["target"] != r["prediction"] for r in rows) else {}),
            "norm >=": shown(row["norm"]),
            **{f"cos, eps={key[len(COSINE) :]}": _cosine(row[key]) for key in row if key.startswith(COSINE)},
            **{f"eps, T={key[len(MAX_EPS) :]}": _size(row[key]) for key in row if key.startswith(MAX_EPS)},
            **({"outcome": row["outcome"]} if any(r["outcome"] for r in rows) else {}),
        }
        for row in rows
    ]
    show_table(table, title, description)
    marked = any(row.get("class_kept") is False for row in rows)
    if further := [{"input": shortened(row["id"]), **_further(row, marked)} for row in rows if _further(row, marked)]:
        entries, classes = any(", eps=" in name for name in further[0]), "class" in further[0]
        parts = {"prediction": ("the smoothed prediction", classes), "entries": ("signs, ranks, top set", entries)}
        title = " and ".join(name for name, (_, there) in parts.items() if there)
        show_table(further, title, f"certain to stay: {'; '.join(words for words, there in parts.values() if there)}")
    means = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0] if key.startswith(MAX_EPS)}
    told = (f"T={key[len(MAX_EPS) :]}: {_size(mean)} ({units.amount(mean)})" for key, mean in means.items())
    show(f"mean certified eps over {inputs(len(rows))}: {', '.join(told)}")
    _show_units(rows[0], units)
    for row in rows:
        if row["zeros"] or row["nonfinite"]:
            show(
                f"{row['id']}: {row['zeros']} zero and {row['nonfinite']} non-finite of {row['n_samples']} attributions"
            )
    _show_other_classes(rows)


def _show_other_classes(rows: Sequence[Mapping[str, Any]]) -> None:
    """Inputs whose map explains a class that the smoothed model does not predict."""
    others = [row for row in rows if row.get("class_kept") is False and _other(row)]
    for row in others[:_OTHERS]:
        own = row["prediction"] == row["explained_class"]
        show(
            f"{row['id']}: {_other(row)}: this map explains a class that the smoothed model does not predict; "
            + ("less noise would help" if own else "nor does the model itself")
        )
    if len(others) > _OTHERS:
        show(f"and so on: {len(others)} inputs in all")


def _other(row: Mapping[str, Any]) -> str:
    return note(row["explained_class"], row["certified_prediction"])


def _further(row: Mapping[str, Any], marked: bool) -> dict[str, str]:
    """What is said of the prediction, and at the smallest eps of the entries; all of it is in the files.

    With a mark where the class that is explained is not, or not for certain, that of the smoothed model.
    """
    found: dict[str, str] = {}
    if "prediction_radius" in row:
        found = {"class": str(row["certified_prediction"]), "keeps it, eps <": _size(row["prediction_radius"])}
        if marked and "class_kept" in row:
            other = row["certified_prediction"] != row["explained_class"]
            word = "yes" if row["class_kept"] else f"NO: {row['explained_class']}" if other else "not certain"
            found["is explained"] = word
    pattern = re.compile(r"(signs|kendall_tau|top_(\d+)_overlap)_eps_(.*)")
    matches = [match for key in row if (match := pattern.fullmatch(key))]
    for match in matches:
        if match[3] == matches[0][3]:
            name = {"signs": "signs", "kendall_tau": "tau"}.get(match[1], f"top {match[2]}")
            # A share is a ratio of counts: its decimal form says exactly that, its binary form may lie a hair below.
            value = row[match[0]] if name == "tau" else Decimal(str(row[match[0]]))
            found[f"{name}, eps={match[3]}"] = shown(value)
    return found


def describe(t: Terms, method: str, samples: int) -> str:
    """What the numbers claim."""
    kind = "asymptotic" if t.confidence == "asymptotic" else method
    return (
        f"{_KIND[kind]} for {t.noise}, {t.bound}, {t.guarantee} guarantee, alpha = {t.alpha!r} "
        f"({t.confidence}), up to {samples:,} samples an input, seed {t.seed}"
    )


def show_table(rows: Sequence[Mapping[str, str]], title: str, caption: str = "", *, repeat: bool = True) -> None:
    """Rows with the same keys as a table, in several blocks where the terminal is narrower.

    Args:
        rows: cells; the first column may be shortened in its middle, all else is shown whole.
        title: above.
        caption: below.
        repeat: begin every block with the first column.
    """
    told = os.environ.get("COLUMNS", "").isdigit() or sys.stdout.isatty()
    console = Console(width=None if told else _PIPE)
    cells = [{printable(name): printable(text) for name, text in row.items()} for row in rows]
    found = blocks(cells, console.width, repeat)
    if len(found) > 1 and repeat:
        first, longest = next(iter(cells[0])), max(console.width // 2, _SHORTEST)
        cells = [{**row, first: shortened(row[first], longest)} for row in cells]
        found = blocks(cells, console.width, repeat)
    console.print(Text(printable(title), style="table.title"))
    for block in found:
        table = Table(box=box.SIMPLE_HEAD)
        for name, width in block.items():
            table.add_column(Text(name), justify="right", width=width, overflow="fold")
        for row in cells:
            table.add_row(*(Text(row[name]) for name in block))
        console.print(table)
    if caption:
        console.print(Text(printable(caption), style="table.caption"))


def exit_code(found: Summary) -> int:
    """1 if any input failed, with a line that says so; 0 if all that were tried are certified."""
    failed = sum(found.failed.values())
    if failed:
        how = "every input failed" if not found.certified else f"{failed} of {found.inputs} inputs failed"
        say(f"{how}; attricert certify --out FOLDER --retry_failed tries them again")
    return 1 if failed else 0


def show_json(value: Any) -> None:
    """One JSON document on standard output, in ASCII."""
    print(json.dumps(value, indent=2))


def show(text: str) -> None:
    """Text on standard output, of one line or more."""
    print("\n".join(map(printable, text.split("\n"))), flush=True)


def _down(share: float) -> str:
    return f"{math.floor(1000 * share) / 1000:.3f}"


def _size(eps: float) -> str:
    """A largest eps, however small: rounded down to four digits that count."""
    return short(eps, digits=4)


def _cosine(value: float) -> str:
    return "abstain" if value <= -1.0 else shown(value)
