"""How alike two attribution maps are, in the field's usual measures; rows are compared one by one.

Maps are torch tensors or NumPy arrays; what is returned is of the same kind. Signed values, unless
``absolute`` is asked for. A map with NaN, and a measure that is not defined (no direction, no order), gives NaN, as in
SciPy. Only `cosine_similarity` is differentiable (of tensors): the others depend on ranks.
"""

from __future__ import annotations

from typing import Any, TypeVar, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attricert import checks
from attricert.errors import ArgumentError

__all__ = ["concordant_pairs", "cosine_similarity", "kendall_tau", "spearman", "top_k_intersection"]

A = TypeVar("A", Tensor, npt.NDArray[Any])

_FLOATS = (np.float16, np.float32, np.float64)


def cosine_similarity(first: A, second: A) -> A:
    """<a, b> / (||a|| ||b||), differentiable; NaN where a map is zero.

    Args:
        first: maps, shape (n, ...).
        second: maps of the same shape.

    Returns:
        Shape (n,), in [-1, 1].
    """
    a, b = _pair(first, second)
    # Scaled first: squares of very small or very large entries would leave the range of floats.
    a, b = (v / v.detach().abs().amax(dim=1, keepdim=True) for v in (a, b))
    cosine: Tensor = (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1))
    return _like(first, cosine.clamp(-1.0, 1.0))


def top_k_intersection(first: A, second: A, k: int, *, absolute: bool = False) -> A:
    """Share of the k largest entries of one map that are among the k largest of the other (Ghorbani et al. 2019).

    Of equal entries the one that comes first is larger.

    Args:
        first: maps, shape (n, ...).
        second: maps of the same shape.
        k: size of the sets, from 1 to the number of entries.
        absolute: compare absolute values.

    Returns:
        Shape (n,), in [0, 1].
    """
    a, b = _pair(first, second)
    if checks.count("k", k, 1) > a.shape[1]:
        raise ArgumentError("k", k, f"must be at most the number of entries, {a.shape[1]}")
    inside = [_top(v.abs() if absolute else v, k) for v in (a, b)]
    share = (inside[0] & inside[1]).sum(dim=1).to(a.dtype) / k
    return _like(first, _undefined(share, torch.isnan(a + b).any(dim=1)))


def kendall_tau(first: A, second: A, *, variant: str = "b") -> A:
    """Kendall's tau, in O(d log d): pairs of entries in the same order less those in opposite order, as a share.

    Args:
        first: maps, shape (n, ...).
        second: maps of the same shape.
        variant: ``"b"``, with ties taken off the pairs of either map (as in SciPy); or ``"a"``, of all pairs, a tied
            one counting 0: what certificates bound.

    Returns:
        Shape (n,), in [-1, 1]; NaN for maps of a single entry and, for tau-b, where all entries of a map are equal.
    """
    checks.known("variant", variant, ("a", "b"))
    a, b = _pair(first, second)
    pairs = _Pairs(a, b)
    tied = (pairs.tied_first, pairs.tied_second) if variant == "b" else (torch.zeros_like(pairs.tied_first),) * 2
    apart = [(pairs.total - ties).double() for ties in tied]
    # Two roots: the product of the counts may exceed what a float64 holds exactly.
    tau = (pairs.concordant - pairs.discordant).double() / apart[0].sqrt() / apart[1].sqrt()
    return _like(first, _undefined(tau.clamp(-1.0, 1.0), pairs.undefined).to(a.dtype))


def concordant_pairs(first: A, second: A) -> A:
    """The paper's form of Kendall's measure: the share of pairs of entries that both maps put in the same order.

    A pair that is tied in either map is in no order. Without ties this is (tau + 1) / 2.

    Args:
        first: maps, shape (n, ...).
        second: maps of the same shape.

    Returns:
        Shape (n,), in [0, 1]; NaN for maps of a single entry.
    """
    a, b = _pair(first, second)
    pairs = _Pairs(a, b)
    return _like(first, _undefined(pairs.concordant.double() / pairs.total, pairs.undefined).to(a.dtype))


def spearman(first: A, second: A) -> A:
    """Spearman's rank correlation: Pearson's of the ranks, equal entries sharing their mean rank.

    Args:
        first: maps, shape (n, ...).
        second: maps of the same shape.

    Returns:
        Shape (n,), in [-1, 1]; NaN where all entries of a map are equal.
    """
    a, b = _pair(first, second)
    ranks = [_mean_ranks(v) for v in (a, b)]
    centered = [rank - rank.mean(dim=1, keepdim=True) for rank in ranks]
    sizes = [v.norm(dim=1) for v in centered]
    rho = (centered[0] * centered[1]).sum(dim=1) / sizes[0] / sizes[1]
    return _like(first, _undefined(rho.clamp(-1.0, 1.0), torch.isnan(a + b).any(dim=1)).to(a.dtype))


