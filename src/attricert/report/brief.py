"""Values with arrays in a line: what ``repr`` says of them. Nothing here takes long or fails, whatever they hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from attricert.certificates import Certificate, Claim, PaperCertificate
from attricert.rounding import short
from attricert.text import printable

if TYPE_CHECKING:
    from attricert.attacks import AttackResult, Sandwich
    from attricert.diagnosis import Diagnosis, Rate, Tuning
    from attricert.planning import Plan
    from attricert.proving import Forecast
else:  # which need torch
    AttackResult = Diagnosis = Forecast = Plan = Rate = Sandwich = Tuning = Any

__all__ = [
    "THRESHOLD",
    "attack_result",
    "certificate",
    "diagnosis",
    "forecast",
    "goal",
    "inputs",
    "plan",
    "samples",
    "sandwich",
    "scale",
    "span",
    "tuning",
]

THRESHOLD = 0.9
"""The cosine of which is told."""

_MANY = 100  # inputs beyond which no certified eps is computed


def certificate(what: Certificate | PaperCertificate) -> str:
    """Of what, and the certified eps."""
    name, about, reach = type(what).__name__, what.evidence.about, ""
    if 0 < len(what) <= _MANY:
        # Noises are other people's code too, and who looks at a value in a debugger wants no other error.
        with contextlib.suppress(Exception):
            reach = f"; max_eps(cosine={THRESHOLD}) {span(what.max_eps(THRESHOLD))}"
    return f"{name}({about}{reach})"


def forecast(what: Forecast) -> str:
    """Of what, and the estimates."""
    votes = "" if what.class_votes is None else f", class_votes={short(what.class_votes)}"
    norm, spread = f"norm={short(what.norm)}", f"top_variance={short(what.top_variance, 'nearest')}"
    return f"Forecast({what.terms.about}; estimates: {norm}, {spread}{votes})"


def sandwich(what: Sandwich) -> str:
    """The range of both bounds."""
    crossed = int(np.count_nonzero(what.crossings))
    both = f"certified eps {span(what.max_eps)}, broken eps {span(what.broken_eps, 'up')}"
    crossings = f"{crossed or 'no'} crossing{'' if crossed == 1 else 's'}"
    return f"Sandwich({inputs(len(what.max_eps))}, cosine={what.threshold!r}; {both}; {crossings})"


def plan(what: Plan) -> str:
    """The claim, and what will do."""
    best = what.best
    found = "no scale will do"
    if best is not None:
        found = f"best: {scale(best.scale)}, {samples(best.samples_needed)} samples an input"
    if what.max_entry is not None:
        found += f", max_entry={what.max_entry!r}"
    wanted = f"cosine={what.cosine!r}" if what.claim is None else what.claim
    return printable(
        f"Plan({wanted}, {type(what.noise).__name__}, {inputs(what.inputs)}, {len(what.scales)} scales; {found})"
    )


def diagnosis(what: Diagnosis) -> str:
    """Of what, and the findings that are not in order, by name."""
    told = [(kind, [f.name for f in found]) for kind, found in (("problem", what.problems), ("note", what.notes))]
    said = [
        f"{len(names)} {kind}{'' if len(names) == 1 else 's'} ({', '.join(names)})" for kind, names in told if names
    ]
    return printable(f"Diagnosis({what.subject}; {', '.join(said) or 'nothing amiss'})")


def tuning(what: Tuning) -> str:
    """A line for each way that was timed, relative to the present one; and what to choose."""
    present = what.rates[0].draws_a_second
    lines = [f"Tuning: {short(present, 'nearest')} draws a second as it is; {what.processors} processors"]
    for rate in what.rates:
        lines.append(f"{rate.draws_a_second / present:8.2f} x  {_way(rate)} (spread {rate.spread:.0%})")
    lines.append(f"to choose: {what.compute!r}, batch_size={what.batch_size}; {what.gain:.2f} x as fast")
    if what.workers > 1:
        lines.append(f"many inputs: --workers {what.workers}, of one thread each; about {what.workers_gain:.2f} x that")
    return "\n".join(lines)


def _way(rate: Rate) -> str:
    c, words = rate.compute, [f"batches of {rate.batch_size}"]
    if c.channels_last is not None:
        words.append(f"channels {'last' if c.channels_last else 'first'}")
    if c.compile:
        words.append("compiled")
    if c.threads is not None:
        words.append(f"{c.threads} thread{'' if c.threads == 1 else 's'}")
    return ", ".join(words)


def attack_result(what: AttackResult) -> str:
    """How far the inputs went, and the maps."""
    size, cosine = (span(np.asarray(part.cpu()), "nearest") for part in (what.size, what.cosine))
    return f"AttackResult({inputs(len(what.inputs))}; l2 size {size}, cosine {cosine})"


def goal(claim: Claim) -> str:
    """What is to be proven."""
    return f"to prove cosine >= {claim.cosine!r} at eps = {claim.eps!r}"


def inputs(count: int) -> str:
    """So many."""
    return f"{count:,} input{'' if count == 1 else 's'}"


def scale(value: float) -> str:
    """A noise scale: a setting, not a bound."""
    return f"{value:.4g}"


def samples(count: int | None) -> str:
    """So many, or a dash where no number will do."""
    return "-" if count is None else f"{count:,}"


def span(values: Iterable[float], rounding: str = "down") -> str:
    """The least and the largest, each rounded."""
    found = sorted({float(value) for value in values})
    if not found:
        return "of none"
    ends = list(dict.fromkeys(short(value, rounding) for value in (found[0], found[-1])))
    return ends[0] if len(ends) == 1 else f"from {ends[0]} to {ends[1]}"
