"""Figure 3: attributions before and after an attack, plain and smoothed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from torch import Tensor

from attricert import attacks, metrics
from attricert.attributions import IntegratedGradients
from attricert.lab.experiments.base import Experiment, Result
from attricert.lab.experiments.bench import Bench, Measurement
from attricert.lab.experiments.subject import subject
from attricert.noise import UniformBall
from attricert.plots import maps
from attricert.report import Column
from attricert.smoothed import SmoothedAttribution

__all__ = ["FULL", "QUICK", "AttackedMaps", "Pictures", "draw"]

_COLUMNS = (
    Column("model", "model"),
    Column("input", "input"),
    Column("plain_cosine", "plain: cosine"),
    Column("plain_top_k", "plain: top 100"),
    Column("smoothed_cosine", "smoothed: cosine"),
    Column("smoothed_top_k", "smoothed: top 100"),
)
_PICTURES = {
    "image": "image",
    "perturbed": "attacked",
    "plain": "IG",
    "plain_attacked": "IG, attacked",
    "smoothed": "SmoothIG",
    "smoothed_attacked": "SmoothIG, attacked",
}
_TOP = 100


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """Of the figure, and of each of its measurements.

    Args:
        eps: l2 size of the attacks.
        n_steps: nodes of integrated gradients.
        n_samples: draws for a smoothed map.
        steps: of each attack.
        restarts: of each attack.
    """

    eps: float = 1.0
    n_steps: int = 10
    n_samples: int = 2_000
    steps: int = 100
    restarts: int = 3


@final
@dataclass(frozen=True, kw_only=True)
class AttackedMaps(_Settings, Measurement):
    """One input's maps.

    Args:
        radius: of the ball.
    """

    radius: float


def draw(job: AttackedMaps) -> dict[str, Any]:
    """Attack the plain map and the smoothed one, each in its own right; the label and the pixel range are kept."""
    on = subject(job)
    plain = IntegratedGradients(on.model, n_steps=job.n_steps)
    smoothed = SmoothedAttribution(plain, UniformBall(job.radius))
    attack = attacks.PGD(attacks.TopKLoss(_TOP), steps=job.steps, restarts=job.restarts, draws=16)
    found: dict[str, Any] = {"id": on.id, "image": _values(on.inputs)}
    for name, what in (("plain", plain), ("smoothed", smoothed)):
        one = attack.run(what, on.inputs, on.target, eps=job.eps, n_samples=job.n_samples, n_compared=64, seed=job.seed)
        found[name], found[f"{name}_attacked"] = _values(one.clean), _values(one.maps)
        found[f"{name}_cosine"] = float(one.cosine[0])
        found[f"{name}_top_k"] = float(metrics.top_k_intersection(one.clean, one.maps, _TOP)[0])
        if name == "plain":
            found["perturbed"] = _values(one.inputs)
    return found


def _values(tensor: Tensor) -> list[list[float]]:
    """A picture as plain numbers; six digits are more than can be seen."""
    return [[float(f"{value:.6g}") for value in row] for row in tensor[0, 0].tolist()]


@final
@dataclass(frozen=True, kw_only=True)
class Pictures(_Settings, Experiment):
    """What an attack does to a plain map, and what to a smoothed one.

    Args:
        radii: of the ball, one.
    """

    models: tuple[str, ...] = ("mnist-standard",)
    inputs: int = 6
    radii: tuple[float, ...] = (3.5,)

    def run(self, bench: Bench) -> Result:
        """Attack and draw."""
        cells = [{"model": model, "radius": radius} for model in self.models for radius in self.radii]
        jobs = [job for cell in cells for job in self.measurements(AttackedMaps, **cell)]
        found = bench.measure("figure3", draw, jobs)
        rows = [
            {
                "model": job.model,
                "radius": job.radius,
                "input": one["id"],
                **{
                    f"{map_}_{what}": one[f"{map_}_{what}"]
                    for map_ in ("plain", "smoothed")
                    for what in ("cosine", "top_k")
                },
            }
            for job, one in zip(jobs, found, strict=True)
        ]
        pictures = {title: np.array([one[name] for one in found]) for name, title in _PICTURES.items()}
        figure = maps(pictures, [row["model"] for row in rows], [row["input"] for row in rows])
        title = "Figure 3: attributions before and after an attack, plain and smoothed"
        return Result(title, rows, _COLUMNS, figure, tuple(self._notes()))

    def _notes(self) -> Iterator[str]:
        yield (
            f"Attacks on the top {_TOP} entries, eps = {self.eps}, {self.restarts} restarts of {self.steps} steps, "
            f"label and pixel range kept; integrated gradients with {self.n_steps} nodes; smoothed over a ball of "
            f"radius {', '.join(map(str, self.radii))} with {self.n_samples:,} draws. Plain and smoothed map are "
            "attacked each in its own right; the picture shows the plain map's attack. The cosine of smoothed "
            "maps is corrected for the sampling error of both."
        )


FULL = Pictures()
QUICK = replace(FULL, inputs=2, n_steps=3, n_samples=300, steps=20, restarts=1)
