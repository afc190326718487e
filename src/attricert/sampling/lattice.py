"""Noisy copies of an input, rounded to a lattice: what g sees is a function of the real sum (docs/theory.md 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from attricert.errors import ArgumentError
from attricert.noise import Noise

__all__ = ["Lattice", "check_precision"]

_FINENESS = 16  # steps of the dtype that a standard deviation of the noise must have at least
_FARTHEST = 16  # standard deviations that noise may go


@final
@dataclass(frozen=True)
class Lattice:
    """Copies of one input on the multiples of a step.

    The input is cut into its nearest lattice point and a rest, both exact, so that the error of a sum does not depend
    on the input's size.

    Args:
        step: a power of two.
        point: of the lattice, nearest to the input, in steps; float64.
        rest: of the input, in steps.
        dtype: of the copies.
    """

    step: float
    point: Float[Tensor, " d"]
    rest: Float[Tensor, " d"]
    dtype: torch.dtype

    @classmethod
    def around(cls, x: Float[Tensor, "*features"], step: float) -> Lattice:
        """For copies of this input."""
        # No float64 on some accelerators: there the sum is formed on the CPU.
        wide = x.detach().flatten().to("cpu" if x.device.type == "mps" else x.device).double() / step
        # No zero is negative: a sign that tells from which side it came is none of g's business.
        point = wide.round().add_(0.0)
        return cls(step, point, wide - point, x.dtype)

    def copies(self, noise: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """One for each row of noise, which is float64; in new memory."""
        steps = (noise * (1.0 / self.step)).add_(self.rest).round_().add_(self.point)
        return steps.to(self.dtype).mul_(self.step)


def check_precision(x: Float[Tensor, "n d"], noise: Noise) -> None:
    """That adding the noise to inputs of this dtype and size makes a difference.

    Args:
        x: the entries that noise is added to, a row an input.
        noise: the noise.

    Raises:
        ArgumentError: it would be lost to rounding, or overflow.
    """
    dtype, deviation = torch.finfo(x.dtype), noise.deviation(x.shape[1])
    largest = float(x.abs().max())
    if largest * dtype.eps > deviation / _FINENESS or deviation < dtype.tiny / dtype.eps:
        rule = f"is lost to rounding beside {x.dtype} inputs of up to {largest:.3g}; "
        raise ArgumentError("noise", str(noise), rule + "give float64 inputs, rescale them, or use a larger scale")
    if largest + _FARTHEST * deviation > dtype.max / _FARTHEST:
        raise ArgumentError("noise", str(noise), f"overflows {x.dtype} beside inputs of up to {largest:.3g}")
