"""Before the draws: a few calls, to see whether attribution and classifier are functions of each input alone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from attricert.attributions import Attribution, Classifier, comes_singly, name_of
from attricert.errors import ArgumentError, InPlaceWarning, OutputWarning, ZeroMapsWarning
from attricert.fixed import Fixed
from attricert.sampling.free import Free
from attricert.sampling.looks import SATURATED, Beside, LookedAt

__all__ = ["LOOKED_AT", "Preflight", "preflight"]

LOOKED_AT = ("mode", "inputs", "repeat", "rows")
"""The mode of models, changes in place, equal calls, and an input alone and beside others."""

_WHY_ZERO = (
    "gradients are, of models made of steps (trees, thresholds, rounding) and of saturated ones: take an attribution "
    "that compares the model's values (SHAP, as attricert.tabular.Standardized has it, or occlusion)"
)


@final
@dataclass(frozen=True)
class Preflight:
    """What was looked at before the draws, and can be looked at again after them.

    Args:
        looked_at: of `LOOKED_AT`, what can be told of these functions.
        seen: calls, and what they gave.
    """

    looked_at: tuple[str, ...]
    seen: tuple[tuple[LookedAt, Beside], ...]

    def again(self) -> None:
        """After the draws.

        Raises:
            ArgumentError: the same inputs have other maps or scores now.
        """
        for function, found in self.seen:
            if apart := function.again(found.batch, found.result):
                raise _random(function, apart, first=False)


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
    free = Free.of(copies[0], fixed)
    itself = LookedAt.attribution(attribution, target, batch_size, free)
    functions = []
    # A classifier that is the attribution's own model is looked at through it, too.
    own = classifier is not None and classifier is getattr(attribution, "model", None)
    if classifier is not None:
        attempts = {"attempts": 1} if own else {}
        functions.append(LookedAt.classifier(classifier, target, batch_size, free, **attempts))
    if comes_singly(attribution):
        # What it does to its inputs is all that can be told.
        _first(itself, copies[:1])
    else:
        functions.insert(0, itself)
    seen = tuple((function, _look(function, copies)) for function in functions)
    if own and functions[-1].is_saturated(copies[:1]):
        text = (
            f"{name_of(classifier)} gives probabilities, and that of the explained class is within {SATURATED:g} of 0 "
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
    return Preflight(LOOKED_AT[1:2] if comes_singly(attribution) else LOOKED_AT, seen)


def _first(function: LookedAt, row: Tensor) -> Tensor:
    changed: list[str] = []
    alone = function(row, changed)
    for what in changed:
        text = f"the {function.role} {name_of(function.who)} changes its {what} in place; it is given copies"
        warnings.warn(text, InPlaceWarning, stacklevel=7)
    return alone


def _look(function: LookedAt, copies: Tensor) -> Beside:
    """Equal calls, and rows alone and beside others: alike at all copies but one, which may meet a kink."""
    row = copies[:1]
    alone = _first(function, row)
    if apart := function.repeated(row, alone):
        raise _random(function, apart, first=True)
    found = function.beside(copies, 0, alone)
    if function.role == "classifier" and function.is_single_probability(found.result, row):
        text = "its single score lies in [0, 1], like a probability, yet its sign decides; give the logit"
        warnings.warn(f"classifier {name_of(function.who)}: {text}", OutputWarning, stacklevel=6)
    if apart := function.mixing(copies, found):
        raise _random(function, apart, first=True) if function.size == 1 else _mixed(function, apart)
    if function.role == "attribution" and function.is_zero(copies, found):
        text = f"{name_of(function.who)}: all maps of noisy copies of the first input are exactly zero; {_WHY_ZERO}"
        warnings.warn(text, ZeroMapsWarning, stacklevel=6)
    return found


def _mixed(function: LookedAt, apart: float) -> ArgumentError:
    what = "map" if function.role == "attribution" else "score"
    rule = (
        f"gives an input another {what} beside other inputs than alone (by {apart:.2g} of its norm): the rows of a "
        "batch are mixed, or treated by their place (batch norm on batch statistics? scaling over the batch? one "
        "random stream for all?); SmoothedAttribution(..., batch_size=1), or --batch_size 1, gives it one at a time"
    )
    return ArgumentError(function.role, name_of(function.who), rule)


def _random(function: LookedAt, apart: float, *, first: bool) -> ArgumentError:
    what = "maps" if function.role == "attribution" else "scores"
    why = "it is random" if first else "it changed while it was sampled"
    way = "attricert.wrap(f, random=True) certifies the mean over its randomness"
    rule = (
        f"gives different {what} of equal inputs (by {apart:.2g} of their norm): {why} (functional dropout? a "
        f"method that samples? a state?); {way if what == 'maps' else 'a classifier must not be'}"
    )
    return ArgumentError(function.role, name_of(function.who), rule)
