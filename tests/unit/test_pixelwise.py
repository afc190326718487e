"""Pixel-level certificates of Anani et al.: against plain loops, closed forms, and attacks that know the worst case."""

import dataclasses
from statistics import NormalDist

import numpy as np
import pytest
import torch
from scipy import stats

import attricert as ac
from attricert.errors import ArgumentError, AttributionWarning
from attricert.lab.baselines import PixelCertificate, PixelCertification
from attricert.lab.baselines.pixelwise import ABSTAIN, classes_of_pixels

PHI = NormalDist()


def halves(edge):
    """Two pixels, of which the first is the larger on one side of a plane: Neyman and Pearson's worst function."""

    def attribution(x, target):
        first = (x[:, :1] <= edge).double()
        return torch.cat([first, 1 - first], dim=1)

    return attribution


def test_defaults_and_radius():
    one = PixelCertification(halves(0.0))
    assert (one.sigma, one.tau, one.n_samples, one.n_pilot, one.alpha) == (0.15, 0.75, 100, 10, 0.001)
    assert one.radius == pytest.approx(0.15 * PHI.inv_cdf(0.75), rel=1e-9)
    assert one.radius < 0.15 * PHI.inv_cdf(0.75)
    other = one.within(0.2)
    assert other.tau == pytest.approx(PHI.cdf(0.2 / 0.15), rel=1e-8)
    assert 0.2 <= other.radius < 0.2 * (1 + 1e-8)


def test_answers_against_plain_loops():
    rng = np.random.default_rng(0)
    n0, n, tau, alpha, pixels = 10, 190, 0.75, 0.05, 40
    p = rng.uniform(size=pixels)
    first, ones = rng.binomial(n0, p), rng.binomial(n, p)
    found = classes_of_pixels(first, n0, ones, n, tau, alpha)
    for i in range(pixels):
        chosen = 1 if first[i] > n0 / 2 else 0
        count = int(ones[i] if chosen else n - ones[i])
        test = stats.binomtest(count, n, tau, alternative="greater").pvalue
        assert found[i] == (chosen if test <= alpha / pixels else ABSTAIN)
    assert {ABSTAIN, 0, 1} == set(found.tolist())


def test_an_answer_holds_up_to_the_radius_and_no_farther():
    """At p = tau the class of the worst function turns right there."""
    sigma, tau = 0.5, 0.8
    one = PixelCertification(halves(sigma * PHI.inv_cdf(tau + 0.02)), sigma=sigma, top=0.5, tau=tau, n_samples=20_000)
    found = one.certify(torch.zeros(1, 2, dtype=torch.float64), seed=1)
    assert found.classes.tolist() == [[1, 0]]
    assert found.certified.tolist() == [1.0]
    assert found.calls.tolist() == [20_000]

    def kept(push):
        return PHI.cdf((sigma * PHI.inv_cdf(tau) - push) / sigma)

    assert kept(found.radius) >= 0.5
    assert kept(found.radius * 1.001) < 0.5


def test_below_the_limit_it_is_wrong_with_probability_alpha_at_the_most():
    """p just at tau, so that every answer is wrong; without the correction for many pixels far too many are."""
    rng = np.random.default_rng(1)
    n0, n, tau, alpha, pixels, trials = 10, 200, 0.75, 0.1, 30, 600
    wrong = naive = 0
    for _ in range(trials):
        first, ones = rng.binomial(n0, tau, pixels), rng.binomial(n, tau, pixels)
        wrong += (classes_of_pixels(first, n0, ones, n, tau, alpha) == 1).any()
        naive += (stats.binom.sf(ones - 1, n, tau) <= alpha).any()
    assert stats.binomtest(int(wrong), trials, alpha, alternative="greater").pvalue > 1e-3
    assert stats.binomtest(int(naive), trials, alpha, alternative="greater").pvalue < 1e-9


def test_maps_of_any_shape_and_draws_that_depend_on_the_seed_alone(model, digits):
    x = digits.images[:2]
    y = model(x).argmax(dim=1)
    one = PixelCertification(ac.Saliency(model), sigma=0.125, n_samples=60, n_pilot=10, alpha=0.5, batch_size=7)
    found = one.certify(x, y, seed=3)
    assert found.classes.shape == tuple(x.shape)
    other = dataclasses.replace(one, batch_size=None).certify(x, y, seed=3)
    assert (found.classes != other.classes).mean() < 0.005  # up to ties within rounding
    assert found.certified.min() > 0
    pooled = ac.wrap(lambda a, t: torch.nn.functional.avg_pool2d(ac.Saliency(model)(a, t), 7))
    assert PixelCertification(pooled, n_samples=20).certify(x, y, seed=0).classes.shape == (2, 1, 4, 4)


def test_localization_is_the_share_of_certain_ones_inside():
    rng = np.random.default_rng(2)
    classes = rng.integers(-1, 2, size=(3, 1, 4, 6))
    classes[2] = ABSTAIN  # nothing is certain
    inside = np.zeros((1, 4, 6), dtype=bool)
    inside[:, :2, :3] = True
    found = PixelCertificate(classes, 0.1, np.full(3, 10)).localization(inside)
    for one, share in zip(classes, found, strict=True):
        ones = [place for place in np.ndindex(1, 4, 6) if one[place] == 1]
        assert share == (sum(bool(inside[place]) for place in ones) / len(ones) if ones else 0.0)
    for wrong in (inside[0], inside.astype(int)):
        with pytest.raises(ArgumentError, match="^inside="):
            PixelCertificate(classes, 0.1, np.full(3, 10)).localization(wrong)


def test_maps_that_are_not_finite_count_as_zero_and_are_told():
    def attribution(x, target):
        return torch.full_like(x, float("nan"))

    with pytest.warns(AttributionWarning, match="100 of 100"):
        found = PixelCertification(attribution).certify(torch.zeros(1, 40), seed=0)
    assert set(np.unique(found.classes)) <= {0, ABSTAIN}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"tau": 0.5}, "tau"),
        ({"tau": 1.0}, "tau"),
        ({"top": 0.0}, "top"),
        ({"sigma": 0.0}, "sigma"),
        ({"n_samples": 10}, "n_samples"),
        ({"n_pilot": 0}, "n_pilot"),
        ({"alpha": 1.0}, "alpha"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_bad_settings_are_refused(settings, name):
    with pytest.raises(ArgumentError, match=name):
        PixelCertification(halves(0.0), **settings)
    with pytest.raises(ArgumentError, match="radius"):
        PixelCertification(halves(0.0)).within(100.0)
