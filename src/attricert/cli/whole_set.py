"""What a whole data set takes: how `plan` and `doctor` are asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, final

from attricert import checks
from attricert.workload import WORKERS, Workload

__all__ = ["WholeSet", "apart"]

_ANY = Workload(inputs=1, n_samples=1, rate=1.0, device="")


@final
@dataclass(frozen=True)
class WholeSet:
    """Of what the time is told.

    Args:
        total_inputs: inputs of the whole data set; by default all of --data.
        workers: numbers of workers (processes, or accelerators) to tell the time for.
        rate: samples a second of one worker, as measured on another device; by default what is measured here.
        overhead: seconds that an input takes beside its samples.
        startup: seconds until a worker has begun.
        efficiency: which part of its rate a worker keeps beside the others, > 0 and <= 1.
    """

    total_inputs: int | None = None
    workers: tuple[int, ...] = WORKERS
    rate: float | None = None
    overhead: float = 0.0
    startup: float = 0.0
    efficiency: float = 1.0

    groups: ClassVar[Mapping[str, Collection[str]]] = {
        "what a whole data set takes": ("total_inputs", "workers", "rate", "overhead", "startup", "efficiency")
    }

    def __post_init__(self) -> None:
        if self.total_inputs is not None:
            checks.count("total_inputs", self.total_inputs, 1)
        self.of(_ANY).to_dict(self.workers)  # refuses what it will refuse after the measurement

    def of(self, measured: Workload) -> Workload:
        """With what was said of it, in place of what was measured."""
        inputs = measured.inputs if self.total_inputs is None else self.total_inputs
        asked = replace(
            measured, inputs=inputs, overhead=self.overhead, startup=self.startup, efficiency=self.efficiency
        )
        return asked if self.rate is None else replace(asked, rate=self.rate, device="as given, not measured here")


def apart(values: Mapping[str, Any], *kinds: type[Any]) -> list[dict[str, Any]]:
    """Values by the dataclass that has such a field, one dict each, and in the end those that none has."""
    names = [{field.name for field in fields(kind)} for kind in kinds]
    rest = {name: value for name, value in values.items() if not any(name in known for known in names)}
    return [*({name: values[name] for name in values if name in known} for known in names), rest]
