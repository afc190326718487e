"""Attributions that are random: certified as declared, false where rows of a batch share their random numbers."""

import captum.attr
import numpy as np
import pytest
import torch

import attricert as ac

TRIALS, ALPHA = 25, 0.01
ALONG = torch.eye(2)


def coin(inputs, target):
    """One of two directions, the same for all rows of a call: h = (1/2, 1/2), of norm sqrt(1/2)."""
    return ALONG[int(torch.rand(()) < 0.5)].expand_as(inputs)


def false_claims(attribution, **settings):
    smoothed = ac.SmoothedAttribution(attribution, ac.Gaussian(0.1), **settings)
    wrong = 0
    for seed in range(TRIALS):
        certificate = smoothed.certify(
            torch.zeros(1, 2), n_samples=120, alpha=ALPHA, seed=seed, prove=["entries"], preflight=False
        )
        low, high = certificate.intervals(0.0)
        inside = (low <= 0.5).all() and (high >= 0.5).all() and certificate.norm[0] <= np.sqrt(0.5)
        wrong += not inside
    return wrong


def test_declared_randomness_is_certified_and_shared_randomness_would_not_be():
    assert false_claims(ac.wrap(coin, random=True)) <= 2  # of 25 at most alpha each: more once in 1,000
    torch.manual_seed(0)
    assert false_claims(ac.wrap(coin)) > TRIALS / 2


class Sides:
    """One of the two directions by a number of its own a row; or, broken, by the first row's."""

    random = True

    def __init__(self, *, shared=False):
        self.shared = shared

    def __call__(self, inputs, target):
        return self.at(torch.rand(len(inputs)))(inputs, target)

    def at(self, uniforms):
        numbers = uniforms[:1].expand_as(uniforms) if self.shared else uniforms
        return lambda inputs, target: ALONG[(numbers < 0.5).long()]


@pytest.mark.parametrize("antithetic", [False, True])
def test_numbers_from_the_stream_are_certified_and_shared_ones_would_not_be(antithetic):
    assert false_claims(Sides(), antithetic=antithetic) <= 2
    assert false_claims(Sides(shared=True), antithetic=antithetic) > TRIALS / 4


@pytest.mark.parametrize("antithetic", [False, True])
def test_declared_randomness_depends_on_the_seed_alone(antithetic):
    g = ac.wrap(lambda x, t: x + torch.randn_like(x) + float(np.random.random()), random=True)
    x = torch.rand(2, 3, generator=torch.Generator().manual_seed(0))

    def maps(seed, batch_size=None):
        smoothed = ac.SmoothedAttribution(g, ac.Gaussian(0.1), batch_size=batch_size, antithetic=antithetic)
        return smoothed.certify(x, n_samples=100, seed=seed, prove=[])

    torch.manual_seed(5)
    first = maps(1)
    torch.manual_seed(6)
    np.testing.assert_array_equal(first.norm, maps(1, batch_size=7).norm)
    assert (first.norm != maps(2).norm).all()


def test_captums_sampled_shapley_values_are_refused_and_as_declared_they_are_certified():
    """Of f(z) = 4 z_0 z_1 + 0.3 z_2 at baseline 0: (2 z_0 z_1, 2 z_0 z_1, 0.3 z_2) in the mean over permutations."""
    method = captum.attr.ShapleyValueSampling(lambda z: 4 * z[:, 0] * z[:, 1] + 0.3 * z[:, 2])

    def sampled(z, target):
        return method.attribute(z, n_samples=1)

    x, truth, bound = torch.tensor([[1.0, 1.0, 0.5]]), np.array([2.0, 2.0, 0.15]), ac.Clip(20.0)  # which is never met
    with pytest.raises(ac.ArgumentError, match="gives different maps of equal inputs"):
        ac.SmoothedAttribution(ac.wrap(sampled), ac.Gaussian(0.1), bound).certify(x, n_samples=200, seed=0)

    def wrong(attribution, trials, **settings):
        smoothed, count = ac.SmoothedAttribution(attribution, ac.Gaussian(0.1), bound), 0
        for seed in range(trials):
            certificate = smoothed.certify(x, n_samples=150, alpha=0.001, seed=seed, prove=["entries"], **settings)
            low, high = certificate.intervals(0.0)
            count += not ((low <= truth).all() and (truth <= high).all())
        return count

    assert wrong(ac.wrap(sampled, random=True), 6) == 0
    torch.manual_seed(0)
    assert wrong(ac.wrap(sampled), 30, preflight=False) > 0
