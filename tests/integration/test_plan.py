"""Plans and forecasts, against what is then certified."""

import dataclasses

import numpy as np
import pytest

import attricert as ac

CLAIM = ac.Claim(eps=0.12, cosine=0.9)


@pytest.fixture(scope="module")
def two(digits):
    return digits.images[:2], digits.labels[:2]


def test_a_forecast_of_the_cone_comes_true(model, two):
    sm = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.2))
    expected = [f.max_eps(0.9, 4_000) for f in sm.forecast(*two, n_samples=400, seed=1)]
    certified = sm.certify(*two, n_samples=4_000, seed=0)
    np.testing.assert_allclose(expected, certified.max_eps(0.9), rtol=0.1)
    without = ac.Certificate(dataclasses.replace(certified.evidence, cone=None))
    apart, farther = (np.abs(expected - claims.max_eps(0.9)) for claims in (certified, without))
    assert (apart < farther).all()  # it is the cone's that is forecast


def test_the_least_scale_that_will_do_does(model, two):
    done = []
    found = ac.plan(
        ac.Saliency(model), *two, claim=CLAIM, scales=[0.2, 0.02, 0.1], n_pilot=200, seed=0, progress=done.append
    )
    assert sum(done) == 2 * 3 * 200
    assert [row.reached for row in found.scales] == [2, 0, 2]
    assert (found.scales[1].samples_needed, found.scales[1].seconds) == (None, None)
    assert found.best is found.scales[2]
    for row in found.scales:
        assert 0 < row.least_max_eps <= min(row.mean_max_eps, row.least_max_eps_in_the_limit)
    sm = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(found.best.scale))
    n = int(1.2 * found.best.samples_needed)
    assert (sm.certify(*two, n_samples=n, seed=0).cosine(CLAIM.eps) >= CLAIM.cosine).all()


def test_a_plan_keeps_the_object_but_for_the_scale(model, two):
    bound = ac.Normalize(max_entry=0.15)
    sm = ac.SmoothedAttribution(ac.Saliency(model), ac.UniformBall(1.0), bound)
    one = tuple(some[:1] for some in two)
    mine = sm.plan(*one, claim=ac.Claim(eps=0.05, cosine=0.9), n_pilot=50, seed=0)
    first = [mine.scales[0].scale]
    same = ac.plan(
        sm.attribution, *one, claim=mine.claim, noise="uniform", bound=bound, n_pilot=50, seed=0, scales=first
    )
    assert same.scales[0].least_max_eps == mine.scales[0].least_max_eps
    assert mine.scales[0].scale < mine.scales[-1].scale


def test_what_is_out_of_reach_has_no_best_scale(model, two):
    assert ac.plan(ac.Saliency(model), *two, claim=ac.Claim(eps=5, cosine=0.9), n_pilot=50, scales=[0.1]).best is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"noise": "gausian"}, "did you mean 'gaussian'"),
        ({"n_pilot": 10}, "n_pilot=10: must be an integer >= 50"),
        ({"n_samples": 100}, "n_samples=100: must be an integer >= 500"),
        ({"scales": []}, "must name at least one"),
        ({"scales": [-1.0]}, "scales=-1.0: must be a finite number > 0"),
        ({"seed": -1}, "seed=-1: must be an integer >= 0"),
    ],
)
def test_bad_plans_say_why(model, two, wrong, message):
    with pytest.raises(ac.AttricertError, match=message):
        ac.plan(ac.Saliency(model), *two, **{"claim": CLAIM, "n_pilot": 50, "scales": [0.1], **wrong})
