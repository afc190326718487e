import math
from itertools import pairwise

import numpy as np
import pytest
from conftest import GOLDEN
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

import attricert as ac
from attricert.certificates import Facts, Geometry, Statement, displacement
from attricert.certificates.movement import displacements
from attricert.confidence import maurer_upper

SIZES = st.floats(0.02, 6.0)
SPREADS = st.floats(1e-5, 1.0)
REACHES = st.floats(1.0, 2.0)
UNIT = ac.Gaussian(1.0)


def at(*values):
    return np.array(values, dtype=np.float64)


def case(row):
    return f"e{row['eps_over_sigma']}"


def hybrid(e, spread, reach):
    """Cut off beyond the split."""
    return float(displacement.hybrid(at(e), at(spread), at(reach), clip=False)[0])


def clipped(e, spread, reach):
    return float(displacement.hybrid(at(e), at(spread), at(reach))[0])


def variance(e, spread):
    return float(displacement.variance(UNIT.chi(at(e)), at(spread))[0])


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


def energy(e, z):
    """E (w-1)^2 1{w <= w(z)} by quadrature, without cancellation."""

    def density(u):
        return math.expm1(e * u - e**2 / 2) ** 2 * math.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)

    parts = [-math.inf, -2.0, e / 2, z]
    return sum(integrate.quad(density, a, b, epsabs=0, epsrel=1e-12)[0] for a, b in pairwise(parts))


def weight(e, k):
    """W_k by adaptive quadrature on pieces that end at the kink, at the peak and where nothing is left."""
    q = 2 * k / (2 * k - 1)

    def density(z):
        x = e * z - e**2 / 2
        if x == 0:
            return 0.0
        log = q * (max(x, 0.0) + math.log(-math.expm1(-abs(x)))) - z**2 / 2
        return math.exp(log) / math.sqrt(2 * math.pi)

    ends = sorted({-38.0, -8.0, -3.0, 0.0, e / 2, e / 2 + 0.5, q * e, q * e + 3, q * e + 8, q * e + 38})
    pieces = [integrate.quad(density, a, b, epsabs=0, epsrel=1e-12, limit=200)[0] for a, b in pairwise(ends)]
    return math.fsum(pieces) ** (1 / q)


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
def test_variance(row):
    found = variance(row["eps_over_sigma"], row["spread"])
    assert found == pytest.approx(row["variance_only"], rel=1e-14)


@pytest.mark.parametrize("row", GOLDEN["hybrid"], ids=case)
def test_hybrid(row):
    """Never below the exact value, and above it by rounding only."""
    found = hybrid(row["eps_over_sigma"], row["spread"], row["reach"])
    assert row["displacement"] * (1 - 1e-15) <= found <= row["displacement"] * (1 + 1e-12)


@pytest.mark.parametrize("row", [r for r in GOLDEN["hybrid"] if r["eps_over_sigma"] >= 1], ids=case)
def test_the_variance_alone_is_no_stand_in_for_the_hybrid(row):
    found = variance(row["eps_over_sigma"], row["spread"])
    assert found > row["displacement"] * 1.0002


@pytest.mark.parametrize("row", GOLDEN["spread_upper"], ids=lambda r: f"n{r['n']}")
def test_maurer(row):
    found = float(maurer_upper(row["spread_hat"], row["n"], row["alpha"], row["reach"]))
    assert row["upper"] <= found <= row["upper"] * (1 + 2e-11)


