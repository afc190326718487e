"""What was seen, what it means, and the way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, final

from attricert.errors import UnavailableError, UnknownNameError
from attricert.showing import shown_by
from attricert.workload import Workload

__all__ = ["Cost", "Diagnosis", "Finding", "Status"]

Status = Literal["ok", "note", "problem"]


@final
@dataclass(frozen=True)
class Finding:
    """What one look has found.

    Args:
        name: of what was looked at.
        status: ``"ok"``; ``"note"``, which is worth knowing and stops nothing; or ``"problem"``: `certify` would
            refuse, or certificates would say next to nothing, or something else than they seem to.
        seen: what was seen.
        meaning: what that means; may be empty where all is well.
        way_out: what to do about it, likewise.
    """

    name: str
    status: Status
    seen: str
    meaning: str = ""
    way_out: str = ""


@final
@dataclass(frozen=True)
class Cost:
    """What certifying takes on this machine.

    Args:
        bytes_a_draw: memory that one draw takes, measured; None where that failed.
        batch_size: draws at once that follow from it; None likewise.
        seconds_a_draw: measured; None likewise.
        n_samples: draws an input that are reckoned with.
        device: what the draws were timed on.
    """

    bytes_a_draw: int | None
    batch_size: int | None
    seconds_a_draw: float | None
    n_samples: int
    device: str = ""

    @property
    def seconds_an_input(self) -> float | None:
        """That all draws of an input take; what is proven from them adds some."""
        return None if self.seconds_a_draw is None else self.seconds_a_draw * self.n_samples

    def workload(self, inputs: int) -> Workload:
        """What so many inputs take: their draws, and not what is proven from these.

        Args:
            inputs: of the whole data set.

        Raises:
            UnavailableError: no draws could be timed.
        """
        if not self.seconds_a_draw:
            raise UnavailableError("workload() needs draws that were timed")
        return Workload(inputs, self.n_samples, 1 / self.seconds_a_draw, self.device)


@final
@dataclass(frozen=True)
class Diagnosis:
    """All findings about an attribution, its model and some inputs.

    Args:
        subject: what was looked at, in a line.
        findings: in the order of the looks.
        cost: what certifying takes.
    """

    subject: str
    findings: tuple[Finding, ...]
    cost: Cost

    __repr__ = shown_by("attricert.report.brief:diagnosis")
    _repr_html_ = shown_by("attricert.report.notebook:diagnosis")

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Findings that stand in the way."""
        return tuple(finding for finding in self.findings if finding.status == "problem")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """Findings that are worth knowing."""
        return tuple(finding for finding in self.findings if finding.status == "note")

    def __getitem__(self, name: str) -> Finding:
        """The finding of that name.

        Raises:
            UnknownNameError: there is none.
        """
        found = {finding.name: finding for finding in self.findings}
        if name not in found:
            raise UnknownNameError("finding", name, found)
        return found[name]

    def with_finding(self, finding: Finding) -> Diagnosis:
        """With this finding in the place of that of the same name."""
        return replace(self, findings=tuple(finding if f.name == finding.name else f for f in self.findings))

    def to_dict(self) -> Mapping[str, Any]:
        """As plain values."""
        cost = {**asdict(self.cost), "seconds_an_input": self.cost.seconds_an_input}
        return {"subject": self.subject, "findings": [asdict(f) for f in self.findings], "cost": cost}
