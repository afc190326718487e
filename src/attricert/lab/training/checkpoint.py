"""Training that can be taken up again where it stopped, to the bit; no pickle."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from attricert.errors import IntegrityError
from attricert.files import write_atomically

__all__ = ["Checkpoint"]

_FORMAT = "attricert-checkpoint-1"


@final
@dataclass(frozen=True)
class Checkpoint:
    """All that training goes on from.

    Args:
        tensors: weights, optimizer moments and states of generators, by name.
        facts: everything else, fit for JSON.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write to one safetensors file, with a digest of all that is in it."""
        text = json.dumps(self.facts)
        metadata = {"format": _FORMAT, "facts": text, "digest": _digest(self.tensors, text)}
        tensors = {name: tensor.detach().contiguous().clone() for name, tensor in self.tensors.items()}
        write_atomically(path, save(tensors, metadata=metadata))

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read what `save` wrote.

        Raises:
            IntegrityError: it is torn, changed, or something else.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                names = file.keys()
                tensors = {name: file.get_tensor(name) for name in names}
        except SafetensorError as error:
            raise IntegrityError(
                f"{path}: not a checkpoint, or a torn one ({error}); remove it to start anew"
            ) from None
        if metadata.get("format") != _FORMAT or metadata.get("digest") != _digest(tensors, metadata.get("facts", "")):
            raise IntegrityError(f"{path}: its content is not what was written; remove it to start anew")
        return cls(tensors, json.loads(metadata["facts"]))


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
