"""What a run says of the source that its inputs come from (docs/theory.md 12)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from attricert.certificates import Terms
from attricert.certificates.population import Share, share_of
from attricert.files import parse_json
from attricert.report.results import COSINE, MAX_EPS

__all__ = ["BETA", "SHARES", "ShareClaim", "share_at", "shares_as_json", "shares_from_json", "shares_of"]

BETA = 0.05
"""The probability with which each of a run's claims about the source may fail."""

_MOST = 1e300  # of any number in a claim; integers of JSON have no limit

SHARES = "attricert.shares"
"""Where ``results.parquet`` has them in its metadata."""


@final
@dataclass(frozen=True)
class ShareClaim:
    """At least such a share of the source keeps the cosine at eps, with confidence 1 - beta.

    For this one eps and cosine, chosen before the results were looked at, and inputs that are a random sample.

    Args:
        eps: l2 size of the perturbation, in input units.
        cosine: threshold T.
        certified: how many inputs the claim is certified of.
        inputs: in the data; those that failed or are missing count as not certified.
        at_least: the share.
        beta: the probability, over inputs and draws, with which it may be smaller.
    """

    eps: float
    cosine: float
    certified: int
    inputs: int
    at_least: float
    beta: float = BETA


def shares_of(rows: Sequence[Mapping[str, Any]], inputs: int, terms: Terms) -> tuple[ShareClaim, ...]:
    """For each threshold and each eps of the columns of results.

    Args:
        rows: as `attricert.runs.certificates` gives them, of sound certificates.
        inputs: in the data, those without a row included.
        terms: of the claims.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    eps, cosine = (
        [float(name[len(start) :]) for name in names if name.startswith(start)] for start in (COSINE, MAX_EPS)
    )
    found = []
    for t in cosine:
        share = share_at(rows, t, eps, inputs, terms, simultaneous=False)
        counts = np.rint(share.observed * inputs).astype(np.int64).tolist()
        found += [
            ShareClaim(e, t, n, inputs, low) for e, n, low in zip(eps, counts, share.at_least.tolist(), strict=True)
        ]
    return tuple(found)


def share_at(
    rows: Sequence[Mapping[str, Any]],
    cosine: float,
    eps: Sequence[float],
    inputs: int,
    terms: Terms,
    *,
    simultaneous: bool,
) -> Share:
    """For one threshold: the share of inputs that reach each eps, and at least which share of the source does.

    Args:
        rows: as for `shares_of`.
        cosine: the threshold.
        eps: sizes, in input units.
        inputs: in the data.
        terms: of the claims.
        simultaneous: whether all sizes are to hold at once.
    """
    sizes = np.array([row.get(f"{MAX_EPS}{cosine!r}") or 0.0 for row in rows], dtype=np.float64)
    return share_of(
        sizes,
        np.array(eps, dtype=np.float64),
        inputs,
        alpha=terms.alpha,
        beta=BETA,
        averages=terms.observed is not None,
        simultaneous=simultaneous,
    )


def shares_as_json(claims: Sequence[ShareClaim]) -> str:
    """As text."""
    return json.dumps([dataclasses.asdict(claim) for claim in claims])


def shares_from_json(text: str) -> tuple[ShareClaim, ...]:
    """From text.

    Raises:
        ValueError: it is none that `shares_as_json` could have given.
    """
    try:
        claims = tuple(ShareClaim(**values) for values in parse_json(text))
    except TypeError:
        raise ValueError("no claims about shares") from None
    if not all(isinstance(value, (int, float)) and abs(value) <= _MOST for c in claims for value in vars(c).values()):
        raise ValueError("no claims about shares")
    return claims