def test_maurer_takes_arrays():
    rows = GOLDEN["spread_upper"]
    found = maurer_upper([r["spread_hat"] for r in rows], 20_000, 5e-4, [r["reach"] for r in rows])
    one_by_one = [float(maurer_upper(r["spread_hat"], 20_000, 5e-4, r["reach"])) for r in rows]
    np.testing.assert_array_equal(found, one_by_one)
    assert found[0] == pytest.approx(rows[0]["upper"], rel=1e-10)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_moment_weight(k):
    rows = [r for r in GOLDEN["moment_weight"] if r["k"] == k]
    found = displacement.moment_weight(at(*(r["eps_over_sigma"] for r in rows)), k)
    np.testing.assert_allclose(found, [r["weight"] for r in rows], rtol=1e-12)


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_moment_weight_by_adaptive_quadrature(k):
    sizes = [1e-4, 0.01, 0.3, 1.0, 1.7, 2.5, 4.0, 6.0, 8.0]
    found = displacement.moment_weight(at(*sizes), k)
    np.testing.assert_allclose(found, [weight(e, k) for e in sizes], rtol=1e-10)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_moment_weight_of_a_small_shift_is_a_moment_of_the_normal(k):
    q = 2 * k / (2 * k - 1)
    slope = (2 ** (q / 2) * math.gamma((q + 1) / 2) / math.sqrt(math.pi)) ** (1 / q)
    found = displacement.moment_weight(at(0.0, 1e-9, 1e-7), k)
    assert found[0] == 0.0
    np.testing.assert_allclose(found[1:], [1e-9 * slope, 1e-7 * slope], rtol=1e-10)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_moment_weight_keeps_shapes_and_says_nothing_of_large_shifts(k):
    grid = np.array([[0.5, 8.0, 8.001], [20.0, 2.0, 1e6]])
    found = displacement.moment_weight(grid, k)
    assert found.shape == grid.shape
    np.testing.assert_array_equal(np.isinf(found), grid > 8)
    np.testing.assert_array_equal(found[0, 0], displacement.moment_weight(at(0.5), k)[0])


def test_moment_weights_lie_between_total_variation_and_chi():
    """Norms in L^q grow with q, which falls from 2 to 1; and they grow with the shift."""
    e = np.geomspace(1e-3, 8.0, 500)
    weights = [UNIT.chi(e), *(displacement.moment_weight(e, k) for k in range(2, 6)), 2 * UNIT.lost_mass(e, 1)]
    for larger, smaller in pairwise(weights):
        assert (larger > smaller).all()
        assert (np.diff(larger) > 0).all()
    np.testing.assert_allclose(displacement.moment_weight(e, 1), weights[0], rtol=1e-11)


