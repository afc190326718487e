"""At which sizes and thresholds certificates are reported; they follow from the evidence at any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from attricert import checks
from attricert.certificates import Terms
from attricert.errors import ArgumentError
from attricert.noise import telling_sizes

__all__ = ["Asked"]


@final
@dataclass(frozen=True)
class Asked:
    """What is asked of a run's evidence.

    Args:
        eps: l2 sizes at which to report the certified cosine; None for some that suit the noise, see `sizes`.
        cosine: thresholds at which to report the largest certified eps.
        top_k: size of the top set whose overlap is certified; a tenth of the features if None.
    """

    eps: tuple[float, ...] | None = None
    cosine: tuple[float, ...] = (0.8, 0.9)
    top_k: int | None = None

    def __post_init__(self) -> None:
        checks.keep(
            self,
            eps=None if self.eps is None else tuple(checks.nonnegative_values("eps", list(self.eps)).tolist()),
            cosine=tuple(checks.open_fractions("cosine", list(self.cosine)).tolist()),
            top_k=None if self.top_k is None else checks.count("top_k", self.top_k, 1),
        )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Asked:
        """From plain values, as `to_dict` gives them; others are left out.

        Raises:
            ArgumentError: they are no sizes or thresholds.
        """
        lists = {}
        for name in ("eps", "cosine"):
            try:
                if values.get(name) is not None:
                    lists[name] = tuple(float(value) for value in values[name])
            except (TypeError, ValueError, OverflowError):
                raise ArgumentError(name, values[name], "must be a list of numbers") from None
        return cls(**lists, top_k=values.get("top_k"))

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        eps = None if self.eps is None else list(self.eps)
        return {"eps": eps, "cosine": list(self.cosine), "top_k": self.top_k}

    def sizes(self, terms: Terms | None) -> tuple[float, ...]:
        """The sizes; where none were named, those that `attricert.noise.telling_sizes` gives for the noise.

        Args:
            terms: those of what is reported; None where nothing is.
        """
        if self.eps is not None:
            return self.eps
        return () if terms is None else telling_sizes(terms.noise, terms.dimension)

    def top(self, features: int) -> int:
        """The size of the top set."""
        if self.top_k is None:
            return max(1, features // 10)
        if self.top_k > features:
            raise ArgumentError("top_k", self.top_k, f"must be at most the number of features, {features}")
        return self.top_k
