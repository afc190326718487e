import math

import numpy as np
import pytest
from conftest import GOLDEN
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import attricert as ac
from attricert.confidence import (
    Betting,
    EmpiricalBernstein,
    Hoeffding,
    Problem,
    mean_distance,
    norm_interval,
    quadratic_form_cdf,
)

BOUNDS = [Betting, Hoeffding, EmpiricalBernstein]


def problem(alpha=0.01, low=-1.0, high=1.0, horizon=500, mean=0.4, variance=0.1, pilot=50):
    return Problem(low, high, alpha, horizon, mean, variance, pilot)


def draws(n=500, seed=0):
    return np.clip(np.random.default_rng(seed).normal(0.4, 0.3, n), -1, 1)


def test_hoeffding_by_hand():
    x = draws()
    expected = x.mean() - 2 * math.sqrt(math.log(100) / (2 * 500))
    assert Hoeffding.start(problem()).update(x).lower() == pytest.approx(expected, rel=1e-14)


def test_empirical_bernstein_by_hand():
    x, log = draws(), math.log(200)
    expected = x.mean() - math.sqrt(2 * x.var(ddof=1) * log / 500) - 7 * 2 * log / (3 * 499)
    assert EmpiricalBernstein.start(problem()).update(x).lower() == pytest.approx(expected, rel=1e-14)


def test_betting_by_hand():
    """One candidate at a time, one draw at a time, in plain floats."""
    x, state = draws(), Betting.start(problem())
    best = -1.0
    for m, bet in zip(state.grid.tolist(), state.bets.tolist(), strict=True):
        wealth, peak = 1.0, 1.0
        for value in x.tolist():
            wealth *= 1 + bet * (value - m)
            assert wealth > 0
            peak = max(peak, wealth)
        if peak >= 100:
            best = max(best, m)
    assert state.update(x).lower() == best
    assert 0.33 < best < x.mean()


def test_betting_is_tighter_than_the_others():
    betting, hoeffding, bernstein = (bound.start(problem()).update(draws()).lower() for bound in BOUNDS)
    assert betting > bernstein > hoeffding


def test_wealth_falls_as_the_candidate_grows():
    """What makes the rejected candidates an initial stretch of the grid, at any time."""
    for bad in (problem(mean=-0.9), problem(variance=0.0, pilot=2), problem(low=0.0)):
        state = Betting.start(bad)
        for value in np.maximum(draws(50, seed=3), bad.low):
            state = state.update(np.array([value]))
            assert (np.diff(state.log_wealth) <= 1e-12).all()


@pytest.mark.parametrize("bound", BOUNDS)
def test_in_pieces_as_in_one_go(bound):
    x = draws()
    pieces = bound.start(problem())
    for part in np.array_split(x, [1, 17, 300]):
        pieces = pieces.update(part)
    assert pieces.lower() == pytest.approx(bound.start(problem()).update(x).lower(), abs=1e-12)


def test_merged_betting_states_are_one_state():
    start, x = Betting.start(problem()), draws()
    merged = start.update(x[:200]).merge(start.update(x[200:]))
    whole = start.update(x)
    np.testing.assert_allclose(merged.log_wealth, whole.log_wealth, atol=1e-10)
    np.testing.assert_allclose(merged.log_peak, whole.log_peak, atol=1e-10)


def test_no_draws_say_nothing():
    assert [bound.start(problem()).lower() for bound in BOUNDS] == [-1.0, -1.0, -1.0]
    assert EmpiricalBernstein.start(problem()).update(np.array([0.3])).lower() == -1.0


def test_mirrored_problem_bounds_from_above():
    x, p = draws(), problem()
    upper = -Betting.start(p.mirrored()).update(-x).lower()
    assert x.mean() < upper < x.mean() + 0.1


@pytest.mark.parametrize("bound", BOUNDS)
@given(st.integers(2, 200), st.floats(1e-6, 0.1), st.integers(0, 1000))
def test_less_confidence_never_lowers_the_bound_much(bound, n, alpha, seed):
    x = draws(n, seed)
    strict, loose = (bound.start(problem(alpha=a, horizon=n)).update(x).lower() for a in (alpha / 10, alpha))
    assert loose >= strict - (0.15 if bound is Betting else 0)  # betting: other grids and bets


@given(st.integers(1, 10**6), st.floats(1e-9, 0.5), st.floats(0, 1))
def test_distance_falls_with_draws_and_norm(n, alpha, norm):
    assert mean_distance(n + 1, alpha, 1.0, norm) <= mean_distance(n, alpha, 1.0, norm)
    assert mean_distance(n, alpha, 1.0, norm) <= mean_distance(n, alpha, 1.0)
    assert mean_distance(n, alpha, 1.0) == pytest.approx(n**-0.5 + math.sqrt(2 * math.log(1 / alpha) / n))
    assert mean_distance(n, alpha, 3.0, 3 * norm) == pytest.approx(3 * mean_distance(n, alpha, 1.0, norm))


