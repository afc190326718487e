"""Laws of likelihood ratios, against quadrature, 50 digits, and the lost mass."""

import math

import mpmath
import numpy as np
import pytest
from scipy import integrate, stats

import attricert as ac
from attricert.noise import BallRatio, GaussianRatio

E = [0.0, 1e-3, 0.3, 1.0, 2.5]
Z = [-6.0, -1.0, 0.0, 0.7, 3.0]


@pytest.mark.parametrize("e", E)
@pytest.mark.parametrize("z", Z)
def test_gaussian_moments_by_quadrature(e, z):
    moments = GaussianRatio(np.array(e)).below(np.array(z))
    for k, value in enumerate(moments):
        expected, _ = integrate.quad(
            lambda t, k=k: math.exp(k * (e * t - e**2 / 2)) * stats.norm.pdf(t), -np.inf, z, epsabs=0, epsrel=1e-10
        )
        assert value == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("e", [1e-6, 0.5, 4.0, 20.0, 64.0])
@pytest.mark.parametrize("z", [-30.0, -3.0, 0.0, 5.0, 60.0, 128.0])
def test_gaussian_moments_to_the_last_digits(e, z):
    """Also where exp(e^2) is beyond all floats and Phi(z - 2e) below them."""
    with mpmath.workdps(50):
        expected = [mpmath.exp(mpmath.mpf(e) ** 2 * (k * (k - 1) // 2)) * mpmath.ncdf(z - k * e) for k in range(3)]
        for value, exact in zip(GaussianRatio(np.array(e)).below(np.array(z)), expected, strict=True):
            if exact > 1e308:
                assert value == np.inf
            else:
                assert value == pytest.approx(float(exact), rel=1e-11, abs=1e-300)


def test_gaussian_ends():
    ratio = GaussianRatio(np.array([0.0, 0.5, 64.0]))
    np.testing.assert_array_equal(ratio.below(np.array(-np.inf)), np.zeros((3, 3)))
    zeroth, first, second = ratio.below(np.array(np.inf))
    assert zeroth.tolist() == first.tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(second, [1.0, math.exp(0.25), np.inf])
    assert ratio.lost.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("e", [1e-6, 0.5, 4.0, 64.0])
@pytest.mark.parametrize("t", [1e-12, 0.3, 1.0, 7.0, 1e9])
def test_gaussian_crossing(e, t):
    z = float(GaussianRatio(np.array(e)).crossing(np.array(t)))
    assert e * z - e**2 / 2 == pytest.approx(math.log(t), rel=1e-12, abs=1e-12)


def test_crossings_that_are_not_there():
    assert GaussianRatio(np.array([0.0, 1.0])).crossing(np.array(0.0)).tolist() == [-np.inf, -np.inf]
    assert GaussianRatio(np.array(0.0)).crossing(np.array([0.5, 1.0, 1.5])).tolist() == [-np.inf, -np.inf, np.inf]
    ball = BallRatio(np.array(0.3))
    assert ball.crossing(np.array([-1.0, 0.0, 1.5])).tolist() == [-np.inf, -np.inf, np.inf]
    assert stats.norm.cdf(ball.crossing(np.array([1e-9, 0.5, 1.0]))) == pytest.approx([0.3] * 3, rel=1e-14)
    assert BallRatio(np.array([0.0, 1.0])).crossing(np.array(0.5)).tolist() == [-np.inf, np.inf]


def test_ball_moments():
    z = stats.norm.ppf([0.1, 0.3, 0.5, 1.0])
    zeroth, first, second = BallRatio(np.array(0.3)).below(z)
    np.testing.assert_allclose(zeroth, [0.1, 0.3, 0.5, 1.0])
    np.testing.assert_allclose(first, [0.0, 0.0, 0.2, 0.7], atol=1e-15)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("noise", [ac.Gaussian(0.4), ac.UniformBall(2.0)], ids=repr)
def test_total_variation_follows_from_the_law(noise):
    """E (1 - w)_+ is the lost mass; w has mean 1 less what it lost."""
    eps, d = np.array([0.01, 0.2, 1.0]), 5
    ratio = noise.likelihood_ratio(eps, d)
    zeroth, first, _ = ratio.below(ratio.crossing(np.array(1.0)))
    np.testing.assert_allclose(zeroth - first, noise.lost_mass(eps, d), rtol=1e-10)
    zeroth, first, _ = ratio.below(np.array(np.inf))
    np.testing.assert_allclose(first, 1 - ratio.lost, rtol=1e-15)


def test_shapes_broadcast():
    for ratio in (GaussianRatio(np.ones((3, 1))), BallRatio(np.full((3, 1), 0.2))):
        assert ratio.crossing(np.ones(4)).shape == (3, 4)
        assert [moment.shape for moment in ratio.below(np.zeros(4))] == [(3, 4)] * 3
        assert [moment.shape for moment in ratio.below(np.zeros((2, 1, 1)))] == [(2, 3, 1)] * 3


def test_what_noises_say_of_themselves():
    gaussian, ball, d = ac.Gaussian(0.25), ac.UniformBall(3.5), 784
    assert (gaussian.dominated, ball.dominated) == (True, False)
    assert gaussian.matching(ball, d).sigma == pytest.approx(3.5 / math.sqrt(d + 2), rel=1e-15)
    assert ball.matching(gaussian, d).radius == pytest.approx(0.25 * math.sqrt(d + 2), rel=1e-15)
    assert ac.UniformBall(1.0).deviation(1) == pytest.approx(1 / math.sqrt(3))  # uniform on [-1, 1]
