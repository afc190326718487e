"""Data in the precision that a model takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from attricert.datasets.labelled import Dataset, Survey

__all__ = ["cast"]

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


@final
@dataclass(frozen=True)
class _Cast:
    """The same data, each input in another precision as it is read."""

    items: Dataset
    dtype: str

    @property
    def ids(self) -> tuple[str, ...]:
        return self.items.ids

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        values, label = self.items[index]
        return values.to(_DTYPES[self.dtype]), label

    def digest(self) -> str:
        return self.items.digest()

    def survey(self) -> Survey:
        found = self.items.survey()
        words = f"given to the model in {self.dtype}"
        return replace(found, reading={**found.reading, words: len(self)}, form=replace(found.form, dtype=self.dtype))


def cast(items: Dataset, dtype: str | None) -> Dataset:
    """Data whose inputs are given in ``"float32"`` or ``"float64"``; their digest stays that of what was read.

    Args:
        items: the data.
        dtype: None for as they are.
    """
    return items if dtype is None else _Cast(items, dtype)
