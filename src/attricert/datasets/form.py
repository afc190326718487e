"""What inputs and labels are, beside their numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

from torch import Tensor

from attricert import checks
from attricert.errors import ArgumentError

__all__ = ["Form"]

Kind = Literal["image", "columns", "other"]
_COLOURS = (1, 3)  # channels that images have


@final
@dataclass(frozen=True)
class Form:
    """What inputs and labels are.

    Args:
        kind: ``"image"`` (numbers in [0, 1]), ``"columns"`` (rows of a table), or ``"other"``.
        names: of the columns, or of the channels; empty where they have none.
        classes: of the labels 0, 1, ...; empty where they have no names.
        deviations: of columns, one standard deviation each over these data; empty where one is 0, or for other kinds.
        dtype: in which the inputs are given to the model, ``"float32"`` or ``"float64"``; None for as they are.
        free: of columns that an attribution takes in standard deviations, those that it does not hold fixed; 0 where
            they are taken as they are.
    """

    kind: Kind = "image"
    names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    deviations: tuple[float, ...] = ()
    dtype: str | None = None
    free: int = 0

    def __post_init__(self) -> None:
        checks.known("kind", checks.text("kind", self.kind), ("image", "columns", "other"))
        for name in ("names", "classes"):
            value = tuple(checks.text(name, one) for one in getattr(self, name))
            if len(set(value)) < len(value):
                raise ArgumentError(name, list(value), "must differ from one another")
            checks.keep(self, **{name: value})
        checks.keep(self, deviations=tuple(checks.positive("deviations", one) for one in self.deviations))
        if self.dtype is not None:
            checks.known("dtype", checks.text("dtype", self.dtype), ("float32", "float64"))
        checks.keep(self, free=checks.count("free", self.free, 0))

    @classmethod
    def of(cls, inputs: Tensor, names: Sequence[str] = (), classes: Sequence[str] = ()) -> Form:
        """As the inputs look: a matrix is a table, (n, 1 or 3, height, width) in [0, 1] are images.

        Args:
            inputs: shape (n, ...).
            names: of columns or channels; none, or as many as these are.
            classes: of labels.
        """
        names = tuple(names)
        if names and (inputs.ndim < 2 or len(names) != inputs.shape[1]):
            of = inputs.shape[1] if inputs.ndim > 1 else 0
            raise ArgumentError("names", f"{len(names)} names", f"must be one for each of {of} columns or channels")
        if inputs.ndim == 2:
            spread = inputs.double().std(dim=0, correction=0)
            told = tuple(spread.tolist()) if bool((spread > 0).all()) else ()
            return cls("columns", names, tuple(classes), told)
        looks = inputs.ndim == 4 and inputs.shape[1] in _COLOURS and len(inputs) > 0
        image = looks and bool(inputs.min() >= 0) and bool(inputs.max() <= 1)
        return cls("image" if image else "other", names, tuple(classes))

    def to_dict(self) -> dict[str, Any]:
        """As plain values: those that are not left out."""
        values = dataclasses.asdict(self)
        defaults = dataclasses.asdict(Form())
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != defaults[name]
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Form:
        """From what `to_dict` gives.

        Raises:
            ArgumentError: bad values.
            TypeError: it is something else.
        """
        found: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**found)
