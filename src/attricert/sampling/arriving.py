"""What an accelerator has computed, on its way to the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar, final

import torch
from torch import Tensor

__all__ = ["Arriving", "ahead"]

T = TypeVar("T")


@final
class Arriving:
    """A tensor that is being copied to the host, after what has been asked of its device so far.

    A GPU goes on meanwhile, with what it is asked for later; who asks for the tensor waits for it.

    Args:
        tensor: on any device.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._host, self._event = tensor, None
        if tensor.device.type == "cuda":
            self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._host.copy_(tensor, non_blocking=True)
            self._event = torch.cuda.current_stream(tensor.device).record_event()

    def get(self) -> Tensor:
        """The tensor, on the host."""
        if self._event is not None:
            self._event.synchronize()
        return self._host.cpu()


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Each item once the next one has been asked for: what a GPU is to do is on its list while the host is busy."""
    for item in items:
        for following in items:
            yield item
            item = following
        yield item
