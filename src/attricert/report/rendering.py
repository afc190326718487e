"""One HTML file to hand over: claims, pictures and numbers of a set of inputs; it loads nothing and sends nothing.

Every claim shrinks as eps grows, so the page holds for each cell the last size of a grid at which its claim stands, and
compares. Numbers and words come rounded from here; the page computes none.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from attricert._version import __version__
from attricert.certificates import Terms
from attricert.report import statement, whole_set
from attricert.report.brief import inputs
from attricert.report.cards import cards
from attricert.report.drawing import drawn
from attricert.report.findings import Findings
from attricert.report.measures import Measures, grid
from attricert.report.packing import Block
from attricert.report.results import ABSTENTION
from attricert.report.words import cell, title_of
from attricert.rounding import short
from attricert.text import printable

__all__ = ["GENERATOR", "render", "work"]

GENERATOR = '<meta name="generator" content="attricert '
"""Near the beginning of every page; the version follows."""

_FEW = 10  # inputs that are named
_LISTED = 1_000  # rows of the table: a browser takes long over more, and the file grows by 100 bytes a row


def work(findings: Findings) -> int:
    """How many inputs and sizes a page takes, of which `render` tells."""
    return len(findings.certificate) * len(grid(findings))


def render(findings: Findings, on_progress: Callable[[int], None] = lambda _: None) -> str:
    """The page.

    Args:
        findings: what it is about.
        on_progress: told of every input and size that is done.
    """
    template, style, script = (_source(name) for name in ("page.html.j2", "page.css", "page.js"))
    measures, block = Measures.of(findings, on_progress), Block()
    data = drawn(measures, block)
    environment = jinja2.Environment(
        autoescape=True, finalize=_visible, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(template).render(
        **_words(measures),
        data=_harmless(data),
        block=Markup(block.text()),
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        version=__version__,
        generator=Markup(f'{GENERATOR}{__version__}">'),
    )


def _source(name: str) -> str:
    return resources.files("attricert.report").joinpath("template", name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    """As a content security policy names what may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


def _visible(value: object) -> object:
    """Whatever text comes from outside, as it is printed on a terminal too."""
    return value if isinstance(value, Markup) else printable(str(value))


