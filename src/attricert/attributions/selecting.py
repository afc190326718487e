"""Which of a model's outputs is meant, where its names do not say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

from torch import Tensor, nn

from attricert.attributions.base import as_module
from attricert.attributions.outputs import held_by_name, logits_of, target_output
from attricert.errors import ArgumentError, UnknownNameError

__all__ = ["OneLabel", "Output"]

Select = str | int | Callable[[Any], Any]


@final
class Output(nn.Module):
    """A model that gives one of its outputs only; wherever models are taken.

    Args:
        model: gives a mapping, a named tuple, a dataclass, another object, or a sequence.
        select: key or attribute of what it gives; a place in a tuple or list; or a function of it.

    Raises:
        ArgumentError: no torch module, or ``select`` is none of these; when it is called, there is no such output.
    """

    def __init__(self, model: nn.Module, select: Select) -> None:
        super().__init__()
        self.model = as_module(model)
        if isinstance(select, bool) or not (isinstance(select, (str, int)) or callable(select)):
            raise ArgumentError("select", select, "must be a name, a place (an integer), or a function of the output")
        self.select = select
        self.training = bool(getattr(model, "training", False))  # the model's mode is its own

    def forward(self, inputs: Tensor) -> Tensor:
        """The output that is meant, of inputs of shape (n, ...)."""
        return logits_of(self._selected(self.model(inputs)))

    def _selected(self, output: Any) -> Any:
        if callable(self.select):
            return self.select(output)
        if isinstance(self.select, int):
            if isinstance(output, Mapping) or not isinstance(output, (tuple, list)):
                rule = f"is a place in a tuple or list; the model gives {_told(output)}"
                raise ArgumentError("output", self.select, rule)
            if not -len(output) <= self.select < len(output):
                raise ArgumentError("output", self.select, f"must be a place among {len(output)}")
            return output[self.select]
        named = held_by_name(output)
        if self.select in named:
            return named[self.select]
        if named:
            raise UnknownNameError("output", self.select, named)
        raise ArgumentError("output", self.select, f"is a name; the model gives {_told(output)}")

    def extra_repr(self) -> str:
        """What is meant."""
        return f"select={self.select!r}"


@final
class OneLabel(nn.Module):
    """One label of a model of several labels at once: its logit, as two classes by its sign.

    In such a model each label is there or not, whatever the others are; the largest logit is no prediction. Target 1
    explains the label, target 0 what speaks against it; and what is certified of the prediction is whether the label is
    there.

    Args:
        model: gives logits, shape (n, labels): positive where a label is there.
        label: which one; a tuple is an index into each axis of one input's output.

    Raises:
        ArgumentError: the model is no torch module; and when it is called, there is no such label.
    """

    def __init__(self, model: nn.Module, label: int | tuple[int, ...]) -> None:
        super().__init__()
        self.model, self.label = as_module(model), label
        self.training = bool(getattr(model, "training", False))

    def forward(self, inputs: Tensor) -> Tensor:
        """The label's logit, shape (n,)."""
        return target_output(logits_of(self.model(inputs)), self.label, len(inputs))

    def extra_repr(self) -> str:
        """Which label."""
        return f"label={self.label}"


def _told(output: Any) -> str:
    return "one tensor" if isinstance(output, Tensor) else type(output).__name__
