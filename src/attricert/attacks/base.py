"""What every attack goes through: what it proposes is projected, compared, and judged on fresh draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, final

import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from attricert import checks
from attricert.attacks.attacked_map import Maps, as_attacked_map
from attricert.attacks.losses import Loss
from attricert.attacks.problem import AttackProblem, each, problem_of
from attricert.attributions import Classifier, Targets, undisturbed
from attricert.metrics import cosine_similarity
from attricert.progress import ProgressCallback, reporting
from attricert.showing import shown_by

__all__ = ["Attack", "AttackResult", "Candidates"]

Candidates = Generator[Maps, Maps, Maps]
"""Yields perturbed inputs, is sent the best so far, projected, and returns them."""


@final
@dataclass(frozen=True)
class AttackResult:
    """What an attack found.

    Args:
        inputs: perturbed inputs, shape (n, ...); the clean ones where nothing better was found.
        size: l2 size of each perturbation, shape (n,), float64.
        score: the loss's score on fresh draws, shape (n,); smaller is a stronger attack.
        cosine: cosine similarity of the true maps, shape (n,): exact for plain maps, else estimated from fresh draws
            by the jackknife, which takes off the bias of the plain estimate.
        cosine_error: its standard error, shape (n,); 0 where exact.
        clean: maps of the clean inputs, shape (n, ...) of the attribution's maps, float64.
        maps: maps of the perturbed inputs.
    """

    inputs: Maps
    size: Float[Tensor, " n"]
    score: Float[Tensor, " n"]
    cosine: Float[Tensor, " n"]
    cosine_error: Float[Tensor, " n"]
    clean: Float[Tensor, "n *entries"]
    maps: Float[Tensor, "n *entries"]

    __repr__ = shown_by("attricert.report.brief:attack_result")


class Attack(ABC):
    """An l2 attack on an attribution map: subclasses propose, this class projects, judges and keeps the best.

    Attributes:
        loss: what the attack makes small.
    """

    loss: Loss

    @property
    @abstractmethod
    def proposals(self) -> int:
        """How many candidates there will be, at most."""

    @abstractmethod
    def candidates(self, problem: AttackProblem) -> Candidates:
        """Propose perturbed inputs; each is sent back as the best of all so far."""

    def run(
        self,
        what: Any,
        inputs: Tensor,
        target: Targets | npt.ArrayLike = None,
        *,
        eps: npt.ArrayLike | Tensor,
        classifier: Classifier | None = None,
        keep_label: bool = True,
        data_range: tuple[float, float] | None = (0.0, 1.0),
        start: Tensor | None = None,
        n_samples: int = 10_000,
        n_compared: int = 256,
        seed: int | None = None,
        progress: bool | ProgressCallback = False,
    ) -> AttackResult:
        """Find perturbations of l2 size at most eps that change the map as much as this attack can.

        Args:
            what: an attribution ``g(inputs, target)``, or a `SmoothedAttribution`, whose smoothed map is attacked.
            inputs: shape (batch, ...), float32 or float64.
            target: class that is explained, one or one an input; None for single-output models.
            eps: l2 size in input units, one number or one an input.
            classifier: gives scores of shape (n, classes); by default the model of what is attacked.
            keep_label: admit only perturbed inputs with the classifier's label of the clean one.
            data_range: smallest and largest value an input may have; None for any.
            start: perturbed inputs to try first, shape of inputs.
            n_samples: fresh draws by which what was found is judged, where the map is smoothed.
            n_compared: draws by which candidates are compared with each other, where the map is smoothed.
            seed: of the keyed streams; None takes a fresh one.
            progress: True for a bar over candidates, or a function told of each.

        Returns:
            The best perturbed inputs, judged on draws that had no part in finding them.
        """
        checks.count("n_samples", n_samples, 2)
        checks.count("n_compared", n_compared, 1)
        attacked = as_attacked_map(what, classifier)
        with undisturbed(attacked.attribution, attacked.classifier):
            problem = problem_of(attacked, inputs, target, eps, classifier, keep_label, data_range, seed)
            looked = problem.preflight()
            first = None if start is None else problem.points("start", start)
            with reporting(progress, self.proposals, "attacking") as on_progress:
                best = self._best(problem, first, n_compared, on_progress)
            looked.again()
            return _judged(problem, self.loss, best, n_samples)

    def _best(
        self, problem: AttackProblem, start: Tensor | None, n_compared: int, on_progress: ProgressCallback
    ) -> Maps:
        fixed_map = problem.with_fixed_noise("check", n_compared)
        clean = fixed_map.maps(problem.inputs, problem.target)
        best, lowest = problem.inputs, self.loss.score(clean, clean)
        candidates = _first(start, self.candidates(problem)) if start is not None else self.candidates(problem)
        try:
            points = next(candidates)
            while True:
                points = problem.project(points)
                score = self.loss.score(fixed_map.maps(points, problem.target), clean)
                better = score < lowest
                best, lowest = torch.where(each(better, best), points, best), torch.where(better, score, lowest)
                on_progress(1)
                points = candidates.send(best)
        except StopIteration:
            return best


def _first(start: Tensor, candidates: Candidates) -> Candidates:
    yield start
    return (yield from candidates)


def _judged(problem: AttackProblem, loss: Loss, points: Maps, n_samples: int) -> AttackResult:
    """On the true map and on fresh draws, the same for the clean and for the perturbed input."""
    stream = problem.stream("score")
    clean, there = (
        problem.attacked_map.estimate(x, problem.target, stream, n_samples) for x in (problem.inputs, points)
    )
    cosine, error = _jackknife(clean.flatten(2), there.flatten(2))
    means = clean.mean(dim=1), there.mean(dim=1)
    score = loss.score(means[1], means[0])
    return AttackResult(points, problem.size(points), score, cosine, error, *means)


def _jackknife(here: Float[Tensor, "n groups d"], there: Float[Tensor, "n groups d"]) -> tuple[Tensor, Tensor]:
    """CosineLoss of two means and its standard error, by leaving out one group of both at a time."""
    whole = cosine_similarity(here.mean(dim=1), there.mean(dim=1))
    groups = here.shape[1]
    if groups == 1:
        return whole, torch.zeros_like(whole)
    totals = here.sum(dim=1), there.sum(dim=1)
    parts = torch.stack([cosine_similarity(totals[0] - here[:, i], totals[1] - there[:, i]) for i in range(groups)])
    error = (parts.var(dim=0, correction=0) * (groups - 1)).sqrt()
    return groups * whole - (groups - 1) * parts.mean(dim=0), error
