"""From a sample to its source: by hand and against scipy."""

import math

import numpy as np
import pytest
import torch
from evidences import evidence
from functions import rotor
from scipy import stats

import attricert as ac
from attricert.certificates import Share, least_share
from attricert.certificates.population import share_of

PLAIN = {"beta": 0.05, "averages": False, "simultaneous": False}


def bound(counts, inputs, alpha=0.01, **changes):
    return least_share(np.asarray(counts), inputs, alpha=alpha, **{**PLAIN, **changes})


@pytest.mark.parametrize("inputs", [1, 7, 50])
@pytest.mark.parametrize("beta", [0.05, 0.5, 1e-6])
def test_it_is_scipys_one_sided_interval_less_alpha(inputs, beta):
    counts = np.arange(inputs + 1)
    exact = [
        stats.binomtest(int(n), inputs, alternative="greater").proportion_ci(1 - beta, method="exact").low
        for n in counts
    ]
    truth = np.clip((np.array(exact) - 0.02) / 0.98, 0, 1)
    found = bound(counts, inputs, alpha=0.02, beta=beta)
    assert (found <= truth).all()
    np.testing.assert_allclose(found, truth, atol=3e-10)
    np.testing.assert_allclose(
        bound(counts, inputs, alpha=0.02, beta=beta, averages=True), np.clip(truth * 0.98, 0, 1), atol=3e-10
    )


def test_all_and_none_and_one_by_hand():
    assert bound([0], 20).tolist() == [0.0]
    assert bound([20], 20)[0] == pytest.approx((0.05 ** (1 / 20) - 0.01) / 0.99, abs=2e-10)
    assert bound([1], 1)[0] == pytest.approx((0.05 - 0.01) / 0.99, abs=2e-10)
    assert bound([1], 1, alpha=0.06).tolist() == [0.0]  # as likely to be wrong as to be said
    width = math.sqrt(math.log(20) / 40)
    simultaneous = bound([20, 12, 3], 20, simultaneous=True)
    np.testing.assert_allclose(simultaneous, [(1 - width - 0.01) / 0.99, (0.6 - width - 0.01) / 0.99, 0.0], atol=2e-10)
    assert (simultaneous < bound([20, 12, 3], 20)).all()


def test_more_successes_and_less_doubt_claim_more():
    for simultaneous in (False, True):
        for averages in (False, True):
            kind = {"simultaneous": simultaneous, "averages": averages}
            counts = bound(np.arange(41), 40, **kind)
            assert (np.diff(counts) >= 0).all()
            assert counts[-1] > counts[20] > 0
            assert (bound(np.arange(41), 40, beta=0.01, **kind) <= counts).all()
            assert (bound(np.arange(41), 40, alpha=0.1, **kind) <= counts).all()
            assert (bound(np.arange(41), 41, **kind) <= counts).all()
            assert (counts <= np.arange(41) / 40).all()


def test_what_says_nothing_counts_nowhere():
    sizes = np.array([0.0, 0.1, 0.1, 0.3])
    share = share_of(sizes, np.array([0.0, 0.1, 0.2, 0.4]), 5, alpha=0.01, **PLAIN)
    assert share.observed.tolist() == [0.6, 0.6, 0.2, 0.0]
    assert share.at_least.tolist() == bound([3, 3, 1, 0], 5).tolist()


@pytest.fixture(scope="module")
def certificate():
    return ac.Certificate(evidence(ac.Gaussian(0.5), [0.9, 0.8, 0.5, 0.0], top_variance=0.05, alpha=0.01))


def test_of_a_certificate(certificate):
    sizes = certificate.max_eps(0.9)
    middle = float(sizes[1])  # reached by two of four, itself included
    share = certificate.certified_share(middle, 0.9)
    assert isinstance(share, Share)
    assert share.observed.shape == share.at_least.shape == ()
    assert (float(share.observed), float(share.at_least)) == (0.5, float(bound([2], 4)[0]))
    many = certificate.certified_share([0.0, middle, 9.0], 0.9, beta=0.3, simultaneous=True)
    assert many.observed.tolist() == [0.75, 0.5, 0.0]
    assert many.at_least.tolist() == bound([3, 2, 0], 4, beta=0.3, simultaneous=True).tolist()
    assert certificate.certified_share([], 0.9).at_least.shape == (0,)
    drawn = certificate.certified_share(middle, 0.9, inputs=8)
    assert (float(drawn.observed), float(drawn.at_least)) == (0.25, float(bound([2], 8)[0]))


def test_observed_averages_pay_alpha_in_full():
    c = ac.Certificate(
        evidence(ac.Gaussian(0.5), [0.9] * 30, top_variance=0.01, alpha=0.1, observed=ac.Observed(10_000))
    )
    share = c.certified_share(1e-3, 0.5)
    assert float(share.observed) == 1.0
    assert float(share.at_least) == pytest.approx(0.05 ** (1 / 30) - 0.1, abs=2e-10)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"eps": -1.0}, "eps=-1.0"),
        ({"cosine": 1.0}, "cosine=1.0"),
        ({"cosine": [0.8, 0.9]}, "cosine="),
        ({"beta": 0.0}, "beta=0.0"),
        ({"beta": 1.0}, "beta=1.0"),
        ({"beta": 0.6, "simultaneous": True}, "beta=0.6: must be at most 0.5 for all eps at once"),
        ({"simultaneous": 1}, "simultaneous=1"),
        ({"inputs": 3}, "inputs=3: must be an integer >= 4"),
    ],
)
def test_bad_arguments(certificate, values, message):
    with pytest.raises(ac.ArgumentError, match=message):
        certificate.certified_share(**{"eps": 0.1, "cosine": 0.9, **values})


def test_beta_up_to_one_half_for_all_sizes_and_beyond_for_one(certificate):
    assert certificate.certified_share(0.0, 0.9, beta=0.5, simultaneous=True).at_least > 0
    assert certificate.certified_share(0.0, 0.9, beta=0.9).at_least > 0


def test_nothing_is_said_of_no_inputs_or_without_proof(certificate):
    with pytest.raises(ac.ArgumentError, match="inputs=0"):
        certificate[[]].certified_share(0.1, 0.9)
    unproven = ac.Certificate(evidence(ac.UniformBall(1.0), [0.9], confidence="asymptotic"))
    with pytest.raises(ac.ArgumentError, match="confidence='asymptotic': proves nothing"):
        unproven.certified_share(0.1, 0.9)


def test_from_end_to_end_on_a_function_whose_truth_is_known():
    """Every rotor map turns by |k| eps exactly: the true share is 1 up to there, and 0 beyond."""
    k, n = [1.5, 0.0, 0.0], 60
    sm = ac.SmoothedAttribution(rotor(k), ac.Gaussian(0.3))
    x = torch.rand(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    c = sm.certify(x, n_samples=2_000, alpha=0.01, seed=3)
    truth = math.acos(0.8) / 1.5
    share = c.certified_share([truth / 8, truth * 1.001], 0.8)
    assert share.observed.tolist() == [1.0, 0.0]
    assert share.at_least[0] == pytest.approx((0.05 ** (1 / n) - 0.01) / 0.99, abs=2e-10)
    assert share.at_least[1] == 0.0
