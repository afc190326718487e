"""Everything a caller may want to catch or filter. A message names the argument, its value and the rule."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "ArgumentError",
    "AttributionWarning",
    "AttricertError",
    "CallError",
    "ComputeWarning",
    "DerivativeWarning",
    "InPlaceWarning",
    "IntegrityError",
    "MeaningWarning",
    "ModelModeWarning",
    "NotABoundWarning",
    "OutputWarning",
    "RangeWarning",
    "RowError",
    "UnavailableError",
    "UnknownNameError",
    "ZeroMapsWarning",
    "nearest",
]


class AttricertError(Exception):
    """Base of all errors raised on purpose by attricert."""


class ArgumentError(AttricertError, ValueError):
    """An argument breaks its rule: ``radius=-1.0: must be > 0``."""

    def __init__(self, name: str, value: object, rule: str) -> None:
        self.name, self.value, self.rule = name, value, rule
        super().__init__(f"{name}={value!r}: {rule}")


class RowError(ArgumentError, IndexError):
    """There is no such input."""


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The one that may have been meant, if any comes near."""
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)


class UnknownNameError(ArgumentError):
    """A name that is not on the list; the nearest match is offered."""

    def __init__(self, name: str, value: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = nearest(value, names)
        hint = "" if near is None else f"did you mean {near!r}? "
        super().__init__(name, value, f"{hint}must be one of {', '.join(names)}")


class CallError(AttricertError):
    """A model, an attribution or a classifier raised an error, which is the cause of this one."""


class IntegrityError(AttricertError):
    """A file is not what it should be: wrong checksum, truncated, or of another format."""


class UnavailableError(AttricertError):
    """Data could not be had from any source, or a package that is not required is not there."""


class NotABoundWarning(UserWarning):
    """The printed Theorem 1 of the paper was asked for; it is not a lower bound (docs/errata.md)."""


class ModelModeWarning(UserWarning):
    """A model is in train mode; it is called in eval mode, and left as it is."""


class DerivativeWarning(UserWarning):
    """An attack goes without derivatives, as the attribution has none."""


class ComputeWarning(UserWarning):
    """Draws cannot be computed in the way that was asked for; they are computed in the plain one."""


class OutputWarning(UserWarning):
    """What a model returns can be read in more than one way; the text says which was taken."""


class RangeWarning(UserWarning):
    """Inputs are not in the range that the model declares, or look normalized: eps is not what it seems to be."""


class MeaningWarning(UserWarning):
    """Maps of a class were certified that the smoothed model does not predict: true, and perhaps without meaning."""


class AttributionWarning(UserWarning):
    """Some sampled attributions held NaN or inf; they count as zero."""


class InPlaceWarning(AttributionWarning):
    """An attribution or a classifier changes what it is given, in place."""


class ZeroMapsWarning(AttributionWarning):
    """All maps that were looked at before the draws are zero: nothing can be certified of them."""
