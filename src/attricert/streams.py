"""Keyed random streams: (seed, sample, stage, row) -> random numbers.

Every draw is a row with random numbers of its own, so draw number i is the same whatever the batch size, the order of
work or the point of resumption. On the CPU a row is a stretch of one PCG64DXSM sequence, seeded by a digest of
(seed, sample, stage), and normals come by Box and Muller's transform, which takes the same count of numbers for each:
rows cannot overlap. On CUDA rows come in blocks, each from a generator of that device, seeded from the same key; its
draws differ from the CPU's. Accelerators without float64 (mps) take the CPU's draws.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from attricert import checks

__all__ = ["Rng", "Stream", "fresh_seed", "sample_key", "seed_of"]


@runtime_checkable
class Rng(Protocol):
    """The random numbers of n consecutive rows, in one dtype on one device."""

    def normal(self, d: int) -> Float[Tensor, "n d"]:
        """Independent standard normals, in a new tensor."""
        ...

    def uniform(self) -> Float[Tensor, " n"]:
        """Independent uniforms on [0, 1), in float64, independent of the normals."""
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

    def rows(self, start: int, stop: int, dtype: torch.dtype, device: torch.device) -> Rng:
        """The random numbers of rows ``start`` to ``stop``, in float32 or float64."""
        return (_DeviceRng if device.type == "cuda" else _HostRng)(self._key, start, stop, dtype, device)

    def seed_of(self, row: int) -> int:
        """A seed of 63 bits that belongs to a row, for generators of other people's code."""
        digest = hashlib.blake2b(self._key + b"seed" + row.to_bytes(8, "little"), digest_size=8).digest()
        return int.from_bytes(digest, "little") >> 1

    @property
    def _key(self) -> bytes:
        text = f"{self.seed}\x1f{self.sample}\x1f{self.stage}"
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@final
@dataclass(frozen=True)
class _HostRng:
    key: bytes
    start: int
    stop: int
    dtype: torch.dtype
    device: torch.device

    def normal(self, d: int) -> Tensor:
        wide, half = self.dtype == torch.float64, (d + 1) // 2
        words = self._words(2 * half if wide else half, b"normal")
        integers = torch.from_numpy(words.view(np.int64 if wide else np.int32))
        unit = 2.0 ** (-63 if wide else -31)
        # The half keeps the logarithm finite; magnitudes near 0 keep all their bits, so the tails reach 6.6 sigma.
        radius = integers[:, :half].to(self.dtype).abs_().add_(0.5).mul_(unit).log_().mul_(-2).sqrt_()
        angle = integers[:, half : 2 * half].to(self.dtype).mul_(math.pi * unit)
        return torch.cat([angle.cos().mul_(radius), angle.sin_().mul_(radius)], dim=1)[:, :d]

    def uniform(self) -> Tensor:
        words = self._words(1, b"uniform")[:, 0]
        return torch.from_numpy((words >> np.uint64(11)) * 2.0**-53)

    def _words(self, count: int, kind: bytes) -> npt.NDArray[np.uint64]:
        """The raw words of each row: a stretch of one generator's sequence, reached by jumping ahead."""
        generator = np.random.PCG64DXSM(int.from_bytes(self.key + kind, "little"))
        rows = self.stop - self.start
        return generator.advance(self.start * count).random_raw(rows * count).reshape(rows, count)


@final
@dataclass(frozen=True)
class _DeviceRng:
    key: bytes
    start: int
    stop: int
    dtype: torch.dtype
    device: torch.device

    _BLOCK = 64

    def normal(self, d: int) -> Tensor:
        return self._rows(
            b"normal", lambda g: torch.randn(self._BLOCK, d, generator=g, dtype=self.dtype, device=self.device)
        )

    def uniform(self) -> Tensor:
        return self._rows(
            b"uniform", lambda g: torch.rand(self._BLOCK, generator=g, dtype=torch.float64, device=self.device)
        )

    def _rows(self, kind: bytes, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
        first = self.start // self._BLOCK
        blocks = [draw(self._generator(kind, block)) for block in range(first, -(-self.stop // self._BLOCK))]
        return torch.cat(blocks)[self.start - first * self._BLOCK : self.stop - first * self._BLOCK]

    def _generator(self, kind: bytes, block: int) -> torch.Generator:
        digest = hashlib.blake2b(self.key + kind + block.to_bytes(8, "little"), digest_size=8).digest()
        return torch.Generator(self.device).manual_seed(int.from_bytes(digest, "little") >> 1)


def sample_key(x: Float[Tensor, "..."]) -> str:
    """A name for one input made from its content, so its draws do not depend on its place in a batch."""
    array = np.ascontiguousarray(x.detach().cpu().numpy())
    head = f"{array.dtype}{array.shape}".encode()
    return hashlib.blake2b(head + array.tobytes(), digest_size=16).hexdigest()


def fresh_seed() -> int:
    """A secret seed from the operating system, as deployment needs (docs/threat_model.md)."""
    return secrets.randbits(63)


def seed_of(seed: int | None) -> int:
    """The seed, checked; a fresh secret one if None."""
    return fresh_seed() if seed is None else checks.count("seed", seed, 0)
