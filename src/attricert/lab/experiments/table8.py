"""Table 8: the smallest cosine that attacks find at the eps of Table 5, T = 0.8."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from attricert import attacks, runs
from attricert.attributions import IntegratedGradients
from attricert.lab.experiments import table5
from attricert.lab.experiments.base import Experiment, Result
from attricert.lab.experiments.bench import Bench, Measurement
from attricert.lab.experiments.largest_eps import BOUNDS, LargestEps
from attricert.lab.experiments.paper import SOURCE, by_paper, published
from attricert.lab.experiments.subject import subject
from attricert.noise import NOISES
from attricert.report import Column
from attricert.smoothed import SmoothedAttribution

__all__ = ["FULL", "QUICK", "AttackedEps", "AttackedInput", "attack"]

_COLUMNS = (
    Column("model", "model"),
    Column("radius", "r", 1),
    Column("bound", "eps of"),
    Column("eps", "mean eps", rounding="down"),
    Column("inputs", "inputs attacked"),
    Column("paper", "paper", 4),
    Column("smallest", "smallest cosine found"),
    Column("smallest_by_paper", "by the paper's"),
    Column("mean", "mean of each input's smallest"),
    Column("error", "largest standard error", 5, "up"),
    Column("below", "inputs below T"),
)


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """Of the table, and of each of its measurements.

    Args:
        n_steps: nodes of integrated gradients; Table 5's, with which the table shares its runs.
        attacks: on each input, restarts of PGD on the cosine.
        steps: of each attack.
        draws: noisy copies for a gradient.
        n_compared: draws by which an input's attacks are compared.
        n_judged: fresh draws by which the best of them is judged.
    """

    n_steps: int = table5.FULL.n_steps
    attacks: int = 20
    steps: int = 3
    draws: int = 4
    n_compared: int = 32
    n_judged: int = 300


@final
@dataclass(frozen=True, kw_only=True)
class AttackedInput(_Settings, Measurement):
    """Attacks on one input's smoothed map.

    Args:
        noise: its word.
        scale: radius or sigma.
        eps: l2 size.
    """

    noise: str
    scale: float
    eps: float


def attack(job: AttackedInput) -> dict[str, Any]:
    """The smallest cosine, its standard error, and the size of the perturbation."""
    on = subject(job)
    noise = NOISES.build(job.noise, {NOISES.required(job.noise)[0]: job.scale})
    smoothed = SmoothedAttribution(IntegratedGradients(on.model, n_steps=job.n_steps), noise)
    # Certificates allow any label and any value: so does the attack.
    found = attacks.PGD(
        restarts=job.attacks, steps=job.steps, step=0.5, draws=job.draws, refresh=job.steps, every=job.steps
    ).run(
        smoothed,
        on.inputs,
        on.target,
        eps=job.eps,
        keep_label=False,
        data_range=None,
        n_samples=job.n_judged,
        n_compared=job.n_compared,
        seed=job.seed,
    )
    return {"cosine": float(found.cosine[0]), "error": float(found.cosine_error[0]), "size": float(found.size[0])}


@final
@dataclass(frozen=True, kw_only=True)
class AttackedEps(_Settings, Experiment):
    """Attacks at the largest eps that each bound claims for T.

    Args:
        radii: some of Table 5's, as models are.
        n_samples: Table 5's, as inputs are.
        cosine: T.
    """

    models: tuple[str, ...] = table5.FULL.models
    inputs: int = table5.FULL.inputs
    radii: tuple[float, ...] = (0.5, 2.0, 3.5)
    n_samples: int = table5.FULL.n_samples
    cosine: float = 0.8

    def run(self, bench: Bench) -> Result:
        """Certify as Table 5 does, then attack."""
        cells = [(model, radius) for radius in self.radii for model in self.models]
        rows = [row for model, radius in cells for row in self._rows(bench, model, radius)]
        rows.sort(key=lambda row: (self.models.index(row["model"]), row["radius"]))
        failures = [
            f"{row['model']}, r = {row['radius']}: {row['refuted']} inputs refute the {row['bound']} bound"
            for row in rows
            if row["refuted"] and row["bound"] != BOUNDS["printed"]
        ]
        title = f"Table 8: smallest cosine found by {self.attacks} attacks at the eps of Table 5, T = {self.cosine}"
        return Result(title, rows, _COLUMNS, _figure(rows, self.models, self.cosine), tuple(self._notes()), failures)

    @property
    def _largest(self) -> LargestEps:
        shared = ("data", "models", "inputs", "radii", "n_samples", "n_steps", "seed")
        return replace(table5.FULL, **{name: getattr(self, name) for name in shared})

    def _rows(self, bench: Bench, model: str, radius: float) -> Iterator[dict[str, Any]]:
        certified = self._largest.certified(bench, model, radius)
        eps = {bound: one.certificate.max_eps(self.cosine) for bound, one in certified.items()}
        jobs = {bound: self.jobs(one.store.manifest.config, eps[bound]) for bound, one in certified.items()}
        measured = iter(bench.measure("table8", attack, [job for some in jobs.values() for job in some]))
        for bound, some in jobs.items():
            found = [next(measured) for _ in some]
            cosine, error = (np.array([one[name] for one in found]) for name in ("cosine", "error"))
            paper = published("table8", model, radius, self.cosine)
            yield {
                "model": model,
                "radius": radius,
                "bound": BOUNDS[bound],
                "paper": paper,
                "smallest_by_paper": by_paper(float(cosine.min()) if some else None, paper),
                "eps": float(eps[bound].mean()),
                "inputs": len(some),
                "smallest": float(cosine.min()) if some else None,
                "mean": float(cosine.mean()) if some else None,
                "error": float(error.max()) if some else None,
                "below": int((cosine < self.cosine).sum()),
                "refuted": int((cosine + attacks.ERRORS * error < self.cosine).sum()),
            }

    def jobs(self, config: runs.Config, eps: Sequence[float] | npt.NDArray[np.float64]) -> list[AttackedInput]:
        """Attacks on what a run has certified at these eps, those of 0 left out."""
        jobs = self.measurements(
            AttackedInput, model=config.model, noise=config.noise, scale=config.smoothing_noise().scale, eps=0.0
        )
        return [replace(job, eps=float(size)) for job, size in zip(jobs, eps, strict=True) if size > 0]

    def _notes(self) -> Iterator[str]:
        yield (
            f"Each input is attacked at its own largest eps by {self.attacks} restarts of PGD on the cosine of its "
            f"smoothed map ({self.steps} steps, {self.draws} draws each; any label, any pixel values, as certificates "
            f"allow them). The best of them, by {self.n_compared} draws, is judged on {self.n_judged} fresh draws at "
            "both ends; *standard error* is that of a cosine judged so. Inputs for which a bound claims no eps at all "
            "are not attacked. An attack that stays above T does not prove a claim; one below it would refute it."
        )
        yield f"*Paper*: {SOURCE}; its attacks are at its own eps, some four to six times as large as any here."


def _figure(rows: Sequence[Mapping[str, Any]], models: Sequence[str], cosine: float) -> Figure:
    figure = Figure(figsize=(3.4 * len(models) + 0.6, 3.2), layout="constrained")
    axes = figure.subplots(1, len(models), squeeze=False, sharey=True)[0]
    for ax, model in zip(axes, models, strict=True):
        for bound, style in zip(BOUNDS.values(), ("C1:", "C0-", "C2-"), strict=True):
            here = [row for row in rows if (row["model"], row["bound"]) == (model, bound)]
            ax.plot([row["radius"] for row in here], [row["smallest"] for row in here], style, marker="o", label=bound)
        ax.axhline(cosine, color="gray", linestyle="--", linewidth=1)
        ax.set_title(model, fontsize=9)
    axes[0].set_ylabel("smallest cosine found")
    figure.supxlabel("r: radius of the ball, in input units", fontsize=9)
    figure.legend(
        *axes[0].get_legend_handles_labels(), fontsize=8, loc="outside upper center", ncols=3 if len(models) > 1 else 1
    )
    return figure


FULL = AttackedEps()
QUICK = replace(FULL, inputs=table5.QUICK.inputs, n_samples=table5.QUICK.n_samples, attacks=4)
