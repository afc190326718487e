"""How alpha is shared among what is proven; the union bound over all of it asks for no independence (theory 5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, final

from attricert import checks
from attricert.certificates.pieces import Piece
from attricert.errors import ArgumentError, IntegrityError

__all__ = ["LEGACY_WEIGHTS", "WEIGHTS", "Ledger"]

# The widths of the norm and of what the cone rests on decide the cosine; those of the others hardly depend on their
# share, which enters through its logarithm. Where nothing sharper than the top variance is proven it gets more.
WEIGHTS: Mapping[str, float] = {
    "norm": 0.4,
    **{
        name: weight
        for kind in Piece.__subclasses__()
        if kind.provable
        for name, weight in kind.provable.shares.items()
    },
    "here": 1.0,
    "there": 1.0,
}
"""Of every share: those of the norm and of observed averages, and what the pieces of evidence declare."""

_ALONE = {"norm": 1.0, "top_variance": 1.5}

LEGACY_WEIGHTS: Mapping[str, float] = {
    "norm": 1.0,
    "top_variance": 1.5,
    "moments": 1.5,
    "entries": 0.2,
    "prediction": 0.1,
    "here": 1.0,
    "there": 1.0,
}
"""Those of version 0.1, whose files do not say them."""


@final
@dataclass(frozen=True)
class Ledger:
    """The error probability of everything that a certificate rests on; made once, stored with the terms.

    Args:
        shares: name to share of alpha.
        entries: how many entries and functionals have a part in the share ``"entries"``.
    """

    shares: tuple[tuple[str, float], ...]
    entries: int = 0

    def __post_init__(self) -> None:
        for name, share in self.shares:
            checks.known("ledger", name, {*WEIGHTS, *LEGACY_WEIGHTS})
            checks.fraction(f"ledger {name}", share)
        if len(dict(self.shares)) < len(self.shares):
            raise ArgumentError("ledger", list(self.names), "must have no share twice")
        checks.count("ledger entries", self.entries, 1 if "entries" in self else 0, None if "entries" in self else 0)

    @classmethod
    def of(
        cls, alpha: float, names: Collection[str], entries: int = 0, weights: Mapping[str, float] | None = None
    ) -> Ledger:
        """Share alpha by weight; the shares sum to alpha.

        Args:
            alpha: of the whole.
            names: what is proven.
            entries: see above.
            weights: by name; those of this version by default.
        """
        checks.fraction("alpha", alpha)
        if weights is None:
            weights = WEIGHTS if "regions" in names else {**WEIGHTS, **_ALONE}
        whole = sum(weights[name] for name in names)
        return cls(tuple((name, alpha * weights[name] / whole) for name in names), entries)

    def __contains__(self, name: str) -> bool:
        return name in dict(self.shares)

    def __getitem__(self, name: str) -> float:
        return dict(self.shares)[name]

    @property
    def names(self) -> tuple[str, ...]:
        """What has a share."""
        return tuple(name for name, _ in self.shares)

    @property
    def total(self) -> float:
        """The sum of all shares."""
        return sum(share for _, share in self.shares)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"shares": dict(self.shares), "entries": self.entries}

    @classmethod
    def from_dict(cls, values: Any) -> Ledger:
        """From plain values.

        Raises:
            IntegrityError: they are not a ledger.
        """
        try:
            if set(values) != {"shares", "entries"}:
                raise ValueError("it has other fields")
            return cls(tuple(values["shares"].items()), values["entries"])
        except (TypeError, ValueError, AttributeError) as error:
            raise IntegrityError(f"ledger={values!r}: not shares of alpha by name ({error})") from None
