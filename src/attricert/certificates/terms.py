"""The terms of a claim."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, final

from attricert import checks
from attricert._version import __version__
from attricert.certificates.claim import Observed
from attricert.certificates.ledger import Ledger
from attricert.confidence import CONFIDENCE_BOUNDS
from attricert.errors import ArgumentError, IntegrityError
from attricert.files import parse_json
from attricert.fixed import Fixed
from attricert.noise import NOISES, Noise
from attricert.text import printable

__all__ = ["Terms"]

_ROUNDING = 1e-9  # relative; of the sum of shares


@final
@dataclass(frozen=True)
class Terms:
    """What the certificates of one call have in common.

    Args:
        noise: the smoothing distribution.
        dimension: d, entries of one input that noise and perturbations touch: all but the fixed ones.
        max_norm: M, the structural l2 bound of the attribution.
        max_entry: the structural bound of each entry of the attribution, in absolute value.
        bound: how both are enforced, e.g. ``Normalize()``.
        nonnegative: whether no attribution entry is ever negative.
        alpha: the probability, over the draws, with which an input's certificates may fail.
        observed: the averages that the claim is about, or None where it is about h (the population).
        confidence: the confidence bound used for the norm.
        antithetic: whether draws came in pairs.
        seed: seed of the keyed streams.
        ledger: alpha's shares of all that is proven.
        lattice: the spacing of the lattice to which noisy inputs are rounded before g sees them; None where they are
            not, as in version 0.1: then the last bits of a sum can tell x from x~.
        random: whether equal inputs may have different maps; each draw then had random numbers of its own, and h is the
            mean over noise and randomness.
        preflight: what was looked at before the draws: mode, inputs, repeat, rows (theory 1). Empty where it was
            switched off, None in evidence of before there was one.
        entries: m, entries of one map; as many as dimension where None is given.
        fixed: entries of an input that are held fixed, or None.
        autocast: the dtype of half precision in which g's model computes (`attricert.Autocast`); None where there is
            none.
        version: library version.
    """

    noise: Noise
    dimension: int
    max_norm: float
    max_entry: float
    bound: str
    nonnegative: bool
    alpha: float
    observed: Observed | None
    confidence: str
    antithetic: bool
    seed: int
    ledger: Ledger
    lattice: float | None = None
    random: bool = False
    preflight: tuple[str, ...] | None = None
    entries: int | None = None
    fixed: Fixed | None = None
    autocast: str | None = None
    version: str = __version__

    def __post_init__(self) -> None:
        checks.keep(self, alpha=checks.fraction("alpha", self.alpha))
        checks.count("dimension", self.dimension, 1, 2**53)
        checks.keep(self, entries=checks.count("entries", self.map_entries, 1, 2**53))
        if self.fixed is not None and math.prod(self.fixed.shape) - self.fixed.count != self.dimension:
            raise ArgumentError("fixed", self.fixed, f"must leave {self.dimension} entries free")
        if checks.size("max_entry", self.max_entry) > checks.size("max_norm", self.max_norm):
            raise ArgumentError("max_entry", self.max_entry, f"must be at most max_norm, {self.max_norm!r}")
        for name in ("bound", "confidence", "version"):
            checks.text(name, getattr(self, name))
        for name in ("nonnegative", "antithetic", "random"):
            checks.flag(name, getattr(self, name))
        if self.autocast is not None:
            checks.half_precision("autocast", self.autocast)
        checks.known("confidence", self.confidence, (*CONFIDENCE_BOUNDS, "asymptotic"))
        checks.count("seed", self.seed, 0)
        if self.preflight is not None:
            checks.typed("preflight", self.preflight, tuple[str, ...])
            checks.keep(self, preflight=tuple(self.preflight))
        if self.lattice is not None:
            checks.positive("lattice", self.lattice)
            if self.lattice != (step := self.noise.lattice_step(self.dimension)):
                raise ArgumentError("lattice", self.lattice, f"must be that of {self.noise}, {step!r}")
        if self.ledger.total > self.alpha * (1 + _ROUNDING):
            raise ArgumentError("ledger", dict(self.ledger.shares), f"must sum to alpha at the most, {self.alpha!r}")
        averages = [name for name in ("here", "there") if name in self.ledger]
        if len(averages) != (0 if self.observed is None else 2):
            raise ArgumentError("ledger", list(self.ledger.names), "must have here and there for averages alone")
        if self.observed is not None and self.antithetic:
            checks.count("observed n_samples", self.observed.n_samples, 2)

    @property
    def map_entries(self) -> int:
        """m, entries of one map."""
        return self.dimension if self.entries is None else self.entries

    @property
    def about(self) -> str:
        """Those that matter most: one line that can be shown, whoever wrote them."""
        held = "" if self.fixed is None else f"{self.fixed.count} entries held fixed, "
        half = "" if self.autocast is None else f"computed in {self.autocast}, "
        return printable(f"{self.noise}, {self.bound}, {held}{half}{self.guarantee}, alpha={self.alpha!r}")

    def share(self, name: str) -> float:
        """The part of alpha that goes to one thing that is proven."""
        return self.ledger[name]

    @property
    def entry_share(self) -> float:
        """Of each event about one entry or functional.

        Each has a lower bound, an upper bound and a second moment; for observed averages one event more at either end.
        """
        return self.share("entries") / ((3 if self.observed is None else 5) * max(self.ledger.entries, 1))

    @property
    def slip(self) -> float:
        """At least the probability that a draw, as computed, is not that of the real sum x + a (theory 5)."""
        if self.lattice is None:
            return 0.0
        return (2 if self.antithetic else 1) * self.noise.slip(self.dimension)

    @property
    def guarantee(self) -> str:
        """``"population"`` or ``"observed"``."""
        return "population" if self.observed is None else "observed"

    @property
    def observed_draws(self) -> int:
        """Independent draws in each observed average: an antithetic pair is one; 0 for the population."""
        n = 0 if self.observed is None else self.observed.n_samples
        return n // 2 if self.antithetic else n

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        noise = {"name": NOISES.name_of(self.noise), **NOISES.parameters_of(self.noise)}
        observed = None if self.observed is None else self.observed.n_samples
        fixed = None if self.fixed is None else self.fixed.to_dict()
        return {**values, "noise": noise, "observed": observed, "ledger": self.ledger.to_dict(), "fixed": fixed}

    def to_json(self) -> str:
        """As text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Terms:
        """From text.

        Raises:
            IntegrityError: these are no terms, or of a noise that nobody has registered.
        """
        try:
            values = parse_json(text)
            noise, observed, fixed = dict(values.pop("noise")), values.pop("observed"), values.pop("fixed", None)
            return cls(
                noise=NOISES.build(noise.pop("name"), noise),
                observed=None if observed is None else Observed(observed),
                ledger=Ledger.from_dict(values.pop("ledger")),
                fixed=None if fixed is None else Fixed.from_dict(fixed),
                version=values.pop("version"),
                **values,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise IntegrityError(f"not the terms of a certificate ({error})") from None
