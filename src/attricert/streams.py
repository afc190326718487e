"""Keyed random streams: (seed, sample, stage, block) -> random numbers.

A stream is cut into blocks of fixed size, each with random numbers of its own, so draw number i is the same
whatever the batch size, the order of work or the point of resumption. On the CPU a block is a counter range of
one Philox generator whose key is a digest of (seed, sample, stage): blocks cannot overlap. On CUDA a
block is one generator of that device, seeded from the same key; its draws differ from the CPU's.
Accelerators without float64 (mps) take the CPU's draws.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Rng", "Stream", "fresh_seed", "sample_key"]


@runtime_checkable
class Rng(Protocol):
    """A source of random numbers for one block, in one dtype on one device."""

    def normal(self, n: int, d: int) -> Float[Tensor, "n d"]:
        """Independent standard normals."""
        ...

    def uniform(self, n: int) -> Float[Tensor, " n"]:
        """Independent uniforms on [0, 1), in float64."""
        ...


@final
@dataclass(frozen=True)
class Stream:
    """All random numbers of one stage (pilot, main, ...) of one sample.

    Args:
        seed: the run's seed.
        sample: what the draws are for, e.g. ``sample_key(image)`` or ``"mnist:test:17"``.
        stage: which part of the computation; streams of different stages are independent.

    """

    seed: int
    sample: str
    stage: str

    def block_size(self, device: torch.device) -> int:
        """Draws in a block: few on the CPU (little waste at the ends), many where each launch costs."""
        return 256 if device.type == "cuda" else 16

    def rng(self, block: int, dtype: torch.dtype, device: torch.device) -> Rng:
        """The random numbers of one block, from its start."""
        key = self._digest()
        if device.type == "cuda":
            seed = hashlib.blake2b(key + block.to_bytes(8, "little"), digest_size=8).digest()
            generator = torch.Generator(device).manual_seed(int.from_bytes(seed, "little") >> 1)
            return _DeviceRng(generator, dtype, device)
        philox = np.random.Philox(key=np.frombuffer(key, dtype=np.uint64), counter=[0, block, 0, 0])
        return _HostRng(np.random.Generator(philox), dtype)

    def _digest(self) -> bytes:
        text = f"{self.seed}\x1f{self.sample}\x1f{self.stage}"
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


@final
@dataclass(frozen=True)
class _HostRng:
    generator: np.random.Generator
    dtype: torch.dtype

    def normal(self, n: int, d: int) -> Tensor:
        source = np.float64 if self.dtype == torch.float64 else np.float32
        return torch.from_numpy(self.generator.standard_normal((n, d), dtype=source)).to(self.dtype)

    def uniform(self, n: int) -> Tensor:
        return torch.from_numpy(self.generator.random(n))


@final
@dataclass(frozen=True)
class _DeviceRng:
    generator: torch.Generator
    dtype: torch.dtype
    device: torch.device

    def normal(self, n: int, d: int) -> Tensor:
        return torch.randn(n, d, generator=self.generator, dtype=self.dtype, device=self.device)

    def uniform(self, n: int) -> Tensor:
        return torch.rand(n, generator=self.generator, dtype=torch.float64, device=self.device)


def sample_key(x: Float[Tensor, ...]) -> str:
    """A name for one input made from its content, so its draws do not depend on its place in a batch."""
    array = np.ascontiguousarray(x.detach().cpu().numpy())
    head = f"{array.dtype}{array.shape}".encode()
    return hashlib.blake2b(head + array.tobytes(), digest_size=16).hexdigest()


def fresh_seed() -> int:
    """A secret seed from the operating system, as deployment needs (docs/threat_model.md)."""
    return secrets.randbits(63)
