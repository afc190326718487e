"""What a notebook shows: static HTML without styles, scripts or anything from elsewhere, on any background."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, Template

from attricert import checks, report
from attricert.certificates import Certificate, PaperCertificate
from attricert.report import brief, svg
from attricert.report.results import MAX_EPS, rows_of
from attricert.rounding import short
from attricert.showing import Page
from attricert.text import printable

if TYPE_CHECKING:
    from attricert.attacks import Sandwich
    from attricert.diagnosis import Diagnosis
    from attricert.planning import Plan, PlannedScale
    from attricert.proving import Forecast
else:  # which need torch
    Diagnosis = Forecast = Plan = PlannedScale = Sandwich = Any

__all__ = ["certificate", "diagnosis", "forecast", "page", "plan", "sandwich"]

_MOST = 100  # inputs shown
_LEGEND = 6  # curves that have a colour each
_COSINES = (brief.THRESHOLD, 0.8)
_POINTS = 32  # of a curve
_LEAST = 0.05  # the certified cosine at which the last curve ends
_SAMPLES = (1_000, 3_000, 10_000, 30_000, 100_000)
_PANELS = 6
_EPS = "eps: l2 size of the perturbation, in input units"
_CROSSED = "an attack got below what is certified: a certificate is wrong, or not of what was attacked."
_ROUNDED = "Numbers are rounded down."

_CARD = """<div>
<p><strong>{{ title }}</strong><br>{{ about }}</p>
{%- for said in warnings %}
<p><strong>Note:</strong> {{ said }}</p>
{%- endfor %}
{%- if pictures %}
<p>{% for picture in pictures %}{{ picture | safe }}{% endfor %}</p>
{%- endif %}
{%- if rows %}
<table>
<thead><tr>{% for name in rows[0] %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for row in rows %}
{%- set mark = loop.index0 == marked %}
<tr>{% for cell in row.values() %}<td>{% if mark %}<strong>{% endif %}{{ cell }}{% if mark %}</strong>{% endif %}</td>
{%- endfor %}</tr>
{%- endfor %}
</tbody>
</table>
{%- endif %}
<p><small>{{ notes | join(" ") }}</small></p>
</div>
"""


@cache
def _template() -> Template:
    return Environment(autoescape=True).from_string(_CARD)


def _card(
    title: str,
    about: str,
    rows: Sequence[Mapping[str, str]],
    *,
    pictures: Sequence[str] = (),
    warnings: Sequence[str] = (),
    notes: Sequence[str] = (),
    marked: int | None = None,
) -> str:
    return _template().render(
        title=title,
        about=printable(about),
        rows=rows,
        pictures=pictures,
        warnings=[printable(said) for said in warnings],
        notes=notes,
        marked=marked,
    )


def certificate(what: Certificate | PaperCertificate) -> str:
    """One row an input: certified eps, class, what limits it; all curves in one picture. Of the first 100 inputs."""
    part = type(what)(what.evidence[:_MOST])
    notes = [f"Certified eps in input units. {_ROUNDED}", *_more(len(what))]
    title, meaning = "Certificate", []
    if isinstance(what, PaperCertificate):
        title = "PaperCertificate: the paper's Theorem 1 as printed, which is not a lower bound"
    else:
        meaning = what.meaning.lines()
        notes.insert(0, "Each row holds with probability at least 1 - alpha over the draws.")
    picture = _curves(part) if len(part) else ""
    pictures = [picture] if picture else []
    return _card(title, what.evidence.about, _certified(part), pictures=pictures, warnings=meaning, notes=notes)


def _certified(part: Certificate | PaperCertificate) -> list[dict[str, str]]:
    rows = []
    limits = _limits(part) if isinstance(part, Certificate) and len(part) else None
    for i, found in enumerate(rows_of(part, {}, (), _COSINES)):
        row = {"input": str(i)}
        row |= {f"max eps, cosine {cosine}": short(found[f"{MAX_EPS}{cosine}"]) for cosine in _COSINES}
        if "certified_prediction" in found:
            label = found["certified_prediction"]
            row |= {
                "smoothed class": "none" if label < 0 else str(label),
                "its radius": short(found["prediction_radius"]),
            }
        if "class_kept" in found:
            explained = "" if found["explained_class"] < 0 else f" ({found['explained_class']})"
            row["explained class kept"] = ("yes" if found["class_kept"] else "no") + explained
        if limits is not None:
            row[f"limited at cosine {_COSINES[0]} by"] = printable(limits[i])
        rows.append(row)
    return rows


def _limits(part: Certificate) -> list[str]:
    """What binds at each input's own largest eps."""
    words: list[str] = np.diagonal(part.binding(part.max_eps(_COSINES[0]))).tolist()
    return words