@final
class _Pairs:
    """Pairs of entries of two maps, counted: shape (n,) each."""

    def __init__(self, a: Float[Tensor, "n d"], b: Float[Tensor, "n d"]) -> None:
        d = a.shape[1]
        ranks = _dense_ranks(a), _dense_ranks(b)
        joint = _dense_ranks(ranks[0] * d + ranks[1])
        self.undefined = torch.isnan(a + b).any(dim=1)
        self.total = d * (d - 1) // 2
        self.tied_first, self.tied_second, tied_both = (_tied(rank) for rank in (*ranks, joint))
        # In the order of the first map, and of the second where the first is tied: what goes down is discordant.
        self.discordant = _inversions(ranks[1].gather(1, joint.argsort(dim=1)))
        ordered = self.total - self.tied_first - self.tied_second + tied_both
        self.concordant = ordered - self.discordant


def _pair(first: A, second: A) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    if isinstance(first, np.ndarray) != isinstance(second, np.ndarray):
        kinds = (type(first).__name__, type(second).__name__)
        raise ArgumentError("maps", kinds, "must be two tensors, or two arrays")
    if first.shape != second.shape or first.ndim < 2 or 0 in first.shape:
        shapes = (tuple(first.shape), tuple(second.shape))
        raise ArgumentError("maps", shapes, "must have the same shape (n, ...), not empty")
    return _rows(first), _rows(second)


def _rows(maps: Tensor | npt.NDArray[Any]) -> Float[Tensor, "n d"]:
    """As floating-point numbers; those of other types in float64."""
    if isinstance(maps, np.ndarray):
        maps = torch.tensor(np.ascontiguousarray(maps, maps.dtype if maps.dtype in _FLOATS else np.float64))
    return (maps if maps.is_floating_point() else maps.double()).flatten(1)


def _like(first: A, values: Tensor) -> A:
    """The values in the kind of what was given."""
    return values.numpy() if isinstance(first, np.ndarray) else values


def _undefined(values: Float[Tensor, " n"], where: Bool[Tensor, " n"]) -> Float[Tensor, " n"]:
    return torch.where(where, torch.nan, values)


def _top(values: Float[Tensor, "n d"], k: int) -> Bool[Tensor, "n d"]:
    order = values.argsort(dim=1, descending=True, stable=True)
    return torch.zeros_like(values, dtype=torch.bool).scatter_(1, order[:, :k], value=True)


def _dense_ranks(values: Tensor) -> Int[Tensor, "n d"]:
    """0, 1, 2, ... in ascending order; equal values share one."""
    ordered, order = values.sort(dim=1)
    steps = torch.zeros_like(order)
    steps[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return torch.empty_like(order).scatter_(1, order, steps.cumsum(dim=1))


def _sizes(ranks: Int[Tensor, "n d"], bins: int) -> Int[Tensor, "n bins"]:
    """How many entries have each rank."""
    return ranks.new_zeros(len(ranks), bins).scatter_add_(1, ranks, torch.ones_like(ranks))


def _tied(ranks: Int[Tensor, "n d"]) -> Int[Tensor, " n"]:
    sizes = _sizes(ranks, ranks.shape[1])
    return (sizes * (sizes - 1) // 2).sum(dim=1)


def _mean_ranks(values: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    ranks = _dense_ranks(values)
    sizes = _sizes(ranks, ranks.shape[1])
    return (sizes.cumsum(dim=1) - 0.5 * (sizes - 1)).gather(1, ranks).double()


def _inversions(ranks: Int[Tensor, "n d"]) -> Int[Tensor, " n"]:
    """Pairs i < j with ranks[i] > ranks[j], by splitting on one bit after the other, the highest first.

    Entries whose higher bits agree stand together, in the order given; there a one before a zero is an inversion.
    """
    place = torch.arange(ranks.shape[1], device=ranks.device)
    levels = max(ranks.shape[1] - 1, 1).bit_length()
    total = ranks.new_zeros(len(ranks))
    for bit in reversed(range(levels)):
        group, one = ranks >> (bit + 1), (ranks >> bit) & 1
        sizes = _sizes(group, 1 << (levels - bit - 1))
        start = (sizes.cumsum(dim=1) - sizes).gather(1, group)
        before = one.cumsum(dim=1) - one
        ones_before = before - before.gather(1, start)
        total += ((1 - one) * ones_before).sum(dim=1)
        zeros = torch.zeros_like(sizes).scatter_add_(1, group, 1 - one).gather(1, group)
        moved = start + torch.where(one == 1, zeros + ones_before, place - start - ones_before)
        ranks = torch.empty_like(ranks).scatter_(1, moved, ranks)
    return total
