"""What a few calls on noisy copies tell of an attribution or a classifier: measured here, judged elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from attricert.attributions import (
    Attribution,
    Classifier,
    TakesUniforms,
    at_uniforms,
    attributions_of,
    autocast_of,
    modules_of,
    name_of,
    scores_of,
    seeded,
    takes_uniforms,
)
from attricert.errors import ArgumentError, CallError
from attricert.sampling.free import Free
from attricert.streams import sample_key
from attricert.text import one_line, shortened

__all__ = ["COPIES", "SATURATED", "Beside", "LookedAt", "alike"]

# Relative. Sums in another order differ by far less, what is random or mixes rows by far more. A kink that is met may
# differ by more too, but not at each of several noisy copies.
_REPEAT, _REPEAT_ELSEWHERE, _ROWS, _HALF = 1e-5, 1e-3, 1e-2, 30.0
_ANOTHER_WAY = 1e-3
_REPEATS = {"attribution": 3, "classifier": 1}  # what has few outcomes may give the same one several times
_COMPANY = [(2.0, 0.5), (-1.0, 3.0), (0.0, 1.0)]  # sizes of neighbours
_SINGLE = 4  # bytes
_FAR = 100.0  # times an input: there few logits lie in [0, 1]
_ATTEMPTS, _MORE, _BATCH = 3, 6, 4
_WORDS = 200  # characters of what others say

SATURATED = 1e-4
"""A probability this near to 0 or 1 is: float32 has some three digits left of 1 - p."""

COPIES = 2 * (_ATTEMPTS + _MORE)
"""Noisy copies that the looks need."""


@final
@dataclass(frozen=True)
class Beside:
    """What a row's result is beside others.

    Args:
        batch: the row among others.
        result: of the batch.
        apart: by how much, relative to its norm, the row's result differs from that of the row alone.
    """

    batch: Tensor
    result: Tensor
    apart: float


@final
@dataclass(frozen=True)
class LookedAt:
    """An attribution or a classifier, as a function of inputs.

    Args:
        role: which of the two.
        who: it.
        call: it, as it is called here: inputs, target, and who is told of changes in place.
        target: for all inputs.
        size: inputs that it may be given at once.
        free: the entries that may be changed.
        attempts: pairs of copies at which a row is looked at beside others.
    """

    role: str
    who: Attribution | Classifier
    call: Callable[[Tensor, Tensor | None, Callable[[str], None] | None], Tensor]
    target: Tensor | None
    size: int
    free: Free
    attempts: int = _ATTEMPTS

    @classmethod
    def attribution(cls, who: Attribution, target: Tensor | None, batch_size: int | None, free: Free) -> LookedAt:
        """An attribution; ``batch_size`` is that which is fixed, or None.

        One that takes uniforms is looked at with a number a row, which belongs to its values.
        """
        call = partial(_at_own_uniforms, who) if takes_uniforms(who) else partial(attributions_of, who)
        return cls("attribution", who, call, target, _size(batch_size), free)

    @classmethod
    def classifier(
        cls, who: Classifier, target: Tensor | None, batch_size: int | None, free: Free, *, attempts: int = _ATTEMPTS
    ) -> LookedAt:
        """A classifier; likewise."""
        return cls("classifier", who, partial(scores_of, who), target, _size(batch_size), free, attempts)

    def __call__(self, inputs: Float[Tensor, "n *features"], changed: list[str] | None = None) -> Tensor:
        """Its result; to ``changed`` is added what it changes in place."""
        target = None if self.target is None else self.target.expand(len(inputs), *self.target.shape).clone()
        return self.call(inputs, target, None if changed is None else changed.append)

    def again(self, batch: Float[Tensor, "n *features"], result: Tensor) -> float:
        """By how much a call like that gives something else now, of the norm; 0 where rounding explains it."""
        now = self._alike(self(batch), result)
        apart = max(_apart(one, other) for one, other in zip(result, now, strict=True))
        limit = _REPEAT if batch.device.type == "cpu" else _REPEAT_ELSEWHERE
        return apart if apart > limit * self.coarseness else 0.0

    def repeated(self, row: Float[Tensor, "1 *features"], alone: Tensor) -> float:
        """By how much some of a few equal calls differ; 0 where none does."""
        return next(filter(None, (self.again(row, alone) for _ in range(_REPEATS[self.role]))), 0.0)

    def beside(self, copies: Float[Tensor, "n *features"], i: int, alone: Tensor | None = None) -> Beside:
        """A copy beside others: unlike its neighbours, in place and in size, but of the same kind.

        Args:
            copies: `COPIES` of them.
            i: the pair of copies of which one is looked at.
            alone: the result of that one by itself, if it is known.

        Raises:
            ArgumentError: it takes one input at a time.
        """
        row, other = copies[2 * i : 2 * i + 1], copies[2 * i + 1 : 2 * i + 2]
        alone = self(row) if alone is None else alone
        unlike, (one, two) = other.flip(tuple(range(1, other.ndim))), _COMPANY[i % len(_COMPANY)]
        others = [self.free.within(row, size * unlike) for size in (one, two)]
        batch = torch.cat([others[0], row, others[1], row][: self.size] if self.size > 1 else [row])
        result = self._alike(self._batch(batch), alone)
        mine = [j for j in range(len(batch)) if torch.equal(batch[j], row[0])]
        return Beside(batch, result, max(_apart(alone[0], result[j]) for j in mine))

    def mixing(self, copies: Float[Tensor, "n *features"], first: Beside) -> float:
        """By how much rows differ beside others, the first pair being known; 0 where they do so at one at most."""

        def apart(i: int) -> float:
            return first.apart if i == 0 else self.beside(copies, i).apart

        found = self._mixing(apart, _ROWS * self.coarseness, len(copies) // 2)
        if found or self.coarseness == 1 or self.size == 1:
            return found
        # Rounding that is as coarse hides a good deal, but is the same beside as many others, whoever they are.
        return self._mixing(lambda i: self._among_others(copies, i), _ROWS, len(copies) // 2)

    def mixing_if_random(self, copies: Float[Tensor, "n *features"]) -> float | None:
        """The same of what gives something else at each call: with equal random numbers, and as many neighbours.

        Returns:
            By how much a row's results differ beside others; 0 where they do not. None where seeds do not settle what
            comes out, or one input is given at a time.
        """
        if self.size == 1:
            return None
        limit, mixed = _ROWS * self.coarseness, []
        for i in range(self.attempts):
            one, two = self._companies(copies, i)
            first, same, beside = (self._seeded(batch, i) for batch in (one, one, two))
            if _apart(first, same) > limit:
                return None
            mixed.append(_apart(first[0], beside[0]))
        return max(mixed) if sum(apart > limit for apart in mixed) > 1 else 0.0

    def is_zero(self, copies: Float[Tensor, "n *features"], first: Beside) -> bool:
        """Whether all maps are exactly zero, the first pair being known."""
        return not bool(first.result.any()) and not any(
            bool(self.beside(copies, i).result.any()) for i in range(1, self.attempts)
        )

    def is_saturated(self, row: Float[Tensor, "1 *features"]) -> bool:
        """Whether the explained score of an input is a probability that is next to 0 or 1."""
        scores = self(row)
        if self.target is None or not _in_unit(scores):
            return False
        explained = int(self.target.reshape(-1)[0])
        if explained >= scores.shape[1]:  # it goes with the outputs of another
            return False
        score = float(scores[0, explained])
        # Logits may lie there by chance, but not those of far inputs.
        return min(score, 1 - score) < SATURATED and all(_in_unit(self(far)) for far in self._far(row))

    def stays_in_unit(self, row: Float[Tensor, "1 *features"]) -> bool:
        """Whether all scores lie in [0, 1], here and at far inputs, as those of probabilities do."""
        return all(_in_unit(self(at)) for at in (row, *self._far(row)))

    def is_single_probability(self, scores: Tensor, row: Float[Tensor, "1 *features"]) -> bool:
        """Whether its single score is like a probability, here and at far inputs."""
        return _are_probabilities(scores) and all(_are_probabilities(self(far)) for far in self._far(row))

    @cached_property
    def coarseness(self) -> float:
        """By how much more than single precision results may differ."""
        return _coarseness(self.who)

    def _alike(self, found: Tensor, before: Tensor) -> Tensor:
        """What it gave now, of the shape that it gave before."""
        if found.shape[1:] != before.shape[1:]:
            rule = f"must return maps of one shape, whatever the batch, here {tuple(before.shape[1:])} an input"
            raise ArgumentError(self.role, tuple(found.shape[1:]), rule)
        return found

    def _mixing(self, apart: Callable[[int], float], limit: float, pairs: int) -> float:
        """The largest of what lies beyond the limit, if more than one does: of few pairs, and of all if any does."""
        mixed = [one for one in map(apart, range(self.attempts)) if one > limit]
        if mixed:
            mixed += [one for one in map(apart, range(self.attempts, pairs)) if one > limit]
        return max(mixed) if len(mixed) > 1 else 0.0

    def _among_others(self, copies: Tensor, i: int) -> float:
        """By how much a row's result differs beside one neighbour and beside another."""
        one, two = (self._batch(batch) for batch in self._companies(copies, i))
        return _apart(one[0], two[0])

    def _companies(self, copies: Tensor, i: int) -> tuple[Tensor, Tensor]:
        """A row beside one neighbour, and beside another."""
        row, other = copies[2 * i : 2 * i + 1], copies[2 * i + 1 : 2 * i + 2]
        one, two = (self.free.within(row, size * other) for size in _COMPANY[i % len(_COMPANY)])
        return torch.cat([row, one]), torch.cat([row, two])

    def _far(self, row: Tensor) -> tuple[Tensor, Tensor]:
        return self.free.within(row, _FAR * row), self.free.within(row, -_FAR * row)

    def _seeded(self, batch: Tensor, seed: int) -> Any:
        with seeded(seed):
            return self._batch(batch)

    def _batch(self, batch: Tensor) -> Tensor:
        try:
            return self(batch)
        except CallError as error:
            said = shortened(one_line(str(error.__cause__)), _WORDS)
            rule = f"takes one input at a time, not {len(batch)}: give batch_size=1 ({said})"
            raise ArgumentError(self.role, name_of(self.who), rule) from error


