"""Before the draws: a few calls, to see whether attribution and classifier are functions of each input alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from attricert.attributions import (
    Attribution,
    Classifier,
    attributions_of,
    is_random,
    modules_of,
    name_of,
    scores_of,
)
from attricert.errors import ArgumentError, CallError, InPlaceWarning, OutputWarning, ZeroMapsWarning
from attricert.fixed import Fixed
from attricert.sampling.free import Free
from attricert.text import one_line, shortened

__all__ = ["COPIES", "LOOKED_AT", "Preflight", "preflight"]

LOOKED_AT = ("mode", "inputs", "repeat", "rows")
"""The mode of models, changes in place, equal calls, and an input alone and beside others."""

# Relative. Sums in another order differ by far less, what is random or mixes rows by far more. A kink that is met may
# differ by more too, but not at each of several noisy copies.
_REPEAT, _REPEAT_ELSEWHERE, _ROWS, _HALF = 1e-5, 1e-3, 1e-2, 30.0
_REPEATS = {"attribution": 3, "classifier": 1}  # what has few outcomes may give the same one several times
_COMPANY = [(2.0, 0.5), (-1.0, 3.0), (0.0, 1.0)]  # sizes of neighbours
_SINGLE = 4  # bytes
_FAR = 100.0  # times an input: there few logits lie in [0, 1]
_ATTEMPTS, _MORE, _BATCH = 3, 6, 4
_SATURATED = 1e-4  # float32 has some three digits left of 1 - p
_WORDS = 200  # characters of what others say
_WHY_ZERO = (
    "gradients are, of models made of steps (trees, thresholds, rounding) and of saturated ones: take an attribution "
    "that compares the model's values (SHAP, as attricert.tabular.Standardized has it, or occlusion)"
)

COPIES = 2 * (_ATTEMPTS + _MORE)
"""Noisy copies that a preflight needs."""


@final
@dataclass(frozen=True)
class Preflight:
    """What was looked at before the draws, and can be looked at again after them.

    Args:
        looked_at: of `LOOKED_AT`, what can be told of these functions.
        seen: calls, and what they gave.
    """

    looked_at: tuple[str, ...]
    seen: tuple[_Seen, ...]

    def again(self) -> None:
        """After the draws.

        Raises:
            ArgumentError: the same inputs have other maps or scores now.
        """
        for one in self.seen:
            one.again()


def preflight(
    attribution: Attribution,
    classifier: Classifier | None,
    copies: Float[Tensor, "n *features"],
    target: Tensor | None,
    batch_size: int | None = None,
    fixed: Fixed | None = None,
) -> Preflight:
    """Look for what would make certificates false, in a few calls on noisy copies of one input.

    Args:
        attribution: g.
        classifier: what predicts a class for each copy, or None.
        copies: `COPIES` of them.
        target: the class explained, or None.
        batch_size: copies that are computed at once, where that is fixed.
        fixed: entries of an input that are held fixed, or None.

    Raises:
        ArgumentError: equal inputs have different maps or scores, or a row's depend on its neighbours.
        CallError: a call failed.

    Warns:
        InPlaceWarning: says who changed what; copies make it harmless here.
        OutputWarning: a single score looks like a probability; the explained score is one that is saturated; or the
            target has several indices, of which the first is taken as the class.
        ZeroMapsWarning: all maps are zero.
    """
    size, free = _BATCH if batch_size is None else min(batch_size, _BATCH), Free.of(copies[0], fixed)
    itself = _Function("attribution", attribution, partial(attributions_of, attribution), target, size, free)
    functions = []
    if classifier is not None:
        functions.append(_Function("classifier", classifier, partial(scores_of, classifier), target, size, free))
    if is_random(attribution):
        # What it does to its inputs is all that can be told.
        itself(copies[:1], watch=True)
    else:
        functions.insert(0, itself)
    # A classifier that is the attribution's own model is looked at through it, too.
    own = classifier is not None and classifier is getattr(attribution, "model", None)
    attempts = {"attribution": _ATTEMPTS, "classifier": 1 if own else _ATTEMPTS}
    seen = tuple(function.look(copies, attempts[function.role]) for function in functions)
    if own and functions[-1].is_saturated(copies[:1]):
        text = (
            f"{name_of(classifier)} gives probabilities, and that of the explained class is within {_SATURATED:g} of 0 "
            "or 1 at a noisy copy: its gradients all but vanish there, and maps are made of rounding errors; explain "
            "logits (a model without its softmax or sigmoid; ac.Output(model, select) where it gives both)"
        )
        warnings.warn(text, OutputWarning, stacklevel=5)
    if classifier is not None and target is not None and target.ndim:
        named = tuple(target.tolist())
        text = (
            f"target {named} has several indices: the first, {named[0]}, is taken as the class that is predicted there"
        )
        warnings.warn(text, OutputWarning, stacklevel=5)
    return Preflight(LOOKED_AT[1:2] if is_random(attribution) else LOOKED_AT, seen)


@final
@dataclass(frozen=True)
class _Function:
    """An attribution or a classifier, as a function of inputs.

    Args:
        role: which of the two.
        who: it.
        call: it, as it is called here; and who is told of changes in place.
        target: for all inputs.
        size: inputs that it may be given at once.
        free: the entries that may be changed.
    """

    role: str
    who: Attribution | Classifier
    call: Callable[[Tensor, Tensor | None, Callable[[str], None] | None], Tensor]
    target: Tensor | None
    size: int
    free: Free

    def __call__(self, inputs: Tensor, *, watch: bool = False) -> Tensor:
        target = None if self.target is None else self.target.expand(len(inputs), *self.target.shape).clone()
        return self.call(inputs, target, self._warn if watch else None)

    def look(self, copies: Tensor, attempts: int) -> _Seen:
        """Equal calls, and rows alone and beside others: alike at all copies but one, which may meet a kink."""
        apart = [self._look(copies, i, first=i == 0) for i in range(attempts)]
        mixed = [one for one, _ in apart if one > _ROWS * self.coarseness]
        if mixed:
            more = [self._look(copies, i)[0] for i in range(attempts, len(copies) // 2)]
            mixed += [one for one in more if one > _ROWS * self.coarseness]
        if len(mixed) > 1:
            raise self._random(max(mixed), first=True) if self.size == 1 else self._mixed(max(mixed))
        if self.role == "attribution" and not any(bool(seen.result.any()) for _, seen in apart):
            text = f"{name_of(self.who)}: all maps of noisy copies of the first input are exactly zero; {_WHY_ZERO}"
            warnings.warn(text, ZeroMapsWarning, stacklevel=8)
        return apart[0][1]

    def _look(self, copies: Tensor, i: int, *, first: bool = False) -> tuple[float, _Seen]:
        """By how much a row's result differs beside others; and a call to be made again."""
        row, other = copies[2 * i : 2 * i + 1], copies[2 * i + 1 : 2 * i + 2]
        alone = self(row, watch=first)
        for _ in range(_REPEATS[self.role] if first else 0):
            _Seen(self, row, alone).again(first=True)
        # Unlike its neighbours, in place and in size, but of the same kind.
        unlike, (one, two) = other.flip(tuple(range(1, other.ndim))), _COMPANY[i % len(_COMPANY)]
        others = [self.free.within(row, size * unlike) for size in (one, two)]
        batch = torch.cat([others[0], row, others[1], row][: self.size] if self.size > 1 else [row])
        seen = _Seen(self, batch, self._batch(batch))
        if first and self.role == "classifier":
            self._look_at_scores(seen.result, row)
        mine = [j for j in range(len(batch)) if torch.equal(batch[j], row[0])]
        return max(_apart(alone[0], seen.result[j]) for j in mine), seen

    def is_saturated(self, row: Tensor) -> bool:
        """Whether the explained score of an input is a probability that is next to 0 or 1."""
        scores = self(row)
        if self.target is None or not _in_unit(scores):
            return False
        score = float(scores[0, self.target.reshape(-1)[0]])
        # Logits may lie there by chance, but not those of far inputs.
        return min(score, 1 - score) < _SATURATED and all(_in_unit(self(far)) for far in (_FAR * row, -_FAR * row))

    def _mixed(self, apart: float) -> ArgumentError:
        what = "map" if self.role == "attribution" else "score"
        rule = (
            f"gives an input another {what} beside other inputs than alone (by {apart:.2g} of its norm): the rows of a "
            "batch are mixed, or treated by their place (batch norm on batch statistics? scaling over the batch? one "
            "random stream for all?); with batch_size=1 it is given one at a time"
        )
        return ArgumentError(self.role, name_of(self.who), rule)

    def _random(self, apart: float, *, first: bool) -> ArgumentError:
        what = "maps" if self.role == "attribution" else "scores"
        why = "it is random" if first else "it changed while it was sampled"
        way = "attricert.wrap(f, random=True) certifies the mean over its randomness"
        rule = (
            f"gives different {what} of equal inputs (by {apart:.2g} of their norm): {why} (functional dropout? a "
            f"method that samples? a state?); {way if what == 'maps' else 'a classifier must not be'}"
        )
        return ArgumentError(self.role, name_of(self.who), rule)

    @cached_property
    def coarseness(self) -> float:
        """By how much more than single precision results may differ."""
        parameters = (p for module in modules_of(self.who) for p in module.parameters())
        return _HALF if any(p.is_floating_point() and p.element_size() < _SINGLE for p in parameters) else 1.0

    def _batch(self, batch: Tensor) -> Tensor:
        try:
            return self(batch)
        except CallError as error:
            said = shortened(one_line(str(error.__cause__)), _WORDS)
            rule = f"takes one input at a time, not {len(batch)}: give batch_size=1 ({said})"
            raise ArgumentError(self.role, name_of(self.who), rule) from error

    def _warn(self, what: str) -> None:
        text = f"the {self.role} {name_of(self.who)} changes its {what} in place; it is given copies"
        warnings.warn(text, InPlaceWarning, stacklevel=9)

    def _look_at_scores(self, scores: Tensor, row: Tensor) -> None:
        if _are_probabilities(scores) and all(
            _are_probabilities(self(self.free.within(row, far * row))) for far in (_FAR, -_FAR)
        ):
            text = "its single score lies in [0, 1], like a probability, yet its sign decides; give the logit"
            warnings.warn(f"classifier {name_of(self.who)}: {text}", OutputWarning, stacklevel=7)


@final
@dataclass(frozen=True)
class _Seen:
    """A call, and what it gave."""

    function: _Function
    batch: Tensor
    result: Tensor

    def again(self, *, first: bool = False) -> None:
        """Call once more; ``first``: there were no draws yet."""
        now, function = self.function(self.batch), self.function
        apart = max(_apart(one, other) for one, other in zip(self.result, now, strict=True))
        limit = _REPEAT if self.batch.device.type == "cpu" else _REPEAT_ELSEWHERE
        if apart > limit * function.coarseness:
            raise function._random(apart, first=first)


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
