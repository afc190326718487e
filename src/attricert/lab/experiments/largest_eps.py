"""The largest eps for a threshold on the cosine, against the smoothing radius (paper, Tables 5 to 7)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from matplotlib.figure import Figure

from attricert import runs
from attricert.certificates import Evidence, PaperCertificate
from attricert.certificates.pieces import Norm
from attricert.lab.experiments.base import Experiment, Result
from attricert.lab.experiments.bench import Bench, Certified
from attricert.lab.experiments.paper import NEEDED, by_paper, possible, published, verdict
from attricert.models import card
from attricert.noise import NOISES, Gaussian, UniformBall
from attricert.report import Column, rounded

__all__ = ["BOUNDS", "LargestEps"]

BOUNDS = {"printed": "printed formula (no bound)", "sound": "sound, uniform", "variance": "variance, Gaussian"}
"""What is compared: the paper's formula and ours on the same uniform draws, and ours under Gaussian noise."""

_COLUMNS = (
    Column("model", "model"),
    Column("cosine", "T", 1),
    Column("radius", "r", 1),
    *NEEDED,
    Column("printed", "printed formula", rounding="down"),
    Column("ceiling", "its ceiling (c = M)", rounding="up"),
    Column("sound", "sound, uniform", rounding="down"),
    Column("variance", "variance, Gaussian", rounding="down"),
    Column("gain", "variance / sound", 2),
    Column("sound_by_paper", "sound / paper"),
    Column("variance_by_paper", "variance / paper"),
)


@final
@dataclass(frozen=True, kw_only=True)
class LargestEps(Experiment):
    """Mean over inputs of the largest certified eps, for SmoothIG.

    Args:
        table: name of the paper's table.
        radii: of the ball, in input units; the Gaussian has sigma = r / sqrt(d + 2), the same energy.
        thresholds: T.
        n_samples: draws for a certificate, pilot included.
        n_steps: nodes of integrated gradients.
        alpha: probability that an input's certificate fails.
    """

    table: str
    inputs: int = 100
    radii: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
    thresholds: tuple[float, ...] = (0.9, 0.8)
    n_samples: int = 1_500
    n_steps: int = 2
    alpha: float = 1e-3

    def config(self, model: str, radius: float, noise: str) -> runs.Config:
        """The run of one cell."""
        ball = UniformBall(radius)
        smoothing = ball if noise == "uniform" else Gaussian(1.0).matching(ball, self.dimension(model))
        return runs.Config(
            model=model,
            data=f"{self.data}:test[0:{self.inputs}]",
            attribution="integrated-gradients",
            noise=noise,
            parameters={"n_steps": self.n_steps, **NOISES.parameters_of(smoothing)},
            n_samples=self.n_samples,
            alpha=self.alpha,
            prove=("top_variance", "cone"),
            maps="drop",
            seed=self.seed,
        )

    @staticmethod
    def dimension(model: str) -> int:
        """Of its inputs."""
        return math.prod(card(model).facts["input_shape"])

    def certified(self, bench: Bench, model: str, radius: float) -> Mapping[str, Certified]:
        """What is compared."""
        uniform, gaussian = (
            bench.certify(f"{model}-{noise}-{radius}", self.config(model, radius, noise))
            for noise in ("uniform", "gaussian")
        )
        printed = dataclasses.replace(uniform, certificate=PaperCertificate(uniform.certificate.evidence))
        return {"printed": printed, "sound": uniform, "variance": gaussian}

    def run(self, bench: Bench) -> Result:
        """Certify, and put the means side by side."""
        rows = [row for model in self.models for radius in self.radii for row in self._rows(bench, model, radius)]
        rows.sort(key=lambda row: (self.models.index(row["model"]), -row["cosine"]))
        d = self.dimension(self.models[0])
        title = f"{self.table.replace('table', 'Table ')}: largest eps, SmoothIG, {self.data}, d = {d:,}"
        return Result(title, rows, _COLUMNS, _figure(rows, self.models, self.thresholds), tuple(self._notes(rows)))

    def _rows(self, bench: Bench, model: str, radius: float) -> Iterator[dict[str, Any]]:
        found = self.certified(bench, model, radius)
        d = self.dimension(model)
        for t in self.thresholds:
            eps = {bound: one.certificate.max_eps(t) for bound, one in found.items()}
            means = {bound: float(values.mean()) for bound, values in eps.items()}
            paper = published(self.table, model, radius, t)
            yield {
                "model": model,
                "cosine": t,
                "radius": radius,
                "sigma": found["variance"].store.manifest.config.smoothing_noise().scale,
                "inputs": self.inputs,
                "paper": paper,
                **possible(paper, radius, d, t),
                **means,
                "gain": means["variance"] / means["sound"] if means["sound"] > 0 else None,
                **{f"{bound}_by_paper": by_paper(mean, paper) for bound, mean in means.items()},
                **{f"nothing_{bound}": int((values == 0).sum()) for bound, values in eps.items()},
                "norm_uniform": float(found["sound"].certificate.evidence.norm.lower.mean()),
                "norm_gaussian": float(found["variance"].certificate.evidence.norm.lower.mean()),
                "ceiling": _ceiling(found["printed"].certificate.evidence, t),
            }

    def _notes(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        yield (
            f"Means over {self.inputs} inputs, rounded down; alpha = {self.alpha}, {self.n_samples:,} draws an input "
            f"(pilot included), integrated gradients with {self.n_steps} nodes, seed {self.seed}. *Printed formula* is "
            "the paper's Theorem 1, which is not a lower bound; its *ceiling* is what it gives for the largest norm "
            "there can be, c = M, at no sampling error."
        )
        yield verdict(rows)


def _ceiling(evidence: Evidence, cosine: float) -> float:
    """What the formula gives for c = M."""
    most = np.full(len(evidence), evidence.terms.max_norm)
    return float(PaperCertificate(dataclasses.replace(evidence, norm=Norm(most))).max_eps(cosine)[0])


def _figure(rows: Sequence[Mapping[str, Any]], models: Sequence[str], thresholds: Sequence[float]) -> Figure:
    figure = Figure(figsize=(3.4 * len(models) + 0.6, 2.7 * len(thresholds) + 0.6), layout="constrained")
    axes = figure.subplots(len(thresholds), len(models), squeeze=False, sharex=True, sharey="row")
    for i, t in enumerate(thresholds):
        for j, model in enumerate(models):
            ax, here = axes[i][j], [row for row in rows if (row["model"], row["cosine"]) == (model, t)]
            radii = [row["radius"] for row in here]
            for (bound, label), style in zip(BOUNDS.items(), ("C1:", "C0-", "C2-"), strict=True):
                ax.plot(radii, [row[bound] for row in here], style, marker=".", label=label)
            ax.set_title(f"{model}, T = {rounded(t, 1, 'nearest')}", fontsize=9)
            ax.set_ylim(0, 1.05 * max(row[bound] for row in rows if row["cosine"] == t for bound in BOUNDS) or None)
    figure.legend(
        *axes[0][0].get_legend_handles_labels(),
        fontsize=8,
        loc="outside upper center",
        ncols=3 if len(models) > 1 else 1,
    )
    figure.supxlabel("r: radius of the ball, in input units", fontsize=9)
    figure.supylabel("mean largest eps", fontsize=9)
    return figure
