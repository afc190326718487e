import math

import numpy as np
import pytest
from conftest import GOLDEN
from evidences import evidence
from hypothesis import example, given, settings
from hypothesis import strategies as st

import attricert as ac
from attricert.certificates import least_scale
from attricert.certificates.cosine import norm_needed
from attricert.certificates.displacement import displacement
from attricert.certificates.solve import largest

pytestmark = pytest.mark.filterwarnings("ignore::attricert.NotABoundWarning")

NORMS = st.floats(0.01, 1.0)
EPS = st.floats(1e-6, 3.0)
THRESHOLDS = st.floats(0.01, 0.99)
NOISES = st.one_of(st.builds(ac.UniformBall, st.floats(0.1, 10)), st.builds(ac.Gaussian, st.floats(0.01, 3)))
DIMENSIONS = st.sampled_from([1, 2, 10, 784, 150_528])
# Two questions that are next to one and the same are told apart by rounding: by the last bits of a cosine, and by how
# closely max_eps is searched for (solve: to 1e-11 of itself; the largest is never exceeded).
LAST_BITS = 1e-15
SEARCHED = 1 + 2e-11


class Asked:
    """A certificate, or the paper's, whose norm comes with each question; nothing else is known of the map."""

    def __init__(self, noise, d=784, max_norm=1.0, method="sound", **terms):
        self.kind = {"sound": ac.Certificate, "printed": ac.PaperCertificate}[method]
        self.terms = {"noise": noise, "dimension": d, "max_norm": max_norm, **terms}
        self.given(max_norm)  # bad terms are refused at once

    def given(self, norm):
        return self.kind(evidence(norm=norm, **self.terms))

    def cosine(self, eps, norm):
        eps, norm = np.broadcast_arrays(eps, norm)
        pairs = [self.given(c).cosine(e)[0] for e, c in zip(eps.ravel().tolist(), norm.ravel(), strict=True)]
        return np.array(pairs).reshape(eps.shape)

    def max_eps(self, threshold, norm):
        return self.given(norm).max_eps(float(threshold[0]))

    def displacement(self, eps):
        return displacement(evidence(norm=self.terms["max_norm"], **self.terms), np.atleast_2d(eps))[0]


geometry = Asked


def at(value):
    return np.atleast_1d(value)


@pytest.mark.parametrize("method", ["sound", "printed"])
@pytest.mark.parametrize("row", GOLDEN["cosine"], ids=lambda r: f"d{r['d']}")
def test_cosine(row, method):
    g = geometry(ac.UniformBall(row["r"]), row["d"], row["bound"], method)
    if method == "sound":
        assert g.displacement(at(row["eps"])) == pytest.approx(row["displacement"], rel=1e-11)
    expected = -1.0 if row[method] is None else row[method]
    assert g.cosine(at(row["eps"]), at(row["norm"])) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("method", ["sound", "printed"])
@pytest.mark.parametrize("row", GOLDEN["max_eps"], ids=lambda r: f"d{r['d']}")
def test_max_eps(row, method):
    g = geometry(ac.UniformBall(row["r"]), row["d"], row["bound"], method)
    assert g.max_eps(at(row["cosine"]), at(row["norm"])) == pytest.approx(row[method], rel=1e-11)


@pytest.mark.parametrize("method", ["sound", "printed"])
@pytest.mark.parametrize("row", GOLDEN["min_radius"], ids=lambda r: f"d{r['d']}")
def test_fixed_norm_radius(row, method):
    """The displacement depends on eps / radius only, so the paper's eq. 9 is max_eps turned around."""
    g = geometry(ac.UniformBall(1.0), row["d"], row["bound"], method)
    radius = row["eps"] / g.max_eps(at(row["cosine"]), at(row["norm"]))
    assert radius == pytest.approx(row[method], rel=1e-11)


@settings(max_examples=25)
@given(NOISES, DIMENSIONS, NORMS, EPS, st.floats(1.0, 2.0))
def test_cosine_falls_with_eps_and_grows_with_norm(noise, d, norm, eps, factor):
    g = geometry(noise, d)
    assert g.cosine(at(eps * factor), at(norm)) <= g.cosine(at(eps), at(norm)) + LAST_BITS
    assert g.cosine(at(eps), at(norm / factor)) <= g.cosine(at(eps), at(norm)) + LAST_BITS


