"""The paper's own figures, and which of them its own theorem allows at all."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from attricert.models import card
from attricert.noise import UniformBall
from attricert.report import Column

__all__ = ["NEEDED", "SOURCE", "by_paper", "entries", "mass_allowed", "mass_needed", "possible", "published", "verdict"]

SOURCE = "F. Wang, A. W.-K. Kong, arXiv 2405.06361v1"
_ANY = "*"

NEEDED = (Column("paper", "paper", 4), Column("needed", "p needed", 3), Column("allowed", "p allowed", 3))
"""Columns for people: the paper's figure, and whether its own theorem allows it."""


@cache
def entries() -> tuple[Mapping[str, str], ...]:
    """All figures of Tables 4 to 9, as ``paper.csv`` has them."""
    text = resources.files("attricert.lab.experiments").joinpath("paper.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def published(table: str, model: str, scale: float, cosine: float | None = None) -> float | None:
    """The figure that the paper gives there; None where it gives none.

    Args:
        table: such as ``"table5"``.
        model: of the zoo; weights of others stand beside the paper's ImageNet model, which was trained without defence.
        scale: smoothing radius r, or eps where the table is of radii.
        cosine: threshold T, where the table has one.
    """
    facts = card(model).facts
    objective = model.partition("-")[2] if "recipe" in facts else "standard"
    here = {"table": table, "data": facts["data"], "model": objective, "scale": repr(scale), "cosine": repr(cosine)}
    found = (row for row in entries() if all(row[name] in (_ANY, value) for name, value in here.items()))
    return next((float(row["value"]) for row in found), None)


def mass_needed(eps: float, radius: float, dimension: int) -> float:
    """The mass p that a shift by eps loses: total variation of two balls of this radius."""
    return float(UniformBall(radius).lost_mass(eps, dimension))


def mass_allowed(cosine: float) -> float:
    """The largest p at which Theorem 1, as printed, can give this cosine, as ||E g|| <= M (docs/errata.md, 4)."""
    return math.sqrt(1 / cosine**2 - 1) / 2


def by_paper(ours: float | None, paper: float | None) -> float | None:
    """The ratio, where there are both."""
    return None if ours is None or paper is None else ours / paper


def possible(eps: float | None, radius: float | None, dimension: int, cosine: float) -> dict[str, float | None]:
    """Columns of a table: the mass that a claim of the paper needs, and what its theorem allows; for people below."""
    needed = None if eps is None or radius is None else mass_needed(eps, radius, dimension)
    return {"needed": needed, "allowed": mass_allowed(cosine)}


def verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """A note on these columns."""
    known = [row for row in rows if row["needed"] is not None]
    if not known:
        return f"*Paper*: {SOURCE}, which has no figure for these settings."
    fine = sum(row["needed"] <= row["allowed"] for row in known)
    least, most = (pick(row["needed"] for row in known) for pick in (min, max))
    are = "is" if fine == 1 else "are"
    return (
        f"*Paper*: {SOURCE}. As ||E g|| <= M for every map with ||g|| <= M, its theorem, even as printed, needs a "
        "shift that loses at most *p allowed* = sqrt(1/T^2 - 1) / 2 of the mass; its figure loses *p needed*. Of its "
        f"{len(known)} figures here {fine} {are} possible at all: they need p from {least:.3f} to {most:.3f} "
        "(docs/errata.md, 4)."
    )
