"""Coverage of every confidence bound over 2,000 seeded trials; what is naive must fail the same test."""

import math

import numpy as np
import pytest
import torch
from functions import rotor, rotor_norm
from scipy import stats

import attricert as ac
from attricert.confidence import Betting, EmpiricalBernstein, Hoeffding, Problem, mean_distance, norm_interval

TRIALS = 1_000
ALPHA = 0.05
# Failures that a bound with exactly alpha exceeds in one of a thousand such tests.
MOST = int(stats.binom(TRIALS, ALPHA).ppf(0.999))


def laws(rng, n):
    """Draws in [-1, 1] with their means: bounded heavy-tailed, rare events, near certainty, two-sided, smooth."""
    yield "rare", 1 - 2 * (rng.random(n) < 0.01), 0.98
    yield "heavy", np.where(rng.random(n) < 0.03, -1.0, 0.5 * rng.random(n)), -0.03 + 0.97 * 0.25
    yield "near", 1 - 1e-3 * rng.random(n), 1 - 5e-4
    yield "sides", np.where(rng.random(n) < 0.6, 1.0, -1.0), 0.2
    yield "smooth", 2 * rng.beta(2, 3, n) - 1, -0.2


def failures(bound, n=150, pilot=20):
    """How often each law's mean lies below its bound."""
    counts = {}
    for trial in range(TRIALS):
        rng = np.random.default_rng([trial, 7])
        for name, x, mean in laws(rng, n + pilot):
            first, main = x[:pilot], x[pilot:]
            problem = Problem(-1.0, 1.0, ALPHA, n, float(first.mean()), float(first.var(ddof=1)), pilot)
            counts[name] = counts.get(name, 0) + (bound(problem, main.astype(float)) > mean)
    return counts


@pytest.mark.parametrize("kind", [Betting, Hoeffding, EmpiricalBernstein])
def test_lower_bounds_cover(kind):
    counts = failures(lambda problem, x: kind.start(problem).update(x).lower())
    assert max(counts.values()) <= MOST, counts


def test_the_plain_mean_and_the_normal_interval_do_not():
    plain = failures(lambda problem, x: x.mean())
    assert min(plain.values()) > MOST
    z = stats.norm.ppf(1 - ALPHA)
    normal = failures(lambda problem, x: x.mean() - z * x.std(ddof=1) / math.sqrt(len(x)))
    assert max(normal.values()) > MOST, normal


def test_betting_covers_at_all_times_at_once_and_hoeffding_does_not():
    n = 400
    betting = hoeffding = 0
    times = np.arange(1, n + 1)
    for trial in range(TRIALS):
        x = np.where(np.random.default_rng([trial, 11]).random(n) < 0.5, 1.0, -1.0)
        problem = Problem(-1.0, 1.0, ALPHA, n // 4, 0.0, 1.0, 20)
        betting += Betting.start(problem).update(x).lower() > 0
        means = np.cumsum(x) / times
        hoeffding += bool((means - 2 * np.sqrt(math.log(1 / ALPHA) / (2 * times)) > 0).any())
    assert betting <= MOST
    assert hoeffding > MOST


@pytest.mark.parametrize("spread", [0.0, 0.5, 0.95])
def test_distance_of_a_mean_covers_and_its_expectation_does_not(spread):
    """Unit vectors around h: one part along it, the rest in a random direction of 30 dimensions."""
    n, d = 40, 30
    c = math.sqrt(1 - spread)
    bound, expected = mean_distance(n, ALPHA, 1.0, c), math.sqrt(spread / n)
    far = further = 0
    for trial in range(TRIALS):
        z = np.random.default_rng([trial, 13]).standard_normal((n, d))
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        distance = math.sqrt(spread) * np.linalg.norm(z.mean(axis=0))
        far += distance > bound
        further += distance > expected
    assert far <= MOST
    assert further > MOST or spread == 0.0


def test_asymptotic_interval_covers_gaussian_means_at_both_ends_and_the_plain_norm_does_not():
    d, n, trials = 20, 50, TRIALS // 2
    rng = np.random.default_rng(0)
    h, sd = rng.normal(0, 0.1, d), rng.uniform(0.2, 1.0, d)
    norm = float(np.linalg.norm(h))
    below = above = plain = 0
    for trial in range(trials):
        draws = h + sd * np.random.default_rng([trial, 17]).standard_normal((n, d))
        mean, variance = draws.mean(axis=0), draws.var(axis=0, ddof=1)
        lower, upper = norm_interval(mean, variance, n, ALPHA)
        below += lower > norm
        above += upper < norm
        plain += float(np.linalg.norm(mean)) > norm
    # Asymptotic: estimated variances and a nuisance direction cost a little; it says so of itself.
    assert below <= 1.5 * ALPHA * trials
    assert above <= 1.5 * ALPHA * trials
    assert plain > MOST


@pytest.mark.parametrize("noise", [ac.UniformBall(1.0), ac.Gaussian(0.5)], ids=repr)
@pytest.mark.parametrize("antithetic", [False, True])
def test_certified_norms_cover_from_end_to_end(noise, antithetic):
    """Pilot, direction, draws and bound together; the norm of the estimated map is the control."""
    k = [1.5, 1.0, 0.0, -0.5]
    true = rotor_norm(k, noise)
    sm = ac.SmoothedAttribution(rotor(k), noise, antithetic=antithetic, batch_size=512)
    x = torch.linspace(-3, 3, TRIALS, dtype=torch.float64)[:, None].expand(-1, 4)
    certificate = sm.certify(x, n_samples=200, alpha=ALPHA, seed=5, prove=[])  # all of alpha is the norm's
    assert (certificate.norm > true).sum() <= MOST
    assert certificate.norm.mean() > true - 0.35
    assert (np.linalg.norm(certificate.maps, axis=1) > true).sum() > MOST


def test_observed_certificates_cover_and_population_ones_do_not_speak_of_averages():
    """In 60 dimensions two averages of few draws differ by more than their expectations do."""
    d, n = 60, 400

    def g(x, t):
        out = torch.sin(40 * x)
        out[:, 0] = 5.0
        return out

    noise, trials = ac.UniformBall(1.5), TRIALS
    sm = ac.SmoothedAttribution(g, noise, batch_size=512)
    x = torch.zeros(1, d, dtype=torch.float64)
    eps = 0.01
    moved = x.clone()
    moved[0, 1] = eps
    terms = {"n_samples": 20_000, "alpha": ALPHA, "seed": 0}
    observed = sm.certify(x, guarantee=ac.Observed(n), **terms).cosine(eps)[0]
    population = sm.certify(x, **terms).cosine(eps)[0]
    ids = [str(i) for i in range(trials)]
    here = sm.attribute(x.expand(trials, -1), n_samples=n, seed=1, sample_ids=ids)
    there = sm.attribute(moved.expand(trials, -1), n_samples=n, seed=2, sample_ids=ids)
    cosines = torch.nn.functional.cosine_similarity(here, there).numpy()
    assert observed > 0
    assert (cosines < observed).sum() <= MOST
    assert (cosines < population).sum() > MOST