def _at_own_uniforms(
    who: TakesUniforms, inputs: Tensor, target: Tensor | None, on_change: Callable[[str], None] | None = None
) -> Tensor:
    """The same row has the same number, alone and beside others, which have others."""
    numbers = [int(sample_key(row), 16) / 16**32 for row in inputs]
    return attributions_of(at_uniforms(who, torch.tensor(numbers).to(inputs)), inputs, target, on_change)


def alike(found: Tensor, plain: Tensor, *owners: object) -> bool:
    """Whether maps, computed in two ways, are the same up to rounding.

    Args:
        found: in one way.
        plain: in the other.
        owners: of the models, whose precision says how coarse that is.
    """
    return _apart(found, plain) <= _ANOTHER_WAY * _coarseness(*owners)


def _coarseness(*owners: object) -> float:
    if autocast_of(*owners) is not None:
        return _HALF
    parameters = (p for module in modules_of(*owners) for p in module.parameters())
    return _HALF if any(p.is_floating_point() and p.element_size() < _SINGLE for p in parameters) else 1.0


def _size(batch_size: int | None) -> int:
    return _BATCH if batch_size is None else min(batch_size, _BATCH)


def _are_probabilities(scores: Tensor) -> bool:
    """Whether single scores, of which the other class has the negatives, lie in [0, 1]."""
    single = scores.shape[1] == 2 and torch.equal(scores[:, 0], -scores[:, 1])
    return single and _in_unit(scores[:, 1])


def _in_unit(scores: Tensor) -> bool:
    return bool(((scores >= 0) & (scores <= 1)).all())


def _apart(one: Tensor, other: Tensor) -> float:
    """The norm of the difference relative to the larger norm; entries that are not finite must be alike."""
    one, other = one.flatten().double(), other.flatten().double()
    if torch.equal(one, other):
        return 0.0
    finite = torch.isfinite(one) & torch.isfinite(other)
    if not torch.equal(one[~finite].nan_to_num(0.5), other[~finite].nan_to_num(0.5)):
        return torch.inf
    size = max(float(one[finite].norm()), float(other[finite].norm()))
    return float((one - other)[finite].norm()) / size if size > 0 else 0.0