@pytest.mark.parametrize("order", [4, 6, 8])
def test_without_a_tail_the_higher_moment_is_all_there_is(order):
    e, moment = np.geomspace(0.01, 7.0, 60)[:, None], np.geomspace(1e-9, 1.0, 9)[None]
    found = displacement.higher_moment(e, order, moment ** (1 / order), at(1.9), at(0.0))
    expected = np.exp(np.log(moment) / order) * displacement.moment_weight(e, order // 2)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_the_second_moment_is_the_variance():
    e, spread = np.geomspace(0.01, 7.0, 60)[:, None], np.geomspace(1e-5, 1.0, 9)[None]
    found = displacement.higher_moment(e, 2, np.sqrt(spread), at(2.0), at(0.0))
    np.testing.assert_allclose(found, np.sqrt(spread * np.expm1(e**2)), rtol=1e-11)


def test_the_tail_is_moved_as_neyman_and_pearson_have_it():
    """All the reach on a half-space of that mass: its shift gains the mass that the formula allows."""
    e, tail = np.geomspace(0.01, 7.0, 60)[:, None], np.array([[0.0, 1e-6, 1e-3, 0.1, 0.5, 1.0]])
    found = displacement.higher_moment(e, 4, at(0.0), at(1.7), tail)
    edge = stats.norm.isf(tail)
    np.testing.assert_allclose(found, 1.7 * (stats.norm.sf(edge - e) + tail), rtol=1e-11)


@pytest.mark.parametrize("order", [4, 6])
def test_higher_moment_grows_with_moment_and_tail(order):
    e, size, tail = np.ix_(np.geomspace(0.01, 3.0, 9), np.geomspace(0.01, 1.0, 9), [0.0, 1e-6, 1e-3, 0.1, 0.4, 0.7])
    found = displacement.higher_moment(e, order, size, at(2.0), tail)
    assert found.shape == (9, 9, 6)
    for axis in range(3):
        assert (np.diff(found, axis=axis) > 0).all()


@pytest.mark.parametrize("order", [4, 6])
def test_the_higher_moment_bound_is_attained(order):
    """Equality in Hoelder's inequality: q is proportional to the power 1/(2k-1) of w - 1, with its sign."""
    sizes, moved = [], []
    shifts = [0.2, 1.0, 2.0, 3.5]
    for e in shifts:
        # As in the integral itself, z - e/2 is a cube: q has an infinite slope there.
        t, step = np.linspace(-2.8, 2.8, 200_001, retstep=True)
        z = e / 2 + t**3
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * 3 * t**2 * step
        excess = np.expm1(e * z - e**2 / 2)
        q = 0.1 * np.sign(excess) * np.abs(excess) ** (1 / (order - 1))
        sizes.append((q**order * density).sum() ** (1 / order))
        moved.append((q * excess * density).sum())
    found = displacement.higher_moment(at(*shifts), order, at(*sizes), at(2.0), at(0.0))
    np.testing.assert_allclose(found, moved, rtol=1e-10)


@pytest.mark.parametrize("order", [4, 6])
def test_what_cannot_be_computed_is_no_bound(order):
    found = displacement.higher_moment(at(8.0, 9.0, 9.0), order, at(0.1, 0.1, 0.0), at(2.0), at(1e-4))
    assert np.isfinite(found[0])
    assert np.isinf(found[1:]).all()


@pytest.mark.parametrize("e", [0.1, 0.7, 2.0, 3.0])
@pytest.mark.parametrize("spread", [0.004, 0.1, 0.9])
def test_hybrid_by_quadrature(e, spread):
    """The split value itself, with its energy integrated, at the best of 12 / 0.05 points: close to the lowest."""
    reach = 1.6
    grid = np.arange(e / 2, e / 2 + 12, 0.05)
    z = float(grid[split(grid, e, spread, reach).argmin()])
    exact = math.sqrt(spread * energy(e, z)) + reach * float(special.ndtr(e - z) - special.ndtr(-z))
    assert float(split(z, e, spread, reach)) == pytest.approx(exact, rel=1e-11)
    assert exact * (1 - 2e-3) <= hybrid(e, spread, reach) <= exact * (1 + 1e-12)


@given(SIZES, SPREADS, REACHES)
def test_hybrid_is_the_smallest_split_and_never_below_it(e, spread, reach):
    # The sum of three that gives the energy is rounded up; squared, by 8e-15 of its largest term.
    rounding = 2e-14 * spread * (math.exp(e**2) + 3)
    smallest, found = smallest_split(e, spread, reach), hybrid(e, spread, reach)
    # The reference has the rounding errors of the same sum.
    assert found >= math.sqrt(max(smallest**2 - rounding / 10, 0.0)) * (1 - 1e-14)
    assert found <= math.sqrt(smallest**2 + rounding) * (1 + 1e-9)


@given(SIZES, SPREADS, REACHES)
def test_hybrid_is_never_worse_than_the_variance_or_half_way(e, spread, reach):
    found = hybrid(e, spread, reach)
    rounding = 2e-14 * spread * (math.exp(e**2) + 3)
    assert found <= math.sqrt(variance(e, spread) ** 2 + rounding)
    half = float(split(np.float64(e / 2), e, spread, reach))
    assert found <= math.sqrt(half**2 + rounding) * (1 + 1e-12)


@given(SIZES, SPREADS, REACHES, st.floats(1.001, 1.5))
def test_hybrid_grows_with_everything(e, spread, reach, factor):
    base = hybrid(e, spread, reach)
    assert hybrid(e * factor, spread, reach) > base
    assert hybrid(e, spread * factor, reach) > base
    assert hybrid(e, spread, reach * factor) >= base * (1 - 1e-13)


@pytest.mark.parametrize("e", [0.1, 0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("spread", [0.004, 0.03, 0.1, 2.0])
def test_no_map_moves_further_than_the_hybrids_and_one_moves_as_far_as_the_clipped_one(e, spread):
    """A scalar q along one direction of the noise: |q| <= B, E q^2 <= lambda, and E q (w-1) as large as can be."""
    reach = 1.5
    moved = most_with_square(e, spread, reach)
    bound = clipped(e, spread, reach)
    assert moved <= bound * (1 + 1e-9)
    assert bound <= hybrid(e, spread, reach) * (1 + 1e-13)
    # Where q is cut off above only, or hardly below, no bound from lambda and B can be smaller.
    assert spread == 2.0 or bound == pytest.approx(moved, rel=1e-6)
    if variance(e, spread) > 1.02 * bound:
        # Without the part beyond the split the bound would be crossed.
        assert math.sqrt(spread * energy(e, e / 2 + 0.5)) < moved


@given(SIZES, SPREADS, REACHES)
def test_the_clipped_hybrid_is_the_smallest_of_its_kind(e, spread, reach):
    """Any level t of w - 1 gives a bound: least squares below it, the reach above."""
    found = clipped(e, spread, reach)
    z = np.linspace(e / 2, e / 2 + 14, 20_001)
    level = np.expm1(e * z - e**2 / 2)
    root = np.exp(e**2) * special.ndtr(z - 2 * e) - 2 * special.ndtr(z - e) + special.ndtr(z)
    below = np.sqrt(spread * (np.maximum(root, 0.0) + level**2 * special.ndtr(-z)))
    values = below + reach * np.maximum(special.ndtr(e - z) - (1 + level) * special.ndtr(-z), 0.0)
    rounding = 2e-14 * spread * (math.exp(e**2) + 3)
    assert found <= math.sqrt(values.min() ** 2 + rounding) * (1 + 1e-12)
    assert found >= math.sqrt(max(values.min() ** 2 - rounding, 0.0)) * (1 - 1e-4)  # the grid's width
    assert found <= hybrid(e, spread, reach) * (1 + 1e-12)
    assert found <= math.sqrt(variance(e, spread) ** 2 + rounding)


@given(SIZES, SPREADS, REACHES, st.floats(1.001, 1.5))
def test_the_clipped_hybrid_grows_with_everything(e, spread, reach, factor):
    base = clipped(e, spread, reach)
    assert clipped(e * factor, spread, reach) > base
    assert clipped(e, spread * factor, reach) > base
    assert clipped(e, spread, reach * factor) >= base * (1 - 1e-13)


def test_hybrids_at_the_ends():
    for bound in (hybrid, clipped):
        assert bound(0.0, 0.1, 2.0) <= 3e-8
        assert bound(1.0, 0.0, 2.0) <= 1e-13
        assert bound(1.0, math.inf, 2.0) == math.inf
        assert bound(0.0, math.inf, math.inf) == math.inf
        assert bound(64.0, 0.1, 2.0) == math.inf
    # All mass is lost: the reach for what is gained, and sqrt(lambda) for what is left behind.
    assert hybrid(8.0, 0.01, 2.0) == pytest.approx(2.0 + math.sqrt(0.01), rel=5e-4)


def test_hybrid_broadcasts():
    e, spread = np.linspace(0.1, 3, 7)[None], np.array([[0.01], [0.2]])
    found = displacement.hybrid(e, spread, at(1.7), clip=False)
    assert found.shape == (2, 7)
    assert found[1, 4] == hybrid(e[0, 4], 0.2, 1.7)
    assert displacement.hybrid(e, spread, at(1.7))[1, 4] == clipped(e[0, 4], 0.2, 1.7)


@given(st.floats(0.0, 1.0), st.floats(0.1, 10.0), st.booleans())
def test_total_variation_and_its_inverse(mass, bound, nonnegative):
    found = displacement.total_variation(at(mass), bound, nonnegative=nonnegative)
    assert found == pytest.approx((math.sqrt(2) if nonnegative else 2) * bound * mass, rel=1e-15)
    back = displacement.lost_mass_allowed(found, bound, nonnegative=nonnegative)
    assert back == pytest.approx(mass, rel=1e-15)
    assert displacement.lost_mass_allowed(at(10 * bound), bound, nonnegative=nonnegative) == 1.0


def test_total_variation_is_attained_by_a_half_space():
    """M times the sign of a_1 - eps/2: what the shift does to its mean is 2 M p."""
    e, bound = 0.8, 3.0
    mean, shifted = 1 - 2 * stats.norm.cdf(e / 2), 1 - 2 * stats.norm.cdf(-e / 2)
    found = displacement.total_variation(UNIT.lost_mass(at(e), 1), bound, nonnegative=False)
    assert found == pytest.approx(bound * (shifted - mean), rel=1e-13)


def statement(noise):
    return Statement(
        noise=noise,
        dimension=784,
        bound=1.0,
        entry_bound=1.0,
        bound_name="",
        nonnegative=False,
        alpha=1e-3,
        guarantee="population",
        observed_samples=1000,
        confidence="betting",
        antithetic=False,
        seed=0,
        parts=("norm", "spread", "moments"),
        moments=(4, 6),
    )


NOISE = ac.Gaussian(0.25)


def test_every_bound_is_rounded_up_and_the_smallest_counts():
    facts = Facts(at(0.9), at(0.02), at(1.9), (at(0.18), at(0.19)), at(1e-4))
    eps = np.linspace(0.001, 1.5, 400)
    s = statement(NOISE)
    bounds = displacements(s, facts, eps, nonnegative=False)
    assert set(bounds) == {"total variation", "variance", "hybrid", "moment 4", "moment 6"}
    e = eps / 0.25
    exact = {
        "total variation": 2 * special.erf(e / math.sqrt(8)),
        "variance": np.sqrt(0.02 * np.expm1(e**2)),
        "hybrid": np.array([clipped(v, 0.02, 1.9) for v in e.tolist()]),
        "moment 4": 0.18 * displacement.moment_weight(e, 2),
        "moment 6": 0.19 * displacement.moment_weight(e, 3),
    }
    tail = 1.9 * (stats.norm.cdf(stats.norm.ppf(1e-4) + e) + 1e-4)
    exact["moment 4"], exact["moment 6"] = exact["moment 4"] + tail, exact["moment 6"] + tail
    for name, values in exact.items():
        finite = e <= 8
        np.testing.assert_allclose(bounds[name][finite], values[finite], rtol=1e-11)
        assert (bounds[name][finite] >= values[finite] * (1 - 1e-15)).all()  # rounded up
    geometry = Geometry(s, "sound", facts)
    np.testing.assert_array_equal(geometry.displacement(eps), np.min(list(bounds.values()), axis=0))


def test_the_smallest_bound_is_named():
    facts = Facts(at(0.9), at(0.02), at(1.9), (at(0.18), at(0.19)), at(1e-4))
    eps = np.linspace(0.001, 1.5, 400)
    bounds = displacements(statement(NOISE), facts, eps, nonnegative=False)
    geometry = Geometry(statement(NOISE), "sound", facts)
    smallest = geometry.displacement(eps)
    names = geometry.binding(eps).tolist()
    assert len(set(names)) >= 3
    for i, name in enumerate(names):
        assert bounds[name][i] == smallest[i]


def test_a_ball_has_total_variation_only():
    facts = Facts(at(0.9), at(0.02), at(1.9))
    ball = statement(ac.UniformBall(3.5))
    assert list(displacements(ball, facts, at(0.01), nonnegative=False)) == ["total variation"]
