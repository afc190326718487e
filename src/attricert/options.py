"""What is asked of the draws: one value that `certify`, the search for a noise scale, forecasts and runs share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, final

from attricert import checks
from attricert.certificates import Claim, Ledger, Observed, piece_classes
from attricert.errors import ArgumentError
from attricert.proving import confidences

__all__ = ["FIXED", "PROVABLE", "Options"]

_DECLARED = {name: kind.provable for name, kind in piece_classes().items() if kind.provable is not None}

PROVABLE = tuple(_DECLARED)
"""What can be proven beside the norm; `Options.prove` says what each is for."""

FIXED = tuple(name for name, piece in _DECLARED.items() if not piece.anytime)
"""Of these, those whose bounds hold at a number of draws that is fixed in advance."""

_FEWEST = 100  # draws for a certificate; with fewer no bound says anything


@final
@dataclass(frozen=True)
class Options:
    """How much is drawn, and what is proven from it.

    Args:
        n_samples: noisy copies of each input in all, >= 100; a tenth of them is a pilot that proves nothing but tells
            where to look.
        alpha: probability over the draws that an input's certificates fail.
        seed: of the keyed streams; None takes a fresh secret one, as deployment should (docs/threat_model.md).
        prove: what to prove beside the norm: ``"top_variance"`` (how far maps spread), ``"cone"`` (where they lie, with
            the former: larger certified eps), ``"fourth"`` (their fourth moment, with the former two: larger still
            where n_samples is large, at a cost), ``"entries"`` (for `Certificate.intervals`, `signs`, `top_k_overlap`,
            `kendall_tau`), ``"prediction"`` (for `Certificate.prediction_radius`, `joint`; needs a classifier). None:
            all that go with the other options, but for the fourth moment.
        guarantee: ``"population"`` speaks of h; ``"observed"``, or `Observed` with another number of draws, of two
            averages of n_samples fresh draws, one at x and one at the perturbed input.
        stop_at: a claim; sampling of an input stops as soon as it is proven, or so much as ruled out for this pilot;
            the verdict is in ``evidence.outcome``, and the pilot is at most 200 draws. Needs an anytime-valid bound
            (betting), and leaves out what holds at a fixed number of draws: cone, fourth moment, prediction.
        confidence: bound on the norm of h: ``"betting"`` (the tightest, valid at any time), ``"hoeffding"``,
            ``"bernstein"``, or the paper's ``"asymptotic"`` interval, which is not a finite-sample bound and goes with
            nothing else.
        preflight: look first, in a few calls, for what would make certificates false: random maps, rows of a batch
            that are mixed, changes in place, train mode. The terms say whether that was done.
    """

    n_samples: int = 10_000
    alpha: float = 1e-3
    seed: int | None = None
    prove: Sequence[str] | None = None
    guarantee: Literal["population", "observed"] | Observed = "population"
    stop_at: Claim | None = None
    confidence: str = "betting"
    preflight: bool = True

    def __post_init__(self) -> None:
        checks.keep(
            self,
            n_samples=checks.count("n_samples", self.n_samples, _FEWEST, 2**53),
            alpha=checks.fraction("alpha", self.alpha),
            seed=None if self.seed is None else checks.count("seed", self.seed, 0),
            confidence=checks.known("confidence", self.confidence, confidences()),
            preflight=checks.flag("preflight", self.preflight),
        )
        if not isinstance(self.guarantee, Observed):
            checks.keep(self, guarantee=checks.known("guarantee", str(self.guarantee), ("population", "observed")))
        if self.stop_at is not None:
            Claim.checked("stop_at", self.stop_at)
        if self.prove is not None:
            if isinstance(self.prove, str) or not isinstance(self.prove, Collection):
                raise ArgumentError("prove", self.prove, f"must be a list of names, e.g. {list(PROVABLE)[:2]}")
            checks.keep(self, prove=tuple(checks.known("prove", name, PROVABLE) for name in self.prove))
            self._refuse()

    @property
    def observed(self) -> Observed | None:
        """The averages that the claim is about."""
        if isinstance(self.guarantee, Observed):
            return self.guarantee
        return Observed(self.n_samples) if self.guarantee == "observed" else None

    def proven(self, *, classifier: bool) -> tuple[str, ...]:
        """What is proven beside the norm, where there is a classifier or none."""
        if self.prove is None:
            wanted = [name for name, piece in _DECLARED.items() if piece.by_default]
            if not classifier:
                wanted.remove("prediction")
            if self.stop_at is not None:
                wanted = [name for name in wanted if _DECLARED[name].anytime]
            return () if self.confidence == "asymptotic" else tuple(wanted)
        if "prediction" in self.prove and not classifier:
            raise ArgumentError("prove", list(self.prove), "'prediction' needs a classifier, or a model and a target")
        needed = [*self.prove]
        for name in needed:  # which grows
            needed += _DECLARED[name].rests_on
        return tuple(name for name in PROVABLE if name in needed)

    def ledger(self, proven: Sequence[str], dimension: int, functionals: int) -> Ledger:
        """Shares of alpha for what is proven."""
        names = ["norm", *(share for name in proven for share in _DECLARED[name].shares)]
        entries = (dimension if "entries" in proven else 0) + functionals
        if functionals and "entries" not in names:
            names.append("entries")
        if self.observed is not None:
            names += ["here", "there"]
        return Ledger.of(self.alpha, names, entries)

    def _refuse(self) -> None:
        """What was asked for and cannot be had."""
        asked = list(self.prove or ())
        if self.confidence == "asymptotic" and asked:
            raise ArgumentError("prove", asked, "confidence='asymptotic' is about the norm alone; nothing goes with it")
        fixed = [name for name in asked if not _DECLARED[name].anytime]
        if self.stop_at is not None and fixed:
            text = f"{', '.join(fixed)}: proven at a fixed number of draws, which stop_at does not have"
            raise ArgumentError("prove", asked, text)