@settings(max_examples=25)
@given(NOISES, DIMENSIONS, NORMS, EPS, st.floats(1.001, 3.0))
def test_more_noise_certifies_more_at_the_same_norm(noise, d, norm, eps, factor):
    wider = geometry(noise.with_scale(noise.scale * factor), d)
    assert wider.cosine(at(eps), at(norm)) >= geometry(noise, d).cosine(at(eps), at(norm)) - LAST_BITS


@settings(max_examples=25)
@given(NOISES, DIMENSIONS, NORMS, THRESHOLDS, st.floats(0.0, 1.0))
@example(ac.UniformBall(1.0), 150_528, 0.12435615480656542, 0.2097046398896342, 2.2e-16)
@example(ac.UniformBall(1.0), 1, 0.5, 0.125, 5.52022012041442e-15)
def test_max_eps_falls_with_the_threshold(noise, d, norm, threshold, step):
    g, higher = geometry(noise, d), threshold + step * (0.99 - threshold)
    assert g.max_eps(at(higher), at(norm)) <= g.max_eps(at(threshold), at(norm)) * SEARCHED


@pytest.mark.parametrize("nonnegative", [False, True])
@settings(max_examples=25)
@given(NOISES, DIMENSIONS, NORMS, THRESHOLDS)
def test_round_trip(nonnegative, noise, d, norm, threshold):
    """max_eps is certified, and nothing much beyond it is."""
    g = geometry(noise, d, nonnegative=nonnegative)
    eps = g.max_eps(at(threshold), at(norm))
    assert g.cosine(eps, at(norm)) >= threshold
    assert g.cosine(eps * (1 + 1e-6), at(norm)) < threshold


@settings(max_examples=25)
@given(st.integers(1, 50), st.floats(1.5, 10.0), NORMS, st.floats(1e-4, 0.05))
def test_observed_certifies_less_than_population_and_more_with_more_draws(n, factor, norm, eps):
    noise, n = ac.UniformBall(3.5), 100 * n
    few, many = (geometry(noise, observed=ac.Observed(int(m))) for m in (n, n * factor))
    population = geometry(noise)
    assert few.cosine(at(eps), at(norm)) <= many.cosine(at(eps), at(norm)) <= population.cosine(at(eps), at(norm))
    for g in (few, many):
        largest_eps = g.max_eps(at(0.7), at(norm))
        assert largest_eps == 0 or g.cosine(largest_eps, at(norm)) >= 0.7


def test_observed_angles_add_up():
    """By hand, at one point, without anything known of the spread."""
    n, c, eps = 20_000, 0.9, 0.03
    g = geometry(ac.Gaussian(0.25), observed=ac.Observed(n))
    d = 2 * math.erf(eps / (2 * math.sqrt(2) * 0.25))
    log = math.sqrt(2 * math.log(3 / 1e-3) / n)
    here, there = (math.sqrt((1 - s**2) / n) + log for s in (c, c - d))
    angle = math.asin(d / c) + math.asin(here / c) + math.asin(there / (c - d))
    assert g.cosine(at(eps), at(c)) == pytest.approx(math.cos(angle), rel=1e-10)


def test_an_antithetic_pair_is_one_observed_draw():
    pairs, singles = (
        geometry(ac.Gaussian(0.25), observed=ac.Observed(n), antithetic=a) for n, a in ((20_000, True), (10_000, False))
    )
    assert pairs.cosine(at(0.01), at(0.9)) == singles.cosine(at(0.01), at(0.9))


def test_nonnegative_maps_lose_at_most_a_right_angle():
    plain, sharp = geometry(ac.Gaussian(1.0)), geometry(ac.Gaussian(1.0), nonnegative=True)
    assert sharp.displacement(at(0.3)) == pytest.approx(plain.displacement(at(0.3)) / math.sqrt(2), rel=1e-14)
    assert sharp.cosine(at(10.0), at(0.5)) == 0.0
    assert plain.cosine(at(10.0), at(0.5)) == -1.0


def test_the_norm_needed_is_just_enough():
    g = geometry(ac.UniformBall(3.5))
    norm = norm_needed(g.given(1.0).evidence, 0.05, 0.9)
    assert g.cosine(at(0.05), at(norm * (1 + 1e-9))) >= 0.9 > g.cosine(at(0.05), at(norm * (1 - 1e-9)))


