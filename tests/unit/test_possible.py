"""What evidence can be: forged in one field, with everything else right, it is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from evidences import terms

import attricert as ac
from attricert.certificates import Ledger, Terms
from attricert.certificates.pieces import (
    Cone,
    EntryBounds,
    FourthMoment,
    FunctionalBounds,
    Maps,
    Norm,
    Prediction,
    Sampling,
    TopVariance,
)
from attricert.errors import IntegrityError

NAMES = ("norm", "top_variance", "inside_variance", "drift", "regions", "fourth", "entries", "prediction")


def full(**settings):
    """All pieces, of one input with two entries and M = 1."""
    settings = {"dimension": 2, "max_entry": 0.5, "ledger": Ledger.of(1e-3, NAMES, 3), **settings}
    return ac.Evidence(
        terms(ac.Gaussian(1.0), **settings),
        Sampling(*(np.array([count]) for count in (900, 100, 10, 5))),
        Norm(np.array([0.4])),
        ("",),
        Maps(np.array([[0.3, 0.3]])),
        TopVariance(np.array([0.2]), np.array([1.4])),
        Cone(
            center=np.array([0.4]),
            drift=np.array([0.1]),
            stretch=np.array([2.0]),
            variance=np.array([0.2]),
            along=np.array([[0.3, 0.1]]),
            across=np.array([[0.2, 0.4]]),
            outside=np.array([[0.5, 0.01]]),
        ),
        FourthMoment(np.array([0.1])),
        EntryBounds(*(np.array([values]) for values in ([0.2, 0.2], [0.4, 0.4], [0.1, 0.1], [0.3, 0.3]))),
        FunctionalBounds(*(np.array([[value]]) for value in (0.3, 0.7, 0.2, 0.6)), np.array([0.8])),
        Prediction(np.array([3]), np.array([0.9])),
    )


FORGED = {
    "sampling.n_samples": [[0], [5], [900.0]],
    "sampling.zeros": [[-1], [901], [896]],
    "sampling.nonfinite": [[891], [2**62]],
    "norm.lower": [[1.0000001], [-1e-12], [np.nan], [np.inf], [0.4, 0.4], [1], 0.4],
    "maps.mean": [[[0.51, 0.0]], [[np.nan, 0.0]], [[0.3]], [[[0.3], [0.3]]], [0.3, 0.3]],
    "top_variance.upper": [[1.97], [-1e-9], [np.nan], [[0.2]]],
    "top_variance.max_deviation": [[0.9], [2.1], [np.inf]],
    "cone.center": [[1.1], [-0.1]],
    "cone.drift": [[-1e-9], [np.nan], [1e5]],
    "cone.stretch": [[0.5], [np.inf]],
    "cone.variance": [[1.7], [np.nan]],
    "cone.along": [[[0.1, 0.3]], [[1.2, 0.1]], [[0.3, -0.1]], [[0.3]], [[0.3, 0.2, 0.1]]],
    "cone.across": [[[0.4, 0.2]], [[0.2, 1.2]]],
    "cone.outside": [[[2.0, 0.01]], [[0.01, 0.5]], [[0.5, -0.01]]],
    "fourth.upper": [[2.7], [-1.0]],
    "entries.low": [[[0.45, 0.2]], [[-0.6, 0.2]], [[0.2, np.nan]]],
    "entries.high": [[[0.6, 0.4]], [[0.1, 0.4]]],
    "entries.second": [[[1.1, 0.1]], [[-0.1, 0.1]]],
    "entries.center": [[[0.6, 0.3]]],
    "functionals.low": [[[0.75]], [[-0.9]], [[0.3, 0.3]]],
    "functionals.high": [[[0.9]]],
    "functionals.second": [[[2.7]]],
    "functionals.center": [[[0.9]]],
    "functionals.bound": [[-0.8], [np.inf], [0.8, 0.8], [[0.8]]],
    "prediction.label": [[-2], [3.0], [True]],
    "prediction.p_lower": [[1.0], [1.5], [-0.1], [2.0]],
}


WRITTEN = {
    "top_variance": "top_?variance",
    "entries": "entries|EntryBounds",
    "fourth": "fourth",
    "functionals": "functionals|FunctionalBounds",
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in FORGED.items() for value in values])
def test_a_forged_field_is_refused(name, value, tmp_path):
    honest = full()
    arrays = {**honest.arrays(), name: np.array(value)}
    piece = name.partition(".")[0]
    with pytest.raises(IntegrityError, match=f"(?i){WRITTEN.get(piece, piece)}"):
        ac.Evidence.of(honest.terms, honest.outcome, arrays)


def test_what_lies_on_the_edge_is_taken():
    """Rounding may bring honest numbers there, and a little beyond."""
    honest, edge = full(), 1 + 1e-12
    for name, value in {
        "top_variance.upper": [1.4**2 * edge],
        "top_variance.max_deviation": [2.0 * edge],
        "maps.mean": [[0.5 * edge, 0.5]],
        "entries.center": [[0.5 * edge, np.nan]],
        "cone.center": [edge],
        "cone.along": [[0.1, 0.1]],
        "norm.lower": [1.0],
        "sampling.zeros": [895],
    }.items():
        ac.Evidence.of(honest.terms, honest.outcome, {**honest.arrays(), name: np.array(value)})


def test_pieces_need_their_shares_and_outcomes_are_words():
    honest = full()
    for name in NAMES[1:]:
        rest = tuple(other for other in NAMES if other != name)
        with pytest.raises(ac.AttricertError, match=f"ledger has no share for {name}|ledger entries"):
            full(ledger=Ledger.of(1e-3, rest, 3 if "entries" in rest else 0))
    with pytest.raises(IntegrityError, match="ledger.entries=2: must be at least 3"):
        full(ledger=Ledger.of(1e-3, NAMES, 2))
    with pytest.raises(IntegrityError, match="outcome='won': must be one of"):
        replace(honest, outcome=("won",))
    with pytest.raises(IntegrityError, match="fourth.upper=0.1: must be with a cone"):
        replace(honest, cone=None)
    assert replace(honest, cone=None, fourth=None, entries=None).entries is None  # fewer than were paid for


def test_nonnegative_maps_have_nonnegative_evidence():
    arrays = full(nonnegative=True).arrays()
    with pytest.raises(IntegrityError, match="entries.low=-0.1"):
        ac.Evidence.of(full(nonnegative=True).terms, ("",), {**arrays, "entries.low": np.array([[-0.1, 0.2]])})


@pytest.mark.parametrize(
    "change",
    [
        {"dimension": 0},
        {"dimension": 2.0},
        {"dimension": True},
        {"dimension": 10**30},
        {"max_norm": -1.0},
        {"max_norm": 1e300},
        {"max_norm": "1"},
        {"max_entry": 1.5},
        {"max_entry": 0},
        {"alpha": 1.0},
        {"alpha": 1e-6},
        {"confidence": "hope"},
        {"seed": -1},
        {"seed": 1.5},
        {"nonnegative": 0},
        {"antithetic": "no"},
        {"bound": 7},
        {"version": None},
        {"observed": 0},
        {"observed": 100},
        {"lucky": 1},
        {"noise": {"name": "gaussian", "sigma": 10**400}},
        {"noise": {"name": "gaussian", "sigma": -1.0}},
        {"noise": {"name": "gaussian", "radius": 1.0}},
        {"noise": "gaussian"},
        {"ledger": {"shares": {"norm": 0.0}, "entries": 0}},
        {"ledger": {"shares": {"norm": 0.01}, "entries": 0}},
        {"ledger": {"shares": {"norm": "0.0001"}, "entries": 0}},
        {"ledger": {"shares": {"luck": 0.0001}, "entries": 0}},
        {"ledger": {"shares": {"norm": 0.0001}, "entries": 5}},
        {"ledger": {"shares": {"norm": 0.0001, "entries": 0.0001}, "entries": 0}},
        {"ledger": {"shares": {"norm": 0.0001}}},
        {"ledger": {"shares": {"norm": 0.0001}, "entries": 0, "more": 1}},
        {"ledger": [["norm", 0.0001]]},
    ],
)
def test_impossible_terms_are_refused(change):
    values = terms(ac.Gaussian(1.0)).to_dict()
    assert Terms.from_json(json.dumps(values)).to_dict() == values
    with pytest.raises(IntegrityError):
        Terms.from_json(json.dumps({**values, **change}))


@pytest.mark.parametrize(
    "text", ["", "null", "[" * 100_000, '{"alpha": NaN}', '{"seed": 1, "seed": 2}', '{"seed": ' + "9" * 9000 + "}"]
)
def test_texts_that_are_no_terms_are_refused(text):
    with pytest.raises(IntegrityError, match="not the terms of a certificate"):
        Terms.from_json(text)
