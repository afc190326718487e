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

ATTACKS = {"quick": (3, 0.5), "full": (50, 0.1)}
"""Attacks, by steps and their size in units of eps: a look at many inputs, and a long one at some."""

_COLUMNS = (
    Column("model", "model"),
    Column("radius", "r", 1),
    Column("bound", "eps of"),
    Column("eps", "mean eps", rounding="down"),
    Column("paper", "paper", 4),
    Column("smallest", "smallest cosine found"),
    Column("smallest_by_paper", "by the paper's"),
    Column("error", "largest standard error", 5, "up"),
    Column("below", "inputs below T"),
    Column("quick_inputs", "quick attack: inputs"),
    Column("quick_smallest", "quick: smallest"),
    Column("quick_mean", "quick: mean of each input's"),
    Column("full_inputs", "full attack: inputs"),
    Column("full_smallest", "full: smallest"),
    Column("full_mean", "full: mean of each input's"),
)


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """Of the table, and of each of its measurements.

    Args:
        n_steps: nodes of integrated gradients; Table 5's, with which the table shares its runs.
        attacks: on each input, restarts of PGD on the cosine.
        draws: noisy copies for a gradient.
        n_compared: draws by which an input's attacks are compared.
        n_judged: fresh draws by which the best of them is judged.
    """

    n_steps: int = table5.FULL.n_steps
    attacks: int = 20
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
        attack: which of `ATTACKS`.
    """

    noise: str
    scale: float
    eps: float
    attack: str


def attack(job: AttackedInput) -> dict[str, Any]:
    """The smallest cosine, its standard error, and the size of the perturbation."""
    on = subject(job)
    noise = NOISES.build(job.noise, {NOISES.required(job.noise)[0]: job.scale})
    smoothed = SmoothedAttribution(IntegratedGradients(on.model, n_steps=job.n_steps), noise)
    steps, step = ATTACKS[job.attack]
    # Certificates allow any label and any value: so does the attack.
    found = attacks.PGD(
        restarts=job.attacks, steps=steps, step=step, draws=job.draws, refresh=min(steps, 5), every=min(steps, 10)
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
        thorough: how many inputs, from the first on, are attacked in full.
    """

    models: tuple[str, ...] = table5.FULL.models
    inputs: int = table5.FULL.inputs
    radii: tuple[float, ...] = (0.5, 2.0, 3.5)
    n_samples: int = table5.FULL.n_samples
    cosine: float = 0.8
    thorough: int = 0

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
            smallest, paper = _smallest(cosine), published("table8", model, radius, self.cosine)
            below, refuted = (
                len({job.data for job, low in zip(some, values < self.cosine, strict=True) if low})
                for values in (cosine, cosine + attacks.ERRORS * error)
            )
            yield {
                "model": model,
                "radius": radius,
                "bound": BOUNDS[bound],
                "paper": paper,
                "smallest_by_paper": by_paper(smallest, paper),
                "eps": float(eps[bound].mean()),
                "smallest": smallest,
                "error": float(error.max()) if some else None,
                "below": below,
                "refuted": refuted,
                **_by_attack(some, cosine),
            }

    def jobs(self, config: runs.Config, eps: Sequence[float] | npt.NDArray[np.float64]) -> list[AttackedInput]:
        """Attacks on what a run has certified at these eps, those of 0 left out: quick ones, then full ones.

        The last digits of an eps depend on the machine; of a measurement's, they must not.
        """
        scale, some = config.smoothing_noise().scale, {"quick": self.inputs, "full": self.thorough}
        return [
            replace(job, eps=float(f"{size:.6g}"))
            for name, most in some.items()
            for job, size in zip(
                self.measurements(
                    AttackedInput, model=config.model, noise=config.noise, scale=scale, eps=0.0, attack=name
                )[:most],
                eps,
                strict=False,
            )
            if size > 0
        ]

    def _notes(self) -> Iterator[str]:
        full = f", the first {self.thorough} also by a *full* one of {_steps('full')}" if self.thorough else ""
        yield (
            f"Each input is attacked at its own largest eps by {self.attacks} restarts of PGD on the cosine of its "
            f"smoothed map ({self.draws} draws for a gradient; any label, any pixel values, as certificates allow "
            f"them): all {self.inputs} by a *quick* attack of {_steps('quick')}{full}. The best of an input's "
            f"iterates, by {self.n_compared} draws, is judged on {self.n_judged} fresh draws at both ends; *standard "
            "error* is that of a cosine judged so. Inputs for which a bound claims no eps at all are not attacked. An "
            "attack that stays above T does not prove a claim; one below it would refute it."
        )
        yield f"*Paper*: {SOURCE}; its attacks are at its own eps, some four to six times as large as any here."


def _steps(name: str) -> str:
    count, size = ATTACKS[name]
    return f"{count} steps of {size} eps"


def _by_attack(jobs: Sequence[AttackedInput], cosine: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Of each kind of attack: how many inputs, the smallest cosine, the mean."""
    found: dict[str, Any] = {}
    for name in ATTACKS:
        here = cosine[[job.attack == name for job in jobs]]
        found |= {
            f"{name}_inputs": len(here),
            f"{name}_smallest": _smallest(here),
            f"{name}_mean": float(here.mean()) if len(here) else None,
        }
    return found


def _smallest(values: npt.NDArray[np.float64]) -> float | None:
    return float(values.min()) if len(values) else None


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
QUICK = replace(FULL, inputs=table5.QUICK.inputs, n_samples=table5.QUICK.n_samples, attacks=4, thorough=1)
