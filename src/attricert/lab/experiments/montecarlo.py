"""The Monte-Carlo study (paper, C.1): width and coverage of intervals for the norm of the smoothed map."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from attricert.attributions import IntegratedGradients
from attricert.bounding import Clip, Normalize
from attricert.confidence import Betting, Problem, mean_distance, norm_interval
from attricert.lab.experiments.base import Experiment, Result
from attricert.lab.experiments.bench import Bench, Measurement
from attricert.lab.experiments.paper import SOURCE
from attricert.lab.experiments.subject import subject
from attricert.noise import UniformBall
from attricert.report import Column
from attricert.sampling import Sampler
from attricert.streams import Stream

__all__ = ["FULL", "QUICK", "IntervalStudy", "RepeatedIntervals", "repeat"]

Array = npt.NDArray[np.float64]

_COLUMNS = (
    Column("model", "model"),
    Column("maps", "maps"),
    Column("n", "N"),
    Column("asymptotic_width", "t2 - t1, asymptotic", 5, "up"),
    Column("asymptotic_covers", "asymptotic covers", 3),
    Column("asymptotic_low_covers", "asymptotic lower end covers", 3),
    Column("finite_width", "t2 - t1, finite-sample", 5, "up"),
    Column("finite_covers", "finite-sample covers", 3),
    Column("finite_low_covers", "finite-sample lower end covers", 3),
    Column("low_gap", "norm - lower end, asymptotic", 5, "up"),
    Column("finite_low_gap", "norm - lower end, finite-sample", 5, "up"),
)
_LAWS = ("asymptotic", "finite")


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """Of the study, and of each of its measurements.

    Args:
        n_steps: nodes of integrated gradients.
        pool: maps that are drawn once; the law sampled from is uniform on them, so its mean is known exactly.
        counts: N.
        repeats: samples of each size.
        alpha: chance of failure of an interval, half at each end.
    """

    n_steps: int = 2
    pool: int = 5_000
    counts: tuple[int, ...] = (100, 300, 1_000, 3_000, 10_000)
    repeats: int = 300
    alpha: float = 0.05


@final
@dataclass(frozen=True, kw_only=True)
class RepeatedIntervals(_Settings, Measurement):
    """Intervals from many samples of one input's maps.

    Args:
        radius: of the ball.
        max_norm: M of maps that are clipped and given in units of it; None for normalized maps.
    """

    radius: float
    max_norm: float | None


def repeat(job: RepeatedIntervals) -> dict[str, Any]:
    """For each N: the ends of every interval; and the true norm."""
    pool = _pool(job)
    truth = float(np.linalg.norm(pool.mean(axis=0)))
    squares = pool**2
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([job.seed, len(pool)])))
    ends: dict[str, list[dict[str, list[float]]]] = {law: [] for law in _LAWS}
    for n in job.counts:
        found: dict[str, list[tuple[float, float]]] = {law: [] for law in _LAWS}
        for _ in range(job.repeats):
            chosen = rng.integers(len(pool), size=n)
            shares = np.bincount(chosen, minlength=len(pool)) / n
            mean = shares @ pool
            variance = np.maximum(shares @ squares - mean**2, 0.0) * n / (n - 1)
            found["asymptotic"].append(norm_interval(mean, variance, n, job.alpha / 2))
            found["finite"].append(_finite(pool, chosen, mean, job.alpha / 2))
        for law, intervals in found.items():
            low, high = np.array(intervals).T
            ends[law].append({"low": low.tolist(), "high": high.tolist()})
    return {"norm": truth, **ends}


def _pool(job: RepeatedIntervals) -> Array:
    """Maps of noisy copies, of norm at most 1."""
    on = subject(job)
    bound = Normalize() if job.max_norm is None else Clip(job.max_norm)
    sampler = Sampler(IntegratedGradients(on.model, n_steps=job.n_steps), UniformBall(job.radius), bound)
    stream = Stream(job.seed, on.id, "pool")
    draws = sampler.draws(on.inputs[0], on.target[0], stream, 0, job.pool)
    return np.concatenate([part.values.double().numpy() for part in draws]) / bound.max_norm


def _finite(pool: Array, chosen: npt.NDArray[np.int64], mean: Array, alpha: float) -> tuple[float, float]:
    """Lower end by betting along the pilot's direction (theory 5), upper by the distance of the mean."""
    pilot, main = np.split(chosen, [max(len(chosen) // 10, 2)])
    center = pool[pilot].mean(axis=0)
    values = pool @ (center / np.linalg.norm(center))
    seen = values[pilot]
    problem = Problem(-1.0, 1.0, alpha, len(main), float(seen.mean()), float(seen.var(ddof=1)), len(pilot))
    low = max(Betting.start(problem).update(values[main]).lower(), 0.0)
    # Where the lower end holds, so does E ||g - h||^2 <= 1 - low^2, which also bounds the largest eigenvalue.
    distance = mean_distance(len(chosen), alpha, 1.0, norm=low, spread=1 - low**2)
    return low, float(np.linalg.norm(mean)) + float(distance)


@final
@dataclass(frozen=True, kw_only=True)
class IntervalStudy(_Settings, Experiment):
    """How wide intervals for the norm are, and how often they hold it.

    Args:
        radii: of the ball, one.
        max_norm: M of the maps that are clipped instead of normalized.
    """

    models: tuple[str, ...] = ("mnist-standard", "mnist-ig-norm", "mnist-igr")
    inputs: int = 3
    radii: tuple[float, ...] = (3.5,)
    max_norm: float = 5.0

    def run(self, bench: Bench) -> Result:
        """Sample again and again."""
        cells = itertools.product(self.models, self.radii, (None, self.max_norm))
        rows = [row for cell in cells for row in self._rows(bench, *cell)]
        title = f"Monte-Carlo study: intervals for the norm of the smoothed map, SmoothIG, {self.data}"
        return Result(title, rows, _COLUMNS, _figure(rows, self.alpha), tuple(self._notes()))

    def _rows(self, bench: Bench, model: str, radius: float, max_norm: float | None) -> Iterator[dict[str, Any]]:
        jobs = self.measurements(RepeatedIntervals, model=model, radius=radius, max_norm=max_norm)
        maps = "normalized" if max_norm is None else f"clipped at {max_norm}"
        found = bench.measure("montecarlo", repeat, jobs)
        norm = np.array([one["norm"] for one in found])[:, None]
        for i, n in enumerate(self.counts):
            row: dict[str, Any] = {
                "model": model,
                "radius": radius,
                "maps": maps,
                "n": n,
                "intervals": norm.size * self.repeats,
            }
            for law in _LAWS:
                low, high = (np.array([one[law][i][end] for one in found]) for end in ("low", "high"))
                row[f"{law}_width"] = float((high - low).mean())
                row[f"{law}_covers"] = float(((low <= norm) & (norm <= high)).mean())
                row[f"{law}_low_covers"] = float((low <= norm).mean())
                row["low_gap" if law == "asymptotic" else "finite_low_gap"] = float((norm - low).mean())
            yield row

    def _notes(self) -> Iterator[str]:
        error = math.sqrt(self.alpha * (1 - self.alpha) / (self.inputs * self.repeats))
        yield (
            f"{self.inputs} digits, {self.repeats} samples of each size a digit, drawn with replacement from "
            f"{self.pool:,} maps (integrated gradients with {self.n_steps} nodes, ball of radius "
            f"{', '.join(map(str, self.radii))}; normalized, or clipped at M = {self.max_norm} and in units of M): the "
            "law sampled from is that pool's, so the true norm is known. "
            f"alpha = {self.alpha}, half at each end: an interval should cover in {1 - self.alpha} of the cases "
            f"(standard error {error:.4f}), its lower end, which is all that certificates use, in {1 - self.alpha / 2}."
        )
        yield (
            "*Asymptotic* is the paper's C.1 (quantiles of a generalized chi-square, by inverting the test); it takes "
            "the mean for normal with uncorrelated entries. *Finite-sample*: betting along the direction of a pilot of "
            "a tenth of the draws, and for the upper end the distance of a mean of bounded vectors (theory 5)."
        )
        yield f"*Paper*: {SOURCE}; its curves are not transcribed."


def _figure(rows: Sequence[Mapping[str, Any]], alpha: float) -> Figure:
    kinds = list(dict.fromkeys(row["maps"] for row in rows))
    figure = Figure(figsize=(9, 3.4 * len(kinds)), layout="constrained")
    axes = figure.subplots(len(kinds), 2, squeeze=False)
    for maps, (width, covers) in zip(kinds, axes, strict=True):
        for k, model in enumerate(dict.fromkeys(row["model"] for row in rows)):
            here = [row for row in rows if (row["model"], row["maps"]) == (model, maps)]
            n = [row["n"] for row in here]
            for law, style in zip(_LAWS, ("--", "-"), strict=True):
                label = f"{model}, {'asymptotic' if law == 'asymptotic' else 'finite-sample'}"
                width.plot(n, [row[f"{law}_width"] for row in here], f"C{k}{style}", marker=".", label=label)
                covers.plot(n, [row[f"{law}_covers"] for row in here], f"C{k}{style}", marker=".")
        width.set(xscale="log", yscale="log", xlabel="N", ylabel="t2 - t1, mean", title=f"maps {maps}")
        covers.axhline(1 - alpha, color="gray", linestyle=":", linewidth=1)
        covers.set(xscale="log", xlabel="N", ylabel="share of intervals that hold the norm", ylim=(0, 1.03))
    axes[0][0].legend(fontsize=7)
    return figure


FULL = IntervalStudy()
QUICK = replace(FULL, models=("mnist-standard",), inputs=1, pool=500, counts=(100, 1_000), repeats=50)
