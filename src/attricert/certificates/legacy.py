"""Reading what version 0.1 wrote: its statement of terms, its names, its shares of alpha, which it did not store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from attricert import checks
from attricert.certificates.claim import Observed
from attricert.certificates.ledger import LEGACY_WEIGHTS, Ledger
from attricert.certificates.terms import Terms
from attricert.errors import IntegrityError
from attricert.files import parse_json
from attricert.noise import Gaussian, Noise, UniformBall

__all__ = ["FORMAT", "NAMES", "UNKNOWN", "evidence", "terms"]

FORMAT = "attricert-evidence-2"

NAMES: Mapping[str, str] = {
    "n_samples": "sampling.n_samples",
    "n_pilot": "sampling.n_pilot",
    "zeros": "sampling.zeros",
    "nonfinite": "sampling.nonfinite",
    "norm": "norm.lower",
    "maps": "maps.mean",
    "spread": "top_variance.upper",
    "reach": "top_variance.max_deviation",
    "feature_low": "entries.low",
    "feature_high": "entries.high",
    "feature_spread": "entries.second",
    "functional_low": "functionals.low",
    "functional_high": "functionals.high",
    "functional_spread": "functionals.second",
    "functional_bound": "functionals.bound",
    "label": "prediction.label",
    "label_mass": "prediction.p_lower",
}
"""Its names of arrays, and today's."""

UNREAD = ("moments", "tail")
"""Its higher moments: see CHANGELOG."""

UNKNOWN = ("entries.center", "functionals.center")
"""What it did not keep; NaN where it is read."""

_PARTS = {
    "norm": "norm",
    "spread": "top_variance",
    "moments": "moments",
    "features": "entries",
    "label": "prediction",
}
_NOISES = {"UniformBall": UniformBall, "Gaussian": Gaussian}
_FIELDS = (
    *("noise", "dimension", "bound", "entry_bound", "bound_name", "nonnegative", "alpha", "guarantee"),
    *("observed_samples", "confidence", "antithetic", "seed", "parts", "moments", "version"),
)


def terms(text: str, functionals: int) -> Terms:
    """From the text of its statement.

    Raises:
        IntegrityError: it is none.
    """
    try:
        s = parse_json(text)
        if set(s) != set(_FIELDS):
            raise ValueError(f"with {', '.join(sorted(s))}")
        checks.count("dimension", s["dimension"], 1)
        noise: Noise = _NOISES[s["noise"]["name"]](s["noise"]["scale"])
        is_observed = {"population": False, "observed": True}[s["guarantee"]]
        entries = s["dimension"] + functionals if "features" in s["parts"] else 0
        names = [*(_PARTS[part] for part in s["parts"]), *(("here", "there") if is_observed else ())]
        return Terms(
            noise=noise,
            dimension=s["dimension"],
            max_norm=s["bound"],
            max_entry=s["entry_bound"],
            bound=s["bound_name"],
            nonnegative=s["nonnegative"],
            alpha=s["alpha"],
            observed=Observed(s["observed_samples"]) if is_observed else None,
            confidence=s["confidence"],
            antithetic=s["antithetic"],
            seed=s["seed"],
            ledger=Ledger.of(s["alpha"], names, entries, LEGACY_WEIGHTS),
            version=s["version"],
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IntegrityError(f"not the statement of a certificate ({error})") from None


def evidence(statement: str, arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[Terms, dict[str, npt.NDArray[Any]]]:
    """Terms, and arrays under today's names."""
    if foreign := set(arrays) - {*NAMES, *UNREAD}:
        raise IntegrityError(f"evidence has {', '.join(sorted(foreign))}: not what is proven here")
    bound = arrays.get("functional_bound")
    found = {NAMES[name]: array for name, array in arrays.items() if name in NAMES}
    for name in UNKNOWN:
        if (like := found.get(f"{name.partition('.')[0]}.low")) is not None:
            found[name] = np.full(like.shape, np.nan)
    return terms(statement, 0 if bound is None else bound.size), found
