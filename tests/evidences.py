"""Evidence made by hand: what certificates would follow from, had draws shown it."""

import numpy as np

import attricert as ac
from attricert.certificates import Ledger, Terms
from attricert.certificates.pieces import Cone, FourthMoment, Norm, Sampling, TopVariance


def terms(noise, dimension=784, max_norm=1.0, names=("norm",), **settings):
    """Of a population claim at alpha = 0.001, but for what is given."""
    alpha = settings.setdefault("alpha", 1e-3)
    observed = settings.setdefault("observed", None)
    names = (*names, *(() if observed is None else ("here", "there")))
    whole = {
        "max_entry": max_norm,
        "bound": "",
        "nonnegative": False,
        "confidence": "betting",
        "antithetic": False,
        "seed": 0,
        "ledger": Ledger.of(alpha, names),
        **settings,
    }
    return Terms(noise=noise, dimension=dimension, max_norm=max_norm, **whole)


def evidence(noise, norm, *, top_variance=None, max_deviation=2.0, cone=None, fourth=None, **settings):
    """One row an entry of ``norm``; a cone is a dict of its fields, of one input each."""
    norm = np.atleast_1d(np.asarray(norm, dtype=np.float64))
    n = len(norm)
    names, pieces = ["norm"], {}

    def rows(value):
        value = np.asarray(value, dtype=np.float64)
        return np.ascontiguousarray(np.broadcast_to(value, (n, *value.shape)))

    if top_variance is not None:
        names.append("top_variance")
        pieces["top_variance"] = TopVariance(rows(top_variance), rows(max_deviation))
    if cone is not None:
        names += ["inside_variance", "drift", "regions"]
        pieces["cone"] = Cone(**{name: rows(value) for name, value in cone.items()})
    if fourth is not None:
        names.append("fourth")
        pieces["fourth"] = FourthMoment(rows(fourth))
    counts = Sampling(*(np.full(n, count) for count in (9000, 1000, 0, 0)))
    settings.setdefault("names", names)
    return ac.Evidence(terms(noise, **settings), counts, Norm(norm), ("",) * n, **pieces)
