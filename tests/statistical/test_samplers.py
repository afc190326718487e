"""Samplers against their exact laws, and against slightly wrong ones that the same tests must reject."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import attricert as ac
from attricert.streams import Stream

N = 40_000
LEVEL = 1e-3


def sample(noise, d, n=N):
    rng = Stream(12345, "statistical", "test").rows(0, n, torch.float64, torch.device("cpu"))
    return noise.sample(rng, d).numpy()


def ball_p_values(x, radius):
    """||a||^d / r^d is uniform; the first coordinate of the direction has a Beta law; signs are fair."""
    d = x.shape[1]
    length = np.linalg.norm(x, axis=1)
    yield stats.kstest((length / radius) ** d, "uniform").pvalue
    if d > 1:
        square = (x[:, 0] / length) ** 2
        yield stats.kstest(square, stats.beta(0.5, (d - 1) / 2).cdf).pvalue
        yield stats.pearsonr(length, x[:, 0]).pvalue
    yield stats.binomtest(int((x[:, -1] > 0).sum()), len(x)).pvalue


@pytest.mark.parametrize("d", [1, 2, 10, 784])
def test_the_ball(d):
    assert min(ball_p_values(sample(ac.UniformBall(1.7), d), 1.7)) > LEVEL


@pytest.mark.parametrize(("d", "factor"), [(1, 1.03), (2, 1.015), (10, 1.003), (784, 1.00005)])
def test_a_slightly_wrong_radius_is_rejected(d, factor):
    assert min(ball_p_values(sample(ac.UniformBall(1.7 * factor), d), 1.7)) < LEVEL


def test_all_draws_lie_in_the_ball():
    lengths = np.linalg.norm(sample(ac.UniformBall(2.0), 3), axis=1)
    assert lengths.max() <= 2.0
    assert lengths.max() > 1.999


def test_at_imagenet_size():
    """The whole law of the length lives within 1e-4 of the radius."""
    d = 150_528
    lengths = np.linalg.norm(sample(ac.UniformBall(1.0), d, 400), axis=1)
    assert stats.kstest(np.exp(d * np.log(lengths)), "uniform").pvalue > LEVEL
    assert stats.kstest(np.exp(d * np.log(lengths * (1 + 2e-6))), "uniform").pvalue < LEVEL


def gaussian_p_values(x, sigma):
    d = x.shape[1]
    yield stats.kstest(x[:, 0] / sigma, "norm").pvalue
    yield stats.kstest((x**2).sum(axis=1) / sigma**2, stats.chi2(d).cdf).pvalue
    if d > 1:
        yield stats.pearsonr(x[:, 0], x[:, 1]).pvalue


@pytest.mark.parametrize("d", [1, 2, 784])
def test_the_gaussian(d):
    assert min(gaussian_p_values(sample(ac.Gaussian(0.3), d), 0.3)) > LEVEL


@pytest.mark.parametrize(("d", "factor"), [(1, 1.03), (2, 1.02), (784, 1.0015)])
def test_a_slightly_wrong_sigma_is_rejected(d, factor):
    assert min(gaussian_p_values(sample(ac.Gaussian(0.3 * factor), d), 0.3)) < LEVEL


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normals_are_normal_to_the_tails_and_independent_of_each_other(dtype):
    """Box and Muller's pairs share a radius and an angle; neighbours, squares and far tails must not show it."""
    z = Stream(1, "statistical", "normals").rows(0, 4_000, dtype, torch.device("cpu")).normal(1_001).double().numpy()
    assert stats.kstest(z.ravel()[::7], "norm").pvalue > LEVEL
    for far in (2.0, 3.0, 4.0, 4.5):
        count = int((np.abs(z) > far).sum())
        assert stats.binomtest(count, z.size, 2 * stats.norm.sf(far)).pvalue > LEVEL
    pairs = z[:, :500].ravel(), z[:, 501:1001].ravel()  # cosine and sine of one angle
    for f in (lambda v: v, np.square, np.abs, np.sign):
        assert stats.pearsonr(f(pairs[0]), f(pairs[1])).pvalue > LEVEL
        assert stats.pearsonr(f(z[:-1, 3]), f(z[1:, 3])).pvalue > LEVEL


def test_float32_draws_follow_the_same_law():
    rng = Stream(0, "statistical", "float32").rows(0, N, torch.float32, torch.device("cpu"))
    x = ac.UniformBall(1.0).sample(rng, 10)
    assert x.dtype == torch.float32
    assert min(ball_p_values(x.double().numpy(), 1.0)) > LEVEL


def test_lost_mass_is_what_is_lost():
    """The share of a ball's draws outside the shifted ball, and outside a slightly less shifted one (control)."""
    noise, d, eps = ac.UniformBall(1.0), 20, 0.2
    x = sample(noise, d)
    p = float(noise.lost_mass(eps, d))

    def p_value(shift):
        outside = int((np.linalg.norm(x - shift * np.eye(d)[0], axis=1) > 1.0).sum())
        return stats.binomtest(outside, N, p).pvalue

    assert p_value(eps) > LEVEL
    assert p_value(0.95 * eps) < LEVEL


def test_same_energy():
    """A ball of radius r has the energy of a Gaussian with sigma = r / sqrt(d + 2)."""
    d = 50
    energy = (sample(ac.UniformBall(3.5), d) ** 2).sum(axis=1).mean()
    assert energy == pytest.approx(d * (3.5 / math.sqrt(d + 2)) ** 2, rel=2e-3)
