"""A claim: so large a perturbation leaves the cosine at this or more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from attricert import checks
from attricert.errors import ArgumentError

__all__ = ["Claim", "Observed"]


@final
@dataclass(frozen=True, kw_only=True)
class Claim:
    """Every perturbation of l2 size up to ``eps`` leaves the cosine similarity at or above ``cosine``.

    Args:
        eps: l2 size, > 0, in input units.
        cosine: threshold T, > 0 and < 1.
    """

    eps: float
    cosine: float

    def __post_init__(self) -> None:
        checks.keep(self, eps=checks.positive("eps", self.eps), cosine=checks.fraction("cosine", self.cosine))

    @classmethod
    def checked(cls, name: str, value: object) -> Claim:
        """The value of an argument, which must be one.

        Raises:
            ArgumentError: it is not.
        """
        if not isinstance(value, cls):
            raise ArgumentError(name, value, "must be Claim(eps=..., cosine=...)")
        return value


@final
@dataclass(frozen=True)
class Observed:
    """The guarantee about two averages that people see, one at x and one at the perturbed input (theory 6).

    Args:
        n_samples: attributions computed for each of the two.
    """

    n_samples: int

    def __post_init__(self) -> None:
        checks.keep(self, n_samples=checks.count("n_samples", self.n_samples, 1, 2**53))
