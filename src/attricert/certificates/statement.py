"""The terms of a claim."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from attricert import checks
from attricert._version import __version__
from attricert.noise import Gaussian, Noise, UniformBall

__all__ = ["GUARANTEES", "Statement"]

GUARANTEES = ("population", "observed")

_NOISES: dict[str, Callable[[float], Noise]] = {"UniformBall": UniformBall, "Gaussian": Gaussian}


@final
@dataclass(frozen=True)
class Statement:
    """What the certificates of one call have in common: the claim's terms.

    Args:
        noise: the smoothing distribution.
        dimension: d, features of one input.
        bound: M, the structural l2 bound of the attribution.
        bound_name: how it is enforced, e.g. ``Normalize()``.
        nonnegative: whether no attribution entry is ever negative.
        alpha: the probability, over the draws, with which an input's certificates may fail.
        guarantee: ``"population"`` (about h) or ``"observed"`` (about two averages of finitely many fresh draws).
        observed_samples: attributions computed for each of those averages.
        confidence: the confidence bound used for the norm.
        antithetic: whether draws came in pairs.
        seed: seed of the keyed streams.
        version: library version.
    """

    noise: Noise
    dimension: int
    bound: float
    bound_name: str
    nonnegative: bool
    alpha: float
    guarantee: str
    observed_samples: int
    confidence: str
    antithetic: bool
    seed: int
    version: str = __version__

    def __post_init__(self) -> None:
        checks.fraction("alpha", self.alpha)
        checks.known("guarantee", self.guarantee, GUARANTEES)
        checks.count("observed_samples", self.observed_samples, 2 if self.antithetic else 1)

    @property
    def alpha_part(self) -> float:
        """The share of alpha for each quantity of the claim: the norm and, if observed, an average at each end."""
        return self.alpha if self.guarantee == "population" else self.alpha / 3

    @property
    def observed_draws(self) -> int:
        """Independent draws in each observed average: an antithetic pair is one."""
        return self.observed_samples // 2 if self.antithetic else self.observed_samples

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        noise = {"name": type(self.noise).__name__, "scale": self.noise.scale}
        return {**dataclasses.asdict(self), "noise": noise}

    def to_json(self) -> str:
        """As text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Statement:
        """From text."""
        fields: dict[str, Any] = json.loads(text)
        noise = fields.pop("noise")
        return cls(noise=_NOISES[noise["name"]](noise["scale"]), **fields)
