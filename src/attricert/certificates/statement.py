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

# How alpha is shared among what is proven. The widths of the first two decide the cosine; the others hardly depend on
# their share, which enters through its logarithm.
_WEIGHTS = {"norm": 1.0, "spread": 1.5, "moments": 1.5, "features": 0.2, "label": 0.1, "here": 1.0, "there": 1.0}

_NOISES: dict[str, Callable[[float], Noise]] = {"UniformBall": UniformBall, "Gaussian": Gaussian}


@final
@dataclass(frozen=True)
class Statement:
    """What the certificates of one call have in common: the claim's terms.

    Args:
        noise: the smoothing distribution.
        dimension: d, features of one input.
        bound: M, the structural l2 bound of the attribution.
        entry_bound: the structural bound of each entry of the attribution, in absolute value.
        bound_name: how both are enforced, e.g. ``Normalize()``.
        nonnegative: whether no attribution entry is ever negative.
        alpha: the probability, over the draws, with which an input's certificates may fail.
        guarantee: ``"population"`` (about h) or ``"observed"`` (about two averages of finitely many fresh draws).
        observed_samples: attributions computed for each of those averages.
        confidence: the confidence bound used for the norm.
        antithetic: whether draws came in pairs.
        seed: seed of the keyed streams.
        parts: what is proven: ``"norm"``, and perhaps ``"spread"``, ``"moments"``, ``"features"``, ``"label"``.
        moments: even orders above 2 whose moments are proven.
        version: library version.
    """

    noise: Noise
    dimension: int
    bound: float
    entry_bound: float
    bound_name: str
    nonnegative: bool
    alpha: float
    guarantee: str
    observed_samples: int
    confidence: str
    antithetic: bool
    seed: int
    parts: tuple[str, ...] = ("norm",)
    moments: tuple[int, ...] = ()
    version: str = __version__

    def __post_init__(self) -> None:
        checks.fraction("alpha", self.alpha)
        checks.known("guarantee", self.guarantee, GUARANTEES)
        checks.count("observed_samples", self.observed_samples, 2 if self.antithetic else 1)

    def share(self, part: str) -> float:
        """The part of alpha that goes to one of ``parts``, or to the observed average ``"here"`` or ``"there"``.

        The shares of all that is used sum to alpha, so everything holds at once (theory 5).
        """
        used = (*self.parts, "here", "there") if self.observed else self.parts
        return self.alpha * _WEIGHTS[part] / sum(_WEIGHTS[name] for name in used)

    def entry_share(self, entries: int) -> float:
        """Of each event about one of so many entries (features and functionals).

        An entry has a lower bound, an upper bound and a second moment; for observed averages one event more each.
        """
        return self.share("features") / ((5 if self.observed else 3) * entries)

    @property
    def observed(self) -> bool:
        """Whether the claim is about two averages that people see."""
        return self.guarantee == "observed"

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
        fields.update(parts=tuple(fields["parts"]), moments=tuple(fields["moments"]))
        return cls(noise=_NOISES[noise["name"]](noise["scale"]), **fields)