def test_no_norm_no_claim():
    g = geometry(ac.UniformBall(1.0))
    assert g.cosine(at(0.0), at(0.0)) == -1.0
    assert g.max_eps(at(0.5), at(0.0)) == 0.0
    with pytest.raises(ac.IntegrityError, match="Norm.lower"):
        g.given(-0.1)


def test_printed_is_larger_than_sound_everywhere():
    eps, norms = np.geomspace(1e-4, 0.3, 50).tolist(), np.linspace(0.05, 1, 20)
    sound, printed = (geometry(ac.UniformBall(3.5), method=m).given(norms).cosine(eps) for m in ("sound", "printed"))
    assert (printed > sound).all()


@pytest.mark.parametrize(
    ("noise", "terms", "method", "message"),
    [
        (ac.Gaussian(1.0), {}, "printed", "UniformBall"),
        (ac.UniformBall(1.0), {"observed": ac.Observed(5)}, "printed", "about the population"),
        (ac.UniformBall(1.0), {"alpha": 0.0}, "sound", "alpha=0.0: must be > 0 and < 1"),
        (ac.UniformBall(1.0), {"alpha": 1.0}, "sound", "alpha=1.0"),
        (ac.UniformBall(1.0), {"observed": ac.Observed(1), "antithetic": True}, "sound", "observed n_samples=1"),
    ],
)
def test_bad_terms_are_refused(noise, terms, method, message):
    with pytest.raises(ac.ArgumentError, match=message):
        geometry(noise, method=method, **terms)


def test_bad_averages_are_refused():
    with pytest.raises(ac.ArgumentError, match="n_samples=0"):
        ac.Observed(0)


def test_paper_tables_need_more_mass_than_the_theorem_allows():
    """Theory 9.4: with ||g|| <= M the printed theorem allows p <= sqrt(1/T^2 - 1) / 2; Table 5 needs p = 0.724."""
    allowed = math.sqrt(1 / 0.9**2 - 1) / 2
    assert allowed == pytest.approx(0.242, abs=1e-3)
    table_5 = ac.UniformBall(0.5).lost_mass(0.0389, 784)
    assert table_5 == pytest.approx(0.724, abs=1e-3)
    best_printed = geometry(ac.UniformBall(0.5), method="printed").max_eps(at(0.9), at(1.0))
    assert best_printed < 0.0389 / 3


def test_largest_keeps_what_was_seen_to_hold():
    limits = np.array([[0.0], [0.3], [2.0], [5.0]])
    found = largest(lambda v, rows: v - limits[rows] - 1e-15, np.full((4, 1), 2.0))
    assert (found <= limits + 1e-15).all()
    np.testing.assert_allclose(found[:, 0], [0.0, 0.3, 2.0, 2.0], rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("limit", [0.01, 0.3, 1.9])
@pytest.mark.parametrize("guess", [0.005, 0.3, 5.0])
def test_largest_begins_at_a_guess_and_asks_seldom(guess, limit):
    asked = []

    def margin(values, rows):
        asked.append(values)
        return np.expm1(values) - np.expm1(limit)

    found = largest(
        margin, np.full((1, 1), 2.0), at_lower=np.full((1, 1), -np.expm1(limit)), guess=np.full((1, 1), guess)
    )
    assert found[0, 0] == pytest.approx(limit, rel=1e-11)
    assert len(asked) <= 14  # halving alone takes 36 or more


def test_largest_where_the_margin_jumps():
    """It halves, and never returns what was seen to fail."""
    limits = np.array([[0.3], [1.7]])
    found = largest(lambda v, rows: np.where(v <= limits[rows], -1.0, 1.0), np.full((2, 1), 2.0))
    assert (found <= limits).all()
    np.testing.assert_allclose(found, limits, rtol=1e-10)


@pytest.mark.parametrize("failed", [0.0, 0.9])
@pytest.mark.parametrize("true", [0.02, 0.3, 1.01, 1.5, 7.3, 60.0])
def test_least_scale_finds_a_scale_that_holds(true, failed):
    asked = []

    def holds(scale):
        asked.append(scale)
        return scale >= true

    found = least_scale(holds, 1.0, 64.0, 12, failed)
    assert len(asked) <= 12
    assert found in asked
    assert true <= found
    assert found <= max(true, failed) * 1.1
    assert min(asked) > failed


def test_least_scale_gives_up_at_the_ceiling():
    asked = []
    assert least_scale(lambda s: bool(asked.append(s)), 1.0, 8.0, 12) == float("inf")
    assert max(asked) == 8.0
