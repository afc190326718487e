"""How far a map can move: the library's programs against the bounds of version 0.1, which they must not exceed."""

import math
from unittest import mock

import numpy as np
import pytest
from conftest import GOLDEN
from evidences import evidence
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

import attricert as ac
from attricert.certificates.cosine import binding
from attricert.certificates.displacement import displacement, map_facts, programs, region_limits

SIZES = st.floats(0.02, 5.0)
SPREADS = st.floats(1e-4, 1.0)
REACHES = st.floats(1.0, 2.0)
UNIT = ac.Gaussian(1.0)


def case(row):
    return f"e{row['eps_over_sigma']}"


def moved(e, spread, reach, max_norm=1e3):
    """By top variance and largest deviation alone: total variation says nothing of so large a norm.

    Nor can there be such evidence, as maps of that norm deviate by more.
    """
    with mock.patch("attricert.certificates.evidence.check_possible"):
        found = evidence(UNIT, 0.5, top_variance=spread, max_deviation=reach, max_norm=max_norm)
    return float(displacement(found, np.array([[e]]))[0, 0])


def split(z, e, spread, reach):
    """The bound of theory 3c as it is printed there, at any z."""
    energy = math.exp(e**2) * special.ndtr(z - 2 * e) - 2 * special.ndtr(z - e) + special.ndtr(z)
    return np.sqrt(spread * np.maximum(energy, 0.0)) + reach * (special.ndtr(e - z) - special.ndtr(-z))


def smallest_split(e, spread, reach):
    """Over a dense grid, made denser three times around its best point."""
    low, high = e / 2, e / 2 + 12
    for _ in range(4):
        z = np.linspace(low, high, 4001)
        values = split(z, e, spread, reach)
        best = int(values.argmin())
        low, high = z[max(best - 1, 0)], z[min(best + 1, 4000)]
    return float(values[best])


def most_with_square(e, spread, reach):
    """The largest E q (w-1) over |q| <= reach with E q^2 <= spread: q = c (w-1), cut off at the reach."""
    z, step = np.linspace(-12, 12 + 2 * e, 60_001, retstep=True)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * step
    excess = np.expm1(e * z - e**2 / 2)
    low, high = 1e-9, 1e9
    while high > low * (1 + 1e-14):
        c = math.sqrt(low * high)
        q = np.clip(c * excess, -reach, reach)
        low, high = (c, high) if (q**2 * density).sum() <= spread else (low, c)
    return float((np.clip(low * excess, -reach, reach) * excess * density).sum())


@pytest.mark.parametrize("row", GOLDEN["hybrid"], ids=case)
def test_no_further_than_the_hybrid(row):
    """A limit on either side makes it smaller than the hybrid, which is cut off above only; the most is exact."""
    e, spread, reach = row["eps_over_sigma"], row["spread"], row["reach"]
    found = moved(e, spread, reach)
    assert found <= row["displacement"] * (1 + 1e-9) + 1e-11
    assert found >= most_with_square(e, spread, reach) * (1 - 1e-6)


@settings(max_examples=30)
@given(SIZES, SPREADS, REACHES)
def test_no_further_than_any_split(e, spread, reach):
    """Versions of the bound of theory 3c as it is printed there, at any z."""
    assert moved(e, spread, reach) <= smallest_split(e, spread, reach) * (1 + 1e-6) + 1e-9


@settings(max_examples=30)
@given(SIZES, SPREADS, REACHES, st.floats(1.001, 1.5))
def test_it_grows_with_everything(e, spread, reach, factor):
    base = moved(e, spread, reach)
    assert moved(e * factor, spread, reach) > base * (1 - 1e-9)
    assert moved(e, spread * factor, reach) > base * (1 - 1e-9)
    assert moved(e, spread, reach * factor) >= base * (1 - 1e-7)


