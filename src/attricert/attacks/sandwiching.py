"""Certificate and attack on the same inputs: what is proven from below, what is found from above."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attricert import checks
from attricert.arguments import batch
from attricert.attacks.attacked_map import AttackedMap, as_attacked_map
from attricert.attacks.base import Attack, AttackResult
from attricert.attacks.strong import Strong
from attricert.attributions import Classifier, Targets
from attricert.errors import ArgumentError
from attricert.progress import ProgressCallback, reporting
from attricert.showing import shown_by
from attricert.streams import seed_of

__all__ = ["CosineCertificate", "Sandwich", "sandwich"]

Array = npt.NDArray[np.float64]

ERRORS = 6.0
"""Standard errors by which an attacked cosine must lie below a certified one to refute it."""

_TYPICAL = 4  # attacks before bisection begins
_SURE = 2.0  # standard errors below T at which T counts as broken
_FIRST, _DOUBLINGS = 1e-3, 12  # where nothing is certified: a thousandth of the input's own size, and up


@runtime_checkable
class CosineCertificate(Protocol):
    """What a `Certificate` says."""

    def cosine(self, eps: npt.ArrayLike) -> Array:
        """Certified cosines, shape (n, len(eps))."""
        ...

    def max_eps(self, cosine: npt.ArrayLike) -> Array:
        """Largest certified eps, shape (n,)."""
        ...


@final
@dataclass(frozen=True)
class Sandwich:
    """Both bounds, for n inputs at m sizes each, in ascending order.

    Args:
        threshold: T.
        eps: l2 sizes attacked, shape (n, m); NaN fills up rows of inputs that were attacked at fewer.
        certified: certified cosine there; -1 where nothing is claimed.
        attacked: cosine that the attack got to, judged on fresh draws.
        error: its standard error.
        max_eps: largest certified eps at T, shape (n,).
        broken_eps: smallest eps at which the attack brought the cosine below T, shape (n,); inf if it never did.
        inputs: the perturbed inputs of that size; the clean ones where T was never broken.
    """

    threshold: float
    eps: Array
    certified: Array
    attacked: Array
    error: Array
    max_eps: Array
    broken_eps: Array
    inputs: Tensor

    __repr__ = shown_by("attricert.report.brief:sandwich")
    _repr_html_ = shown_by("attricert.report.notebook:sandwich")

    @property
    def ratio(self) -> Array:
        """Certified eps over broken eps, shape (n,): at 1 a certificate has no slack, above 1 it is wrong."""
        return self.max_eps / self.broken_eps

    @property
    def crossings(self) -> npt.NDArray[np.bool_]:
        """Where an attack got below what was certified, beyond its Monte-Carlo error; shape (n, m)."""
        return self.attacked + ERRORS * self.error < self.certified


def sandwich(
    certificate: CosineCertificate,
    what: Any,
    inputs: Tensor,
    target: Targets | npt.ArrayLike = None,
    *,
    cosine: float = 0.9,
    eps: Sequence[float] = (),
    attack: Attack | None = None,
    steps: int = 6,
    classifier: Classifier | None = None,
    keep_label: bool = False,
    data_range: tuple[float, float] | None = None,
    n_samples: int = 10_000,
    seed: int | None = None,
    progress: bool | ProgressCallback = False,
) -> Sandwich:
    """Attack what was certified, at the certified eps and beyond, until the cosine falls below T; then bisect.

    By default the label may change and the data range is open, as certificates allow both.

    Args:
        certificate: of these inputs, in this order.
        what: what was certified: the same `SmoothedAttribution`.
        inputs: shape (batch, ...).
        target: class that is explained, one or one an input.
        cosine: threshold T.
        eps: further sizes at which to attack every input.
        attack: by default ``Strong()``.
        steps: bisections; the broken eps is known to a factor of 2^(2^-steps).
        classifier: whose label must stay, if ``keep_label``.
        keep_label: admit only perturbed inputs with the label of the clean one.
        data_range: smallest and largest value an input may have.
        n_samples: fresh draws by which each result is judged.
        seed: of the keyed streams.
        progress: True for a bar over attacked samples, or a function told of each.

    Returns:
        Both bounds; ``crossings`` should be nowhere.
    """
    threshold = checks.fraction("cosine", cosine)
    checks.count("steps", steps, 0)
    sizes = [float(checks.nonnegative_values("eps", size)) for size in eps]
    max_eps = certificate.max_eps(threshold)
    if len(max_eps) != len(inputs):
        raise ArgumentError("certificate", f"of {len(max_eps)} inputs", f"must be of the {len(inputs)} inputs given")
    _same_function(certificate, what)
    run_seed = seed_of(seed)
    limits = {"classifier": classifier, "keep_label": keep_label, "data_range": data_range, "n_samples": n_samples}
    attacked = as_attacked_map(what)
    inputs, index = batch(inputs, target)
    hunts = []
    with reporting(progress, len(inputs) * (len(sizes) + _TYPICAL + steps), "attacking") as on_progress:
        for i, largest in enumerate(max_eps):
            x, y = inputs[i : i + 1], None if index is None else index[i : i + 1]
            hunt = _Hunt(attack or Strong(), attacked, x, y, threshold, run_seed, limits, on_progress)
            hunt.search(float(largest), steps)
            for size in sizes:
                hunt.attack(size)
            hunts.append(hunt)
    return _together(certificate, threshold, max_eps, hunts)


def _same_function(certificate: CosineCertificate, what: Any) -> None:
    """That a certificate with terms is of this noise and bound, as far as what is attacked says its own."""
    terms = getattr(certificate, "terms", None)
    for name in ("noise", "bound") if terms is not None else ():
        certified, attacked = str(getattr(terms, name)), str(getattr(what, name, getattr(terms, name)))
        if attacked != certified:
            raise ArgumentError("certificate", certified, f"is not of what is attacked, whose {name} is {attacked}")


@final
class _Hunt:
    """Attacks on one input, of different sizes."""

    def __init__(
        self,
        attack: Attack,
        what: AttackedMap,
        x: Tensor,
        target: Tensor | None,
        threshold: float,
        seed: int,
        limits: dict[str, Any],
        on_progress: ProgressCallback,
    ) -> None:
        self._attack, self._what, self._x, self._target = attack, what, x, target
        self._threshold, self._seed, self._limits, self._on_progress = threshold, seed, limits, on_progress
        self.tries: dict[float, AttackResult] = {}

    def search(self, certified: float, steps: int) -> None:
        """From the certified size up, twice the size until T is broken (or down until it is not); then bisection."""
        size = certified if certified > 0 else _FIRST * max(float(self._x.norm()), 1.0)
        at_once = self._broken(self.attack(size))
        factor = 0.5 if at_once else 2.0
        for _ in range(_DOUBLINGS):
            size *= factor
            if self._broken(self.attack(size)) != at_once:
                break
        else:
            return
        intact, broken = (size, 2 * size) if at_once else (size / 2, size)
        for _ in range(steps):
            middle = math.sqrt(intact * broken)
            intact, broken = (intact, middle) if self._broken(self.attack(middle)) else (middle, broken)

    def attack(self, eps: float) -> AttackResult:
        """At one size; begins with what broke T before, shortened or lengthened."""
        start = None
        if self.tries:
            last = min(self.tries.values(), key=lambda found: float(found.cosine))
            if float(last.size) > 0:
                start = self._x + (eps / float(last.size)) * (last.inputs - self._x)
        # Draws of its own for each: what was chosen by its score is judged anew.
        seed = self._seed + len(self.tries)
        found = self._attack.run(self._what, self._x, self._target, eps=eps, start=start, seed=seed, **self._limits)
        self.tries[eps] = found
        self._on_progress(1)
        return found

    def smallest(self) -> tuple[float, Tensor]:
        """The size and the input with which T was broken with the least effort."""
        broken = [found for found in self.tries.values() if self._broken(found)]
        best = min(broken, key=lambda found: float(found.size), default=None)
        return (math.inf, self._x) if best is None else (float(best.size), best.inputs)

    def _broken(self, found: AttackResult) -> bool:
        return float(found.cosine + _SURE * found.cosine_error) < self._threshold


def _together(certificate: CosineCertificate, threshold: float, max_eps: Array, hunts: Sequence[_Hunt]) -> Sandwich:
    """Rows of equal length: shorter ones are filled up with NaN."""
    longest = max(len(hunt.tries) for hunt in hunts)
    eps, attacked, error, certified = (np.full((len(hunts), longest), np.nan) for _ in range(4))
    for i, hunt in enumerate(hunts):
        sizes = sorted(hunt.tries)
        part = slice(0, len(sizes))
        eps[i, part] = sizes
        attacked[i, part] = [float(hunt.tries[size].cosine) for size in sizes]
        error[i, part] = [float(hunt.tries[size].cosine_error) for size in sizes]
        certified[i, part] = certificate.cosine(sizes)[i]
    broken, inputs = zip(*(hunt.smallest() for hunt in hunts), strict=True)
    return Sandwich(threshold, eps, certified, attacked, error, max_eps, np.array(broken), torch.cat(inputs))
