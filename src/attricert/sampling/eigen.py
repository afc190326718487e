"""Upper bounds of the largest eigenvalue of a symmetric matrix, proven."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.linalg
import torch
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from torch import Tensor

__all__ = ["largest_eigenvalue"]

_SMALL = 64  # below it a full solver is as quick
_LANCZOS_TOLERANCE = 1e-5
_LIFT = 1 + 1e-4  # of a Lanczos value, so that the proof mostly succeeds at once


def largest_eigenvalue(matrix: Tensor) -> float:
    """At least the largest eigenvalue of a symmetric positive semidefinite matrix, at most 1.0001 times it.

    Its lower triangle counts.

    It is found where the matrix lies. Lanczos' value is only a lower bound; that a slightly larger mu is an upper one
    is proven by Cholesky's factorization of mu I - A, which only a positive definite matrix has. Where it fails, a full
    solver decides.
    """
    trace = float(matrix.trace())
    if trace <= 0:
        return 0.0
    rounding = 4 * len(matrix) ** 2 * np.finfo(np.float64).eps
    guess = _lanczos(matrix)
    if guess is not None and _is_below(matrix, guess * _LIFT):
        return guess * _LIFT * (1 + rounding)
    last = len(matrix) - 1
    top = scipy.linalg.eigh(matrix.cpu().numpy(), eigvals_only=True, subset_by_index=[last, last])[0]
    return float(max(top, 0.0)) + rounding * trace


def _lanczos(a: Tensor) -> float | None:
    if len(a) <= _SMALL:
        return None

    # Torch multiplies, whose threads are at hand: another library's would first have to wake up beside them.
    def times(v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = (a @ torch.from_numpy(v.reshape(-1)).to(a.device)).cpu().numpy()
        return found

    try:
        start = np.ones(len(a))  # a fixed start: the same matrix gives the same bound
        operator = LinearOperator(tuple(a.shape), matvec=times, dtype=np.float64)
        return float(eigsh(operator, k=1, which="LA", v0=start, tol=_LANCZOS_TOLERANCE, return_eigenvectors=False)[0])
    except ArpackError:
        return None


def _is_below(a: Tensor, mu: float) -> bool:
    """Whether mu I - A is positive definite."""
    shifted = -a
    shifted.diagonal().add_(mu)
    return int(torch.linalg.cholesky_ex(shifted).info) == 0