@pytest.mark.parametrize("e", [0.1, 0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("spread", [0.004, 0.03, 0.1, 2.0])
def test_no_map_moves_further_and_one_moves_as_far(e, spread):
    """A scalar q along one direction of the noise: |q| <= B, E q^2 <= lambda, and E q (w-1) as large as can be."""
    exact, bound = most_with_square(e, spread, 1.5), moved(e, spread, 1.5)
    assert exact <= bound * (1 + 1e-9)
    assert bound == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("row", GOLDEN["tv_gaussian"], ids=lambda r: f"{r['sigma']}-{r['eps']}")
@pytest.mark.parametrize("nonnegative", [False, True])
def test_total_variation(row, nonnegative):
    found = evidence(ac.Gaussian(row["sigma"]), 0.5, max_norm=3.0, nonnegative=nonnegative)
    expected = (math.sqrt(2) if nonnegative else 2) * 3.0 * row["lost_mass"]
    value = displacement(found, np.array([[row["eps"]]]))[0, 0]
    assert value == pytest.approx(expected, rel=1e-10, abs=1e-11)
    assert value >= expected * (1 - 1e-15)


def test_total_variation_is_attained_by_a_half_space():
    """M times the sign of a_1 - eps/2: what the shift does to its mean is 2 M p."""
    e, bound = 0.8, 3.0
    mean, shifted = 1 - 2 * stats.norm.cdf(e / 2), 1 - 2 * stats.norm.cdf(-e / 2)
    found = displacement(evidence(UNIT, 0.5, max_norm=bound), np.array([[e]]))[0, 0]
    assert found == pytest.approx(bound * (shifted - mean), rel=1e-11)


@pytest.mark.parametrize("mass", [0.01, 0.2, 0.6])
def test_the_spread_serves_a_ball_too(mass):
    """E q (w-1) + p B: q is -t on the mass that is lost, which must be paid for by a second moment and a mean."""
    noise, spread, reach = ac.UniformBall(1.0), 0.02, 1.9
    eps = noise.shift_of(mass, 784)
    found = displacement(evidence(noise, 0.5, top_variance=spread, max_deviation=reach), eps.reshape(1, 1))[0, 0]
    assert found <= 2 * mass * (1 + 1e-9)
    assert found <= (math.sqrt(mass * spread) + mass * reach) * (1 + 1e-9)
    assert found >= mass * reach * (1 - 1e-9) or found == pytest.approx(2 * mass, rel=1e-9)


CONE = {
    "center": 0.88,
    "drift": 0.02,
    "stretch": 4.0,
    "variance": 0.013,
    "along": [0.72, 0.6],
    "across": [0.5, 0.6],
    "outside": [0.02, 0.002],
}


def test_the_smallest_program_counts_and_regions_help():
    eps = np.linspace(0.01, 3.0, 40)[None]
    bare = evidence(UNIT, 0.9, top_variance=0.014, max_deviation=1.88)
    with_cone = evidence(UNIT, 0.9, top_variance=0.014, max_deviation=1.88, cone=CONE)
    assert [len(list(map_facts(e))) for e in (evidence(UNIT, 0.9), bare, with_cone)] == [1, 2, 3]
    values = np.stack([point.value[:, 0] for point in programs(with_cone, eps)])
    np.testing.assert_array_equal(displacement(with_cone, eps)[0], values.min(axis=0))
    assert (displacement(with_cone, eps) <= displacement(bare, eps) * (1 + 1e-9)).all()
    rarely = evidence(UNIT, 0.9, top_variance=0.014, max_deviation=1.88, cone={**CONE, "outside": [0.02, 0.0002]})
    far = np.array([[2.0]])
    assert displacement(rarely, far) < 0.9 * displacement(bare, far)
    assert displacement(rarely, far) < displacement(with_cone, far)


def test_limits_of_regions_hold_for_random_maps():
    found = evidence(UNIT, 0.9, top_variance=0.014, cone=CONE)
    rng = np.random.default_rng(0)
    g = rng.standard_normal((20_000, 3)) * [0.3, 0.3, 0.3] + [0.8, 0, 0]
    g = g[np.linalg.norm(g, axis=1) <= 1]
    x, y = g[:, 0], np.linalg.norm(g[:, 1:], axis=1)
    size = np.linalg.norm(g - [CONE["center"], 0, 0], axis=1)
    for limit, a, r in zip(region_limits(found)[0], CONE["along"], CONE["across"], strict=True):
        inside = (x >= a) & (y <= r)
        assert inside.sum() > 1000
        assert (size[inside] <= limit).all()


def test_no_shift_no_move():
    assert displacement(evidence(UNIT, 0.5, top_variance=0.1), np.array([[0.0, 1.0]]))[0, 0] == 0.0


def test_far_away_all_is_possible():
    assert displacement(evidence(UNIT, 0.5, top_variance=0.1), np.array([[64.0]]))[0, 0] == pytest.approx(2.0, rel=1e-6)


def test_what_limits_a_certificate_is_named():
    eps = np.array([[0.05, 0.5, 1.0, 2.0, 3.0]])
    for found in (evidence(UNIT, 0.9), evidence(UNIT, 0.9, top_variance=0.014, cone=CONE)):
        words = binding(found, eps)
        assert words.shape == (1, 5)
        assert all(": " in word for word in words[0])
    assert set(binding(evidence(UNIT, 0.9), eps)[0]) == {binding(evidence(UNIT, 0.9), eps)[0, 0]}


@settings(max_examples=30)
@given(st.floats(0.0, 1.0), st.sampled_from([2, 784]))
def test_mass_and_shift_of_a_ball_turn_into_each_other(mass, d):
    ball = ac.UniformBall(2.0)
    assert ball.lost_mass(ball.shift_of(mass, d), d) == pytest.approx(mass, rel=1e-9, abs=1e-12)
