"""What a report says of one input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from attricert.certificates import note
from attricert.report.measures import Measures
from attricert.report.results import MAX_EPS
from attricert.report.words import NAMES, brief, number
from attricert.rounding import short

__all__ = ["cards"]


def cards(m: Measures) -> list[dict[str, Any]]:
    """One an input that is shown in full, as the template takes them."""
    rows = {row["id"]: row for row in m.findings.rows}
    return [
        {
            "id": name,
            "about": "; ".join(_about(m, rows.get(name, {}), m.likeness[i])),
            "note": _note(rows.get(name, {})),
            "alt": f"Pictures of {name}",
            "now": [(said, number(values[i, m.start])) for said, values in m.named_numbers],
            "limit": m.limits[1][m.limits[0][i, m.start]],
            "attacked": _attacked(m.findings.attacked.get(name)),
            "rows": [[m.sizes[j], *(brief(values[i, j]) for _, values in m.named_numbers)] for j in range(m.told(i))],
            "entries": _entries(m, i),
        }
        for i, name in enumerate(m.findings.ids)
    ]


def _about(m: Measures, row: Mapping[str, Any], alike: float) -> Iterator[str]:
    for name in ("label", "prediction", "target"):
        if (value := row.get(name)) is not None and value != -1:
            yield f"{NAMES[name]} {value}"
    if row.get("certified_prediction") is not None:
        label, radius = row["certified_prediction"], row.get("prediction_radius", 0.0)
        kept = f"certain below eps {short(radius, digits=4)}" if radius > 0 else "not certain"
        yield f"smoothed model {'no class' if label < 0 else label}, {kept}"
    if math.isfinite(alike):
        yield f"cosine with the map without noise {alike:.3f}"
    reached = ((cosine, row.get(f"{MAX_EPS}{cosine!r}")) for cosine in m.findings.cosine)
    told = ((cosine, largest) for cosine, largest in reached if largest is not None)
    if until := [f"{cosine!r} up to eps {short(largest, digits=4)}" for cosine, largest in told]:
        yield f"cosine {', '.join(until)}"


def _note(row: Mapping[str, Any]) -> str:
    """Where the map explains another class than the smoothed model's."""
    explained, smoothed = row.get("explained_class"), row.get("certified_prediction")
    return "" if explained is None or smoothed is None else note(explained, smoothed)


def _attacked(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    pairs = zip(found["eps"], found["cosine_attacked"], strict=True)
    reached = ", ".join(f"{cosine:.3f} at eps {size:.4g}" for size, cosine in pairs)
    broken = found["broken_eps"]
    least = (
        f"fell below the threshold at eps {broken:.4g}" if math.isfinite(broken) else "never fell below the threshold"
    )
    return f"An attack got the cosine down to {reached}; it {least}."


def _entries(m: Measures, i: int) -> list[list[str]]:
    """Every entry of a table by name."""
    entries, certificate = m.entries, m.findings.certificate
    if m.layout.kind != "table" or entries is None or certificate.evidence.maps is None:
        return []
    columns = zip(m.names, certificate.maps[i].reshape(-1), entries.signs[i], entries.top[i], strict=True)
    found = []
    for name, value, sign, top in columns:
        sure = "+" if sign > 0 else "-" if sign < 0 else "not certain"
        until = [m.sizes[abs(int(step)) - 1] if step else "" for step in (sign, top)]
        found.append([name, f"{value:.4g}", sure, *until])
    return found
