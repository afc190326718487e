"""Before the draws: one call on two copies, to see what attribution and classifier do to what they are given."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from attricert.errors import InPlaceWarning
from attricert.sampling.sampler import Sampler
from attricert.streams import Stream

__all__ = ["preflight"]

_ROWS = 2


def preflight(sampler: Sampler, x: Tensor, target: Tensor | None) -> None:
    """Look for changes in place. Copies make them harmless here; elsewhere the same function may spoil its input.

    Args:
        sampler: what is sampled.
        x: one input.
        target: its class, or None.

    Warns:
        InPlaceWarning: says who changed what.
    """
    copies = sampler.copies(x, Stream(0, "", "preflight"), _ROWS)  # pairs of them where they come in pairs
    targets = None if target is None else target.expand(len(copies)).clone()
    attribution, classifier = sampler.attribution, sampler.classifier
    _watch("attribution", attribution, lambda given, index: attribution(given, index), copies, targets)
    if classifier is not None:
        with torch.no_grad():
            _watch("classifier", classifier, lambda given, _: classifier(given), copies, None)


def _watch(
    role: str, who: object, call: Callable[[Tensor, Tensor | None], object], inputs: Tensor, target: Tensor | None
) -> None:
    given, index = inputs.clone(), None if target is None else target.clone()
    call(given, index)
    changed = [
        what
        for what, before, after in (("inputs", inputs, given), ("target", target, index))
        if before is not None and after is not None and not torch.equal(before, after)
    ]
    if changed:
        name = getattr(who, "__name__", type(who).__name__)
        text = f"the {role} {name} changes its {' and '.join(changed)} in place; it is given copies"
        warnings.warn(text, InPlaceWarning, stacklevel=5)
