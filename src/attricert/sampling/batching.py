"""How many draws go through the model at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import final

import torch
from torch import Tensor

from attricert.errors import CallError

__all__ = ["BatchSize", "bytes_per_draw"]

_DEFAULT_BUDGET = 2**30  # bytes on the CPU
_LARGEST = 128  # draws on the CPU: larger batches fall out of its caches
_STEP, _STEP_ELSEWHERE = 16, 64  # on a GPU random numbers come in such blocks
_OWN_COPIES = 10  # in float64
_UNSEEN = 1_000  # arrays of the input's size that a model is taken to keep, where that cannot be seen


@final
class BatchSize:
    """The current batch size: fixed by the caller, or chosen from a memory budget; halved on out-of-memory.

    The one mutable thing in the sampler. It never changes results, only how they are computed.
    """

    def __init__(self, fixed: int | None = None, memory_budget: int | None = None) -> None:
        self._size = fixed
        self._budget = memory_budget

    def choose(self, probe: Callable[[], int], device: torch.device) -> int:
        """The batch size; on first use ``probe()`` tells how many bytes one draw takes."""
        if device.type == "cpu":
            _keep_freed_memory()
        if self._size is None:
            size, step = self.most(probe(), device), _STEP_ELSEWHERE
            if device.type == "cpu":
                size, step = min(size, _LARGEST), _STEP
            self._size = max(1, size if size < step else size - size % step)
        return self._size

    def most(self, a_draw: int, device: torch.device) -> int:
        """As many draws as the memory budget allows, of so many bytes each."""
        return max(1, self._budget_on(device) // max(a_draw, 1))

    @property
    def fixed(self) -> int | None:
        """The batch size, if it is known already."""
        return self._size

    @property
    def size(self) -> int:
        """The batch size, which has been chosen."""
        if self._size is None:
            raise RuntimeError("no batch size was chosen")
        return self._size

    def halve(self) -> bool:
        """Half the size after an out-of-memory; False when a single draw did not fit."""
        if self._size is None or self._size == 1:
            return False
        self._size //= 2
        return True

    def _budget_on(self, device: torch.device) -> int:
        if self._budget is not None:
            return self._budget
        if device.type == "cuda":
            return torch.cuda.mem_get_info(device)[0] // 2
        return _DEFAULT_BUDGET


@cache
def _keep_freed_memory() -> None:
    """Free one block of just under 32 MiB, once.

    From then on glibc takes tensors up to that size from its heap and keeps up to 64 MiB of freed heap, instead of
    handing pages back to the system and faulting them in again at every batch: up to a quarter of the time.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


def bytes_per_draw(call: Callable[[], Tensor], draws: int, dimension: int, weights: Iterable[Tensor] = ()) -> int:
    """Memory that one draw takes: what autograd keeps for the backward pass, measured, and our own float64 copies.

    Args:
        call: computes so many draws.
        draws: see there.
        dimension: entries of an input or a map.
        weights: are there once, however many draws there are.
    """
    kept: dict[int, int] = {}
    there = {weight.untyped_storage().data_ptr() for weight in weights if weight.layout == torch.strided}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in there:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    own = _OWN_COPIES * 8 * dimension
    try:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            call()
    except CallError:
        call()  # torch.func goes without such hooks, and what fails without them fails here
        return own + _UNSEEN * 4 * dimension
    # The backward pass frees what is kept as it goes, and holds the gradients before and after a layer.
    return own + (sum(kept.values()) + 2 * max(kept.values(), default=0)) // draws