def _curves(part: Certificate | PaperCertificate) -> str:
    """Certified cosine against eps, up to where next to nothing is certified; empty where nothing is."""
    last = float(part.max_eps(_LEAST).max())
    if not 0 < last < math.inf:
        return ""
    eps = np.linspace(0, last, _POINTS)
    lines = [(eps.tolist(), np.where(values > 0, values, np.nan).tolist()) for values in part.cosine(eps)]
    return svg.curves(
        lines,
        x_label=_EPS,
        y_label="certified cosine",
        title=f"Certified cosine against eps, {brief.inputs(len(part))}",
        names=[f"input {i}" for i in range(len(part))],
        legend=len(part) <= _LEGEND,
    )


def forecast(what: Forecast) -> str:
    """The estimates, and the eps to expect from some numbers of samples."""
    rows = []
    for n in _SAMPLES:
        row = {"samples": f"{n:,}"}
        row |= {f"max eps, cosine {cosine}": f"about {short(what.max_eps(cosine, n))}" for cosine in _COSINES}
        if (kept := what.keeps_class(n)) is not None:
            row["explained class kept"] = "yes" if kept else "no"
        rows.append(row)
    votes = (
        "" if what.class_votes is None else f"; {short(100 * what.class_votes)}% of the draws in the explained class"
    )
    return _card(
        "Forecast for one input: estimates, nothing is proven",
        f"{what.terms.about}; norm of the map about {short(what.norm)}{votes}",
        rows,
        notes=[f"Eps in input units. {_ROUNDED}"],
    )


def diagnosis(what: Diagnosis) -> str:
    """A row a finding; problems in bold words, with the way out."""
    rows = [
        {
            "look": finding.name,
            "status": finding.status,
            "seen": printable(finding.seen),
            "meaning": printable(finding.meaning),
            "way out": printable(finding.way_out),
        }
        for finding in what.findings
    ]
    return _card(
        f"Diagnosis: {len(what.problems) or 'no'} problem{'' if len(what.problems) == 1 else 's'}",
        what.subject,
        rows,
        warnings=[f"{finding.name}: {finding.meaning}; {finding.way_out}" for finding in what.problems],
        notes=["Nothing is proven. Times and memory are of this machine."],
    )


def sandwich(what: Sandwich) -> str:
    """Certified and broken eps, and where attacks crossed certificates; curves of the first inputs."""
    crossings = what.crossings.sum(axis=1).tolist()
    bounds = zip(what.max_eps.tolist(), what.broken_eps.tolist(), what.ratio.tolist(), crossings, strict=True)
    rows = [
        {
            "input": str(i),
            "certified eps": short(certified),
            "broken eps": short(broken, "up") if math.isfinite(broken) else "not broken",
            "ratio": short(ratio),
            "crossings": str(crossed or "none"),
        }
        for i, (certified, broken, ratio, crossed) in enumerate(list(bounds)[:_MOST])
    ]
    return _card(
        "Sandwich: what is certified from below, what an attack found from above",
        f"{brief.inputs(len(what.max_eps))}, cosine {what.threshold!r}",
        rows,
        pictures=[_panel(what, i) for i in range(min(_PANELS, len(rows)))],
        warnings=[_CROSSED] if what.crossings.any() else [],
        notes=[
            "The largest eps that leaves the cosine there lies between certified eps (rounded down) and broken eps "
            "(rounded up); ratio is the former over the latter. In pictures: certified cosine (a line), attacked "
            "cosine (dashes).",
            *_more(len(what.max_eps)),
        ],
    )