def _harmless(data: Mapping[str, Any]) -> Markup:
    """JSON that ends no element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026"))


def _words(m: Measures) -> dict[str, Any]:
    """What the template is given."""
    f, terms = m.findings, m.findings.certificate.terms
    about = [inputs(f.inputs), str(terms.noise), str(terms.bound), f"alpha = {terms.alpha!r}"]
    claim = statement.claim_of(terms.alpha, _observed(terms), proven=m.proven)
    return {
        "title": f.title,
        "subtitle": ", ".join(about),
        "warnings": [*filter(None, [statement.unproven(terms.confidence)]), *f.remarks],
        "claim": f"{claim} that is shown for that eps here.",
        "landmarks": _landmarks(m),
        "eps": m.sizes,
        "words": m.size_words,
        "start": m.start,
        "sets": whole_set.at_each_size(m),
        "total": f.inputs,
        "inputs": inputs(f.inputs),
        "sample": m.shows_change,
        "limits": [
            *statement.limits_of(
                _observed(terms), terms.fixed, random=terms.random, names=f.names or (), autocast=terms.autocast
            ),
            *_LIMITS,
        ],
        "curve": whole_set.curve(m),
        "set_words": list(whole_set.words(m)),
        "shares": whole_set.shares(m),
        "confidence": whole_set.CONFIDENCE,
        "picture_words": list(_picture_words(m)),
        "legend": _legend(m),
        "cards": cards(m),
        "panels": m.titles if m.layout.kind == "picture" else [""][: len(m.panels)],
        "picture": m.layout.kind == "picture",
        "numbers": ["eps", *m.headings],
        "k": f.top_k,
        "table": _table(f),
        "silent": [*_abstentions(f), *_failures(f)],
        "facts": list(_facts(m)),
        "seed": terms.seed,
        "seed_gives": statement.SEED,
    }


_LIMITS = (
    "It is about changes of l2 size up to eps, of whatever form; not about other inputs that look alike, nor about "
    "larger changes.",
    "Maps are estimates; what is certain is in colour where signs and top entries are shown, and in the numbers.",
    "Shares of the source are claims only if these inputs are a random sample of it.",
)


def _observed(terms: Terms) -> int | None:
    return None if terms.observed is None else terms.observed.n_samples


def _landmarks(m: Measures) -> str:
    known = "; ".join(f"{mark.name} is eps {short(mark.eps)}" for mark in m.units.landmarks())
    return "eps is the l2 size of a change of the whole input, in input units." + (
        f" At this size of input: {known}." if known else ""
    )


def _picture_words(m: Measures) -> Iterator[str]:
    layout, k = m.layout, m.findings.top_k
    if layout.channels > 1:
        yield (
            f"A pixel has {layout.channels} channels. Maps show their sum, and its sign; a pixel is shown among the "
            f"top {k} if one of its entries is."
        )
    if layout.kind == "series" and m.entries is not None:
        yield (
            "Bars are smoothed values; behind each is where it is certain to lie at every change of this size; the "
            f"line is the input, where it is known. A black mark above stands for the top {k}."
        )
    if layout.kind == "table" and m.entries is not None:
        yield f"A star stands for the top {k}."
    if layout.slices:
        yield f"Volumes are shown by slices, side by side: {', '.join(map(str, layout.slices))}."
    if layout.block > 1 and layout.kind == "picture":
        yield (
            f"Pictures are reduced: a cell stands for {layout.block} x {layout.block} pixels, and counts as certain "
            "only if all of them are."
        )
    elif layout.block > 1:
        yield (
            f"Series are reduced: a bar stands for {layout.block} points. Its value is their mean, its interval holds "
            "all of theirs, and it counts as certain only if all of them are."
        )
    if m.of_pictures and m.cut:
        low, high = m.findings.data_range
        yield f"Some inputs have values outside [{low:g}, {high:g}]: pictures of them are cut there."
    if m.entries is not None and m.findings.certificate.terms.max_entry == m.findings.certificate.terms.max_norm:
        yield "Single entries were not clipped: with a max_entry (of the bound) far more signs and ranks are certain."
    if m.entries is None:
        yield "Bounds on entries were not proven or not kept: there are no certain signs or ranks."


def _legend(m: Measures) -> list[tuple[str, str]]:
    """Colours and what they stand for."""
    if m.entries is None:
        return [("plus", "positive"), ("minus", "negative")]
    return [
        ("plus", "positive; where signs are shown, for certain"),
        ("minus", "negative; likewise"),
        ("top", f"certainly among the top {m.findings.top_k}"),
        ("open", "not certain at this size"),
    ]


def _table(f: Findings) -> dict[str, Any]:
    """The first inputs, with what was asked for."""
    keys = dict.fromkeys(key for row in f.rows for key in row)
    titles = {key: title for key in keys if (title := title_of(key))}
    if any(row.get("reason") for row in f.rows):
        titles["reason"] = "failed"
    listed = [[cell(key, row.get(key)) for key in titles] for row in f.rows[:_LISTED]]
    return {"names": list(titles.values()), "rows": listed, "of": len(f.rows)}


def _abstentions(f: Findings) -> Iterator[str]:
    """At the sizes that were asked for: on how many inputs, why, and what would help."""
    for size in f.eps:
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for row in f.rows:
            if row.get(f"{ABSTENTION}{size!r}"):
                groups.setdefault(str(row.get(f"binding_eps_{size!r}", "")), []).append(row)
        for limit, rows in groups.items():
            example = f"{rows[0]['id']}: {rows[0][f'{ABSTENTION}{size!r}']}"
            helps = f" Limited by {limit}." if limit else ""
            yield f"At eps {size!r} nothing is certified of {len(rows)} of {inputs(f.inputs)} ({example}).{helps}"


def _failures(f: Findings) -> Iterator[str]:
    failed = [row for row in f.rows if row.get("reason")]
    for row in failed[:_FEW]:
        yield f"{row['id']} failed: {row['reason']}"
    if len(failed) > _FEW:
        yield f"{len(failed) - _FEW} more failed"
    if missing := f.inputs - len(f.rows):
        yield f"{missing} inputs are not done yet"


def _facts(m: Measures) -> Iterator[tuple[str, str]]:
    f, terms, sampling = m.findings, m.findings.certificate.terms, m.findings.certificate.evidence.sampling
    yield from f.about.items()
    yield "noise", str(terms.noise)
    held = "" if terms.fixed is None else f"; {terms.fixed.count} held fixed: {terms.fixed.words(f.names or ())}"
    yield "entries", f"{terms.map_entries} of a map; {terms.dimension} of an input are free to change{held}"
    yield "bound", f"{terms.bound}: norm at most {terms.max_norm:g}, entries at most {terms.max_entry:g}"
    yield "guarantee", statement.guarantee_of(_observed(terms))
    yield "alpha", statement.alpha_of(terms.alpha, f.inputs, proven=m.proven)
    yield "shares of alpha", ", ".join(f"{name} {share:.3g}" for name, share in terms.ledger.shares)
    yield "confidence bound", terms.confidence
    yield "samples", f"up to {int((sampling.n_samples + sampling.n_pilot).max()):,} an input"
    if terms.random:
        yield "random attribution", "each draw had random numbers of its own"
    if terms.autocast is not None:
        yield "precision", f"the model computes in {terms.autocast}"
    if terms.preflight is not None:
        yield "looked at before the draws", ", ".join(terms.preflight) or "nothing: it was switched off"
    yield "certified with", f"attricert {terms.version}"
    yield "seed", f"{terms.seed}; {statement.SEED}"
