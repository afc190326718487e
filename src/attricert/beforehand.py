"""What is asked before anything is certified, of an attribution alone: `plan`, `doctor` and `tune`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt
from torch import Tensor

from attricert.attributions import Attribution, Classifier, Targets
from attricert.bounding import Bound, Normalize
from attricert.certificates import Claim
from attricert.diagnosis import Diagnosis, Tuning
from attricert.errors import ArgumentError
from attricert.fixed import Fixed
from attricert.noise import Gaussian, Noise
from attricert.planning import Plan, noise_of
from attricert.progress import ProgressCallback
from attricert.smoothed import SmoothedAttribution
from attricert.units import InputUnits

__all__ = ["doctor", "plan", "tune"]


def plan(
    attribution: Attribution,
    inputs: Tensor,
    target: Targets | npt.ArrayLike = None,
    *,
    claim: Claim | None = None,
    cosine: float | None = None,
    noise: str | Noise = "gaussian",
    bound: Bound | None = None,
    classifier: Classifier | None = None,
    scales: Sequence[float] | None = None,
    n_pilot: int = 400,
    n_samples: int = 10_000,
    alpha: float = 1e-3,
    seed: int | None = None,
    entries: bool = True,
    progress: bool | ProgressCallback = False,
) -> Plan:
    """Estimate which noise scale to use, how many samples, and which bound on entries; nothing is proven.

    Args:
        attribution: g, as in `SmoothedAttribution`.
        inputs: see `SmoothedAttribution.plan`, as for all but the next three after the cosine.
        target: class index, or one an input; None for single-output models.
        claim: what is to be proven; None for whatever can be had.
        cosine: threshold T of which eps is told, 0.9 by default; not with a claim, which has its own.
        noise: the family: a word of `NOISES`, or a noise whose scale plays no part.
        bound: the structural l2 bound; `Normalize` by default.
        classifier: as in `SmoothedAttribution`.
        scales: sigmas (or radii) to try.
        n_pilot: samples for each input and scale, >= 50.
        n_samples: samples that may be spent on an input, >= 500.
        alpha: as in `SmoothedAttribution.certify`.
        seed: of the keyed streams; None takes a fresh secret one.
        entries: plan for single entries, too.
        progress: True for a bar, or a function told how many copies have just been done.

    Returns:
        What to expect of each scale; ``best`` is the one to use, or None, and ``shortfall`` why; ``max_entry`` the
        bound on entries.
    """
    smoothed = SmoothedAttribution(attribution, noise_of(noise), Normalize() if bound is None else bound, classifier)
    return smoothed.plan(
        inputs,
        target,
        claim=claim,
        cosine=cosine,
        scales=scales,
        n_pilot=n_pilot,
        n_samples=n_samples,
        alpha=alpha,
        seed=seed,
        entries=entries,
        progress=progress,
    )


def doctor(
    attribution: Attribution | SmoothedAttribution,
    inputs: Tensor,
    target: Targets | npt.ArrayLike = None,
    *,
    noise: str | Noise | None = None,
    bound: Bound | None = None,
    classifier: Classifier | None = None,
    batch_size: int | None = None,
    fixed: npt.ArrayLike | Fixed | None = None,
    n_samples: int = 10_000,
    units: InputUnits | None = None,
) -> Diagnosis:
    """Look at what `certify` will meet, and tell all of it; see `SmoothedAttribution.doctor`.

    Args:
        attribution: g, as in `SmoothedAttribution`; or a `SmoothedAttribution`, which has the next five already.
        inputs: as in `SmoothedAttribution.doctor`.
        target: class index, or one an input; None for single-output models.
        noise: the noise, or a word of `NOISES`, whose scale is then chosen; by default Gaussian. What is chosen is a
            quarter of the inputs' standard deviation, and the findings say so.
        bound: the structural l2 bound; `Normalize` by default.
        classifier: as in `SmoothedAttribution`.
        batch_size: noisy copies computed at once.
        fixed: as in `SmoothedAttribution`.
        n_samples: noisy copies of each input that are reckoned with.
        units: of the inputs; by default what they look like.

    Raises:
        ArgumentError: inputs or target are none that can be looked at, or an argument breaks its rule.
    """
    if isinstance(attribution, SmoothedAttribution):
        own = {"noise": noise, "bound": bound, "classifier": classifier, "batch_size": batch_size, "fixed": fixed}
        if doubled := [name for name, value in own.items() if value is not None]:
            raise ArgumentError(doubled[0], own[doubled[0]], "must be left out: the SmoothedAttribution has its own")
        return attribution.doctor(inputs, target, n_samples=n_samples, units=units)
    chosen = noise_of("gaussian" if noise is None else noise)
    given = Normalize() if bound is None else bound
    smoothed = SmoothedAttribution(attribution, chosen, given, classifier, batch_size=batch_size, fixed=fixed)
    own_scale = isinstance(noise, Noise)
    return smoothed.doctor(inputs, target, n_samples=n_samples, units=units, own_scale=own_scale)


def tune(
    attribution: Attribution | SmoothedAttribution,
    inputs: Tensor,
    target: Targets | npt.ArrayLike = None,
    *,
    compile: bool = False,
    seconds: float = 4.0,
) -> Tuning:
    """Measure in which way draws are fastest here; see `SmoothedAttribution.tune`.

    Args:
        attribution: g, as in `SmoothedAttribution`, which gets Gaussian noise here; or a `SmoothedAttribution`.
        inputs: as in `SmoothedAttribution.tune`, like all that follows.
        target: class index, or one an input; None for single-output models.
        compile: try a compiled model, too.
        seconds: that this may take, about.
    """
    if not isinstance(attribution, SmoothedAttribution):
        attribution = SmoothedAttribution(attribution, Gaussian(1.0))
    return attribution.tune(inputs, target, compile=compile, seconds=seconds)