def _panel(what: Sandwich, i: int) -> str:
    """What is certified at the first size is so at all smaller ones, and at 0 nothing is turned."""
    eps = [0.0, *what.eps[i].tolist()]
    certified = np.where(what.certified[i] > 0, what.certified[i], np.nan).tolist()
    certified, attacked = [*certified[:1], *certified], [1.0, *what.attacked[i].tolist()]
    return svg.curves(
        [(eps, certified), (eps, attacked)],
        x_label=f"input {i}: eps",
        y_label="cosine",
        title=f"Certified and attacked cosine against eps, input {i}",
        width=300,
        height=200,
        band=(eps, certified, attacked),
        names=["certified", "attacked"],
        dashed=[1],
    )


def plan(what: Plan) -> str:
    """What to expect of each noise scale; the best is marked."""
    best, claim = what.best, what.claim
    goal = f"eps at a cosine of {what.cosine!r}" if claim is None else brief.goal(claim)
    bold = "the scale that gives the largest eps" if claim is None else "the least scale that will do"
    scales = _card(
        f"Plan: estimates from {brief.inputs(what.inputs)}, nothing is proven",
        f"{goal} under {type(what.noise).__name__} noise with up to {what.n_samples:,} samples an input",
        [_planned(scale, what.inputs) for scale in what.scales],
        warnings=[what.shortfall] if what.shortfall else [],
        notes=[*([f"In bold: {bold} for all inputs."] if best else []), _ROUNDED],
        marked=None if best is None else what.scales.index(best),
    )
    return scales + (_entries(what) if what.entries else "")


def _entries(what: Plan) -> str:
    """What bounds on entries do; the best is marked."""
    best = what.best_entry
    return _card(
        f"Bounds on entries at noise scale {brief.scale(what.chosen.scale if what.chosen else math.nan)}",
        f"estimates at eps = {what.entries_eps!r}, with {what.n_samples:,} samples an input",
        [
            {
                "max_entry": "none" if entry.max_entry is None else repr(entry.max_entry),
                "signs certain": f"{short(100 * entry.signs)}%",
                "top tenth certain": f"{short(100 * entry.top_k)}%",
                "max eps, least": short(entry.least_max_eps),
                "max eps, mean": short(entry.mean_max_eps),
            }
            for entry in what.entries
        ],
        notes=[
            "In bold: most is certain. It is a constant of the model: certify other inputs than these with it.",
            _ROUNDED,
        ],
        marked=None if best is None else what.entries.index(best),
    )


def _planned(scale: PlannedScale, inputs: int) -> dict[str, str]:
    row = {"noise scale": brief.scale(scale.scale), "proven on": f"{scale.reached} of {inputs}"}
    if scale.kept is not None:
        row["class kept on"] = f"{scale.kept} of {inputs}"
    return row | {
        "samples an input": brief.samples(scale.samples_needed),
        "seconds an input": "-" if scale.seconds is None else short(scale.seconds, digits=2),
        "likeness, least": "-" if scale.likeness is None else short(scale.likeness),
        "norm, least": short(scale.norm),
        "max eps, least": short(scale.least_max_eps),
        "max eps, mean": short(scale.mean_max_eps),
        "max eps in the limit": short(scale.least_max_eps_in_the_limit),
    }


def _more(count: int) -> list[str]:
    return [f"The first {_MOST} inputs; {count - _MOST:,} more are not shown."] if count > _MOST else []


def page(what: Certificate, images: npt.ArrayLike | None, height: int, settings: Mapping[str, Any]) -> Page:
    """The report of these certificates; see `Certificate.show`."""
    checks.count("height", height, 1)
    return Page(report.page(what, images, **settings), height)
