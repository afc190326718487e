"""A report's whole set: how many inputs reach a size, and at least which share of their source does (theory 12)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from markupsafe import Markup

from attricert.certificates import Meaning
from attricert.certificates.population import Share
from attricert.report import svg
from attricert.report.brief import inputs
from attricert.report.measures import Measures
from attricert.report.share_claims import BETA, share_at, shares_of
from attricert.rounding import shown

__all__ = ["CONFIDENCE", "at_each_size", "curve", "markers", "shares", "words"]

CONFIDENCE = Decimal(1) - Decimal(str(BETA))
"""Of every claim about the source."""

_POINTS, _WIDTH = 300, 680  # of the curve


def at_each_size(m: Measures) -> list[dict[str, Any]]:
    """For each threshold: how many inputs reach each size; at least which share of the source does, at all at once."""
    found = []
    for cosine in m.findings.cosine:
        share = _share(m, cosine, m.eps)
        counts = [str(round(observed * m.findings.inputs)) for observed in share.observed.tolist()]
        least = [shown(bound, 3) for bound in share.at_least.tolist()] if m.proven else []
        found.append({"cosine": repr(cosine), "observed": counts, "least": least})
    return found


def markers(m: Measures) -> list[float]:
    """Where each size lies in the curve's picture."""
    return svg.across(m.eps, _lines(m), width=_WIDTH) if m.findings.cosine else []


def curve(m: Measures) -> Markup:
    """Shares against eps, as a picture."""
    lines, cosines = _lines(m), _falling(m)
    if not cosines:
        return Markup()
    names = [f"cosine at least {cosine!r}" for cosine in cosines]
    sizes, observed = lines[0]
    least = _share(m, cosines[0], sizes).at_least.tolist()
    picture = svg.curves(
        lines,
        x_label="eps",
        y_label="share of inputs",
        title=f"Share of {inputs(m.findings.inputs)} against eps: {', '.join(names)}",
        width=_WIDTH,
        names=names,
        band=(sizes, least, observed) if m.proven else None,
        marker=m.eps[m.start],
        legend=True,
    )
    return Markup(picture)


def words(m: Measures) -> Iterator[str]:
    """What the curve shows, and what is to be known of the classes."""
    f = m.findings
    if f.cosine:
        reach = " and ".join(map(repr, _falling(m)))
        yield f"The share of {inputs(f.inputs)} whose certificate reaches a cosine of {reach}, against eps."
        if m.proven:
            yield (
                f"The band below the curve of {_falling(m)[0]!r}, and the figures at the top, are about the source: if "
                f"these inputs are a random sample of it, then with confidence {CONFIDENCE} for each cosine at least "
                "such a share of it truly keeps it, at all sizes at once. Inputs that failed or are missing count as "
                "not certified."
            )
    pairs = [(row.get("explained_class"), row.get("certified_prediction")) for row in f.rows]
    told = [pair for pair in pairs if None not in pair]
    if told:
        yield from Meaning.of(*zip(*told, strict=True)).lines()


def shares(m: Measures) -> list[list[str]]:
    """For each threshold and each size that was chosen beforehand, a row of a table."""
    f = m.findings
    claims = shares_of(f.rows, f.inputs, f.certificate.terms) if m.proven else ()
    return [[repr(c.eps), repr(c.cosine), f"{c.certified} of {c.inputs}", shown(c.at_least, 3)] for c in claims]


def _share(m: Measures, cosine: float, eps: Sequence[float]) -> Share:
    """At all sizes at once."""
    f = m.findings
    return share_at(f.rows, cosine, eps, f.inputs, f.certificate.terms, simultaneous=True)


def _falling(m: Measures) -> list[float]:
    """Thresholds, the hardest first: the band is of that."""
    return sorted(m.findings.cosine, reverse=True)


def _lines(m: Measures) -> list[tuple[list[float], list[float]]]:
    sizes = np.linspace(0, m.eps[-1] or 1.0, _POINTS).tolist()
    return [(sizes, _share(m, cosine, sizes).observed.tolist()) for cosine in _falling(m)]