@pytest.mark.parametrize("row", GOLDEN["quadratic_form_cdf"], ids=lambda r: f"d{len(r['weights'])}")
def test_quadratic_form_cdf(row):
    assert quadratic_form_cdf(row["x"], row["weights"], row["noncentrality"]) == pytest.approx(row["cdf"], abs=1e-8)


@pytest.mark.parametrize("d", [3, 4, 10, 784, 20_000])
@pytest.mark.parametrize("quantile", [1e-6, 0.01, 0.5, 0.999])
def test_equal_weights_are_noncentral_chi_square(d, quantile):
    law = stats.ncx2(d, 0.3 * d)
    x = law.ppf(quantile)
    assert quadratic_form_cdf(0.7 * x, np.full(d, 0.7), np.full(d, 0.3)) == pytest.approx(law.cdf(x), abs=1e-8)


def test_cdf_far_out():
    weights, zero = np.ones(5), np.zeros(5)
    assert quadratic_form_cdf(1e6, weights, zero) == 1.0
    assert quadratic_form_cdf(0.0, weights, zero) == 0.0


def test_cdf_with_weights_of_many_sizes_is_what_simulation_says():
    rng = np.random.default_rng(0)
    weights, shift = 10.0 ** rng.uniform(-9, 0, 60), rng.exponential(2, 60)
    sample = (weights * (rng.standard_normal((200_000, 60)) + np.sqrt(shift)) ** 2).sum(axis=1)
    for level in (0.1, 0.5, 0.9):
        x = float(np.quantile(sample, level))
        assert quadratic_form_cdf(x, weights, shift) == pytest.approx(level, abs=0.005)


def test_too_few_features_for_the_inversion_are_refused():
    with pytest.raises(ac.ArgumentError, match="at least three features"):
        quadratic_form_cdf(1.0, [1.0], [0.0])


def test_norm_interval_in_a_case_with_a_closed_form():
    """Equal variances: ||mean||^2 n / v is noncentral chi-square; both ends solve its cdf."""
    d, n, v = 40, 100, 2.0
    mean = np.random.default_rng(0).normal(0.3, 0.15, d)
    lower, upper = norm_interval(mean, np.full(d, v), n, 0.01)
    x = float((mean**2).sum()) * n / v
    assert stats.ncx2(d, lower**2 * n / v).sf(x) == pytest.approx(0.01, abs=1e-6)
    assert stats.ncx2(d, upper**2 * n / v).cdf(x) == pytest.approx(0.01, abs=1e-6)


@pytest.mark.parametrize("unit", [1e-9, 1e6])
def test_norm_interval_does_not_depend_on_units(unit):
    rng = np.random.default_rng(1)
    mean, variance = rng.normal(0.1, 0.2, 30), rng.exponential(1, 30)
    reference = norm_interval(mean, variance, 200, 1e-3)
    scaled = norm_interval(unit * mean, unit**2 * variance, 200, 1e-3)
    np.testing.assert_allclose(scaled, np.multiply(unit, reference), rtol=1e-9)


def test_norm_interval_refuses_what_it_cannot_resolve():
    with pytest.raises(ac.ArgumentError, match="alpha=1e-08: must be >= 1e-07"):
        norm_interval(np.ones(5), np.ones(5), 10, 1e-8)


def test_norm_interval_at_imagenet_size():
    d, n = 150_528, 2_000
    rng = np.random.default_rng(0)
    h, v = rng.standard_normal(d) * 0.6 / math.sqrt(d), rng.exponential(1, d) * 0.6 / d
    mean = h + rng.standard_normal(d) * np.sqrt(v / n)
    lower, upper = norm_interval(mean, v, n, 1e-3)
    # The plain norm of the mean counts noise as signal and lies beyond the interval's middle.
    assert lower < np.linalg.norm(h) < upper < lower + 0.01
    assert np.linalg.norm(mean) > 0.5 * (lower + upper)


def test_norm_interval_of_what_does_not_vary():
    assert norm_interval([3.0, 4.0], [0.0, 0.0], 10, 0.01) == (5.0, 5.0)
    assert norm_interval([0.0, 0.0], [1.0, 1.0], 10, 0.01) == (0.0, 0.0)


def test_norm_interval_of_pure_noise_reaches_zero():
    mean = np.random.default_rng(0).standard_normal(50) / 10
    lower, upper = norm_interval(mean, np.ones(50), 100, 0.01)
    assert lower == 0.0
    assert upper > 0.3
