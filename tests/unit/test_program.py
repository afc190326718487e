"""The program behind every certificate, against 50 digits, closed forms and linear programs."""

import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, sparse, special, stats

import attricert as ac
from attricert.certificates import dual
from attricert.certificates.dual import Stretches, evaluate
from attricert.certificates.facts import Facts
from attricert.certificates.program import largest_mean
from attricert.noise import BallRatio, GaussianRatio

INF = math.inf


def one(value):
    return np.array([[float(value)]])


def facts(mean=0.0, drift=0.0, second=INF, highest=1.0, lowest=INF, regions=(), **more):
    """Of one scalar, as `evaluate` takes it: regions are pairs of a limit and the mass outside."""
    limits, outside = (np.array([[r[i] for r in regions]], dtype=np.float64).reshape(1, -1) for i in (0, 1))
    rise, fall = more.pop("rise", drift), more.pop("fall", drift)
    fourth = more.pop("fourth", None)
    lowest = 1e6 if lowest == INF else lowest
    values = map(one, (mean, rise, fall, second, highest, lowest))
    return Facts(*values, limits, outside, fourth=None if fourth is None else one(fourth), **more)


def least(known, ratio):
    return float(largest_mean(known, ratio).value[0, 0])


def ratio_of(row):
    return GaussianRatio(one(row["eps_over_sigma"])) if row["noise"] == "gaussian" else BallRatio(one(row["lost_mass"]))


def case(row):
    return f"{row['noise']}{row.get('eps_over_sigma', row.get('lost_mass'))}"


def golden_facts(row):
    second, highest = row["second_moment"], row["last_limit"]
    return facts(drift=row["drift"], second=second, highest=highest, regions=row.get("limits", ()))


@pytest.mark.parametrize("row", GOLDEN["program"], ids=case)
def test_at_a_point(row):
    known = golden_facts(row)
    ratio = ratio_of(row)
    found = float(evaluate(Stretches.of(known, ratio), known, ratio, one(0.9), one(10.0)).value[0, 0])
    exact = row["at_nu_0.9_kappa_10"]
    assert found == pytest.approx(exact, rel=1e-9)
    assert found >= exact - 1e-12


@pytest.mark.parametrize("row", GOLDEN["program"], ids=case)
def test_at_the_least(row):
    found = least(golden_facts(row), ratio_of(row))
    assert found == pytest.approx(row["least"], rel=1e-9)
    assert found >= row["least"] - 1e-12


@pytest.mark.parametrize("row", GOLDEN["program"], ids=case)
def test_derivatives_are_those_of_the_value(row):
    """Newton's method needs them; a wrong one costs tightness."""
    known, ratio, h = golden_facts(row), ratio_of(row), 1e-4
    p = Stretches.of(known, ratio)

    def value(nu, kappa):
        return float(evaluate(p, known, ratio, one(nu), one(kappa)).value[0, 0])

    at = evaluate(p, known, ratio, one(0.93), one(9.0))
    by_nu = (value(0.93 + h, 9.0) - value(0.93 - h, 9.0)) / (2 * h)
    by_kappa = (value(0.93, 9.0 + h) - value(0.93, 9.0 - h)) / (2 * h)
    assert by_nu == pytest.approx(-row["drift"] - float(at.mean[0, 0]), abs=1e-6)
    assert by_kappa == pytest.approx(0.5 * (row["second_moment"] - float(at.square[0, 0])), abs=1e-6)
    twice = (value(0.93, 9.0 + h) - 2 * value(0.93, 9.0) + value(0.93, 9.0 - h)) / h**2
    assert twice == pytest.approx(float(at.curvature[2][0, 0]), abs=1e-5)


@pytest.mark.parametrize("ratio", [GaussianRatio(one(0.4)), BallRatio(one(0.1))])
@pytest.mark.parametrize("kappa", [0.2, 0.8])
def test_derivatives_where_draws_outside_are_paid_for(ratio, kappa):
    known, h = facts(0.1, 0.02, 0.05, 1.4, 1.0, [(0.4, 0.2), (0.6, 0.1)], inside=True), 1e-5
    p = Stretches.of(known, ratio)

    def at(nu, kappa):
        return evaluate(p, known, ratio, one(nu), one(kappa))

    def value(nu, kappa):
        return float(at(nu, kappa).value[0, 0])

    plain = evaluate(p, replace(known, inside=False), ratio, one(0.93), one(kappa))
    assert value(0.93, kappa) > float(plain.value[0, 0]) + 0.01
    by_nu = (value(0.93 + h, kappa) - value(0.93 - h, kappa)) / (2 * h)
    by_kappa = (value(0.93, kappa + h) - value(0.93, kappa - h)) / (2 * h)
    assert by_nu == pytest.approx(-0.02 - float(at(0.93, kappa).mean[0, 0]), abs=1e-6)
    assert by_kappa == pytest.approx(0.5 * (0.05 - float(at(0.93, kappa).square[0, 0])), abs=1e-6)


@pytest.mark.parametrize("row", GOLDEN["hybrid"], ids=lambda r: f"e{r['eps_over_sigma']}")
def test_of_a_second_moment_and_a_limit(row):
    """No worse than the clipped hybrid of version 0.1, nor, without a limit, than the variance bound."""
    ratio = GaussianRatio(one(row["eps_over_sigma"]))
    found = least(facts(second=row["spread"], highest=row["reach"]), ratio)
    assert found <= row["displacement"] * (1 + 1e-11) + 5e-12
    if row["eps_over_sigma"] <= 1:  # beyond, this limit matters
        alone = least(facts(second=row["spread"], highest=1e6), ratio)
        assert row["variance_only"] * (1 - 1e-14) <= alone <= row["variance_only"] * (1 + 1e-9) + 1e-6


@pytest.mark.parametrize("off", [-0.2, 0.0, 0.1])
@pytest.mark.parametrize("e", [0.1, 0.5, 1.0])
def test_around_a_known_center_far_limits_leave_a_closed_form(e, off):
    """min over t of rise t + sqrt(s2 (chi^2 + t^2)) is chi sqrt(s2 - rise^2); no step of Newton's method is needed."""
    known = facts(mean=0.3, rise=off, fall=-off, second=0.16, highest=1e4, lowest=1e4)
    found = float(largest_mean(known, GaussianRatio(one(e)), steps=1).value[0, 0])
    assert found == pytest.approx(0.3 + math.sqrt(math.expm1(e**2) * (0.16 - off**2)), rel=3e-8)


@pytest.mark.parametrize("e", [0.01, 0.3, 1.0, 3.0, 10.0])
def test_of_a_bound_alone_it_is_total_variation(e):
    found = least(facts(drift=INF, highest=1.7, lowest=1.7), GaussianRatio(one(e)))
    assert found == pytest.approx(2 * 1.7 * special.erf(e / math.sqrt(8)), rel=1e-11, abs=3e-12)


@pytest.mark.parametrize("mass", [0.001, 0.2, 0.7, 1.0])
def test_of_a_bound_alone_it_is_total_variation_of_a_ball_too(mass):
    ratio = BallRatio(one(mass))
    assert least(facts(drift=INF, highest=1.7, lowest=1.7), ratio) == pytest.approx(
        2 * 1.7 * mass, rel=1e-11, abs=3e-12
    )
    # Two vectors of the positive orthant: sqrt2 M p (theory 3a), as a range of sqrt2 M.
    half = 1 / math.sqrt(2)
    assert least(facts(drift=INF, highest=half, lowest=half), ratio) == pytest.approx(
        math.sqrt(2) * mass, rel=1e-11, abs=3e-12
    )


@pytest.mark.parametrize("mass", [1e-6, 0.3, 0.51, 0.9, 0.9999])
@pytest.mark.parametrize("e", [0.01, 0.7, 2.5])
def test_of_an_indicator_it_is_neyman_and_pearson(mass, e):
    """Minus the indicator of an event of that mass: Cohen, Rosenfeld and Kolter 2019; and for a ball the mass lost."""
    known = Facts.of_range(np.array([-mass]), np.array([-1.0]), np.array([0.0])).flat((1, 1))
    kept = special.ndtr(special.ndtri(mass) - e)
    found = least(known, GaussianRatio(one(e)))
    assert found == pytest.approx(-kept, rel=1e-9, abs=1e-11)
    assert found >= -kept - 1e-15
    lost = special.erf(e / math.sqrt(8))
    assert least(known, BallRatio(one(lost))) == pytest.approx(-max(mass - lost, 0.0), abs=1e-11)


def test_of_nothing_at_all_and_of_no_shift():
    assert least(facts(drift=INF, lowest=1.0), GaussianRatio(one(0.0))) <= 1e-9
    assert least(facts(drift=INF), BallRatio(one(0.0))) <= 1e-9


SIZES = st.floats(0.05, 3.0)


@st.composite
def known_facts(draw):
    count = draw(st.integers(0, 3))
    limits = sorted(draw(st.lists(st.floats(0.05, 1.5), min_size=count, max_size=count)))
    outside = sorted(draw(st.lists(st.floats(1e-5, 0.6), min_size=count, max_size=count)), reverse=True)
    second, inside = draw(st.floats(1e-3, 0.5)), count > 0 and draw(st.booleans())
    return facts(
        mean=draw(st.floats(-1, 1)),
        drift=draw(st.floats(0, 0.2)),
        second=second,
        highest=1.5,
        lowest=draw(st.floats(0.1, 2.0)),
        regions=tuple(zip(limits, outside, strict=True)),
        inside=inside,
        fourth=second**2 * draw(st.floats(1.0, 5.0)) if inside and draw(st.booleans()) else None,
    )


@settings(max_examples=100)
@given(known_facts(), SIZES, st.floats(1.0, 1.5), st.floats(0.0, 3.0), st.floats(0.01, 100.0))
def test_it_grows_with_every_fact(known, e, factor, nu, kappa):
    """At any (nu, kappa) a weaker fact never gives a smaller value, so neither does the least of them."""

    def value(facts_, e_):
        ratio = GaussianRatio(one(e_))
        return float(evaluate(Stretches.of(facts_, ratio), facts_, ratio, one(nu), one(kappa)).value[0, 0])

    plain = replace(known, fourth=None)
    base = value(plain, e)
    more = {
        name: replace(plain, **{name: getattr(plain, name) * factor})
        for name in ("rise", "fall", "second", "highest", "lowest", "limits", "outside")
    }
    more["mean"] = replace(plain, mean=plain.mean + (factor - 1))
    for name, weaker in more.items():
        assert value(weaker, e) >= base - 1e-9 * (1 + abs(base)), name


@settings(max_examples=100)
@given(known_facts(), SIZES, st.floats(1.0, 1.5))
def test_the_least_found_grows_with_every_fact(known, e, factor):
    """The search ends near enough to the least for the order to be kept.

    Not so where the second moment hardly binds (kappa goes to 0), nor always where facts are of draws inside alone and
    much lies outside: there is a second kink, where what is paid for that begins.
    """
    ratio = GaussianRatio(one(e))
    plain = replace(known, fourth=None, inside=False, second=0.02 * known.second)
    base = least(plain, ratio)
    for name in ("rise", "fall", "second", "highest", "lowest", "limits", "outside"):
        weaker = replace(plain, **{name: getattr(plain, name) * factor})
        assert least(weaker, ratio) >= base - 1e-6 * (1 + abs(base)), name


@settings(max_examples=100)
@given(known_facts(), st.floats(0.01, 0.9), st.floats(1.0, 1.1), st.floats(0.0, 3.0), st.floats(0.01, 100.0))
def test_it_grows_with_the_mass_lost(known, mass, factor, nu, kappa):
    plain = replace(known, fourth=None, inside=False)

    def value(lost):
        ratio = BallRatio(one(lost))
        return float(evaluate(Stretches.of(plain, ratio), plain, ratio, one(nu), one(kappa)).value[0, 0])

    assert value(mass * factor) >= value(mass) - 1e-9 * (1 + abs(value(mass)))


def test_rows_do_not_depend_on_each_other():
    """Each input and size has a program of its own."""
    known = [facts(0.1, 0.02, 0.01 * i, 1.4, 1.0, [(0.4, 0.1), (0.6, 0.01 / i)], inside=True) for i in range(1, 6)]
    arrays = ("mean", "rise", "fall", "second", "highest", "lowest", "limits", "outside")
    joined = Facts(*(np.concatenate([getattr(f, name) for f in known]) for name in arrays), inside=True)
    sizes = [0.3, 0.8, 1.2, 2.0, 2.9]
    together = largest_mean(joined, GaussianRatio(np.array(sizes)[:, None])).value[:, 0]
    alone = [least(f, GaussianRatio(one(e))) for f, e in zip(known, sizes, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


# What is true, by linear programs: Q is a step function of z, given by a law for each cell and region. That is a map
# that obeys the facts, so no bound can lie below; with fine cells and values hardly above either.


def worst(known, ratio, cells=40, values=33, *, comonotone=False, crowd=4.5):
    """The largest mean + E Q(w - 1) + lost highest over laws of (z's cell, region, Q) that obey the facts."""
    f = {name: float(getattr(known, name)[0, 0]) for name in ("mean", "rise", "fall", "second", "highest", "lowest")}
    limits, outside = known.limits[0], known.outside[0]
    edges = np.linspace(-crowd, crowd + float(getattr(ratio, "e", one(0))[0, 0]), cells - 1)
    if isinstance(ratio, BallRatio):
        edges = special.ndtri(np.linspace(0, 1, cells + 1)[1:-1])
    edges = np.unique(np.concatenate([edges, special.ndtri(1 - outside), ratio.crossing(one(0.5)).ravel()]))
    zeroth, first, _ = (np.atleast_1d(m) for m in ratio.below(np.concatenate([[-INF], edges, [INF]])[None]))
    mass, weight = np.diff(zeroth[0]), np.diff(first[0])
    low = max(-f["lowest"], -3.0)
    grid = np.unique(np.concatenate([np.linspace(low, f["highest"], values), limits, [0.0]]))
    regions = len(limits) + 1
    c, r, k = (a.ravel() for a in np.meshgrid(range(len(mass)), range(regions), range(len(grid)), indexing="ij"))
    able = grid[k] <= np.append(limits, f["highest"])[r] + 1e-15
    if comonotone:  # draws of the cells of largest z lie outside
        beyond = (1 - zeroth[0, :-1] <= outside[:, None] * (1 + 1e-9)).sum(axis=0)
        able &= r == beyond[c]
    c, r, q = c[able], r[able], grid[k[able]]
    here = np.isin(r, range(regions - 1)) if known.inside else np.ones(len(r), dtype=bool)
    rows, most = [q, -q], [f["rise"], f["fall"]]
    if np.isfinite(f["second"]):
        rows, most = [*rows, q**2 * here], [*most, f["second"]]
    if known.fourth is not None:
        rows, most = [*rows, q**4 * here], [*most, float(known.fourth[0, 0])]
    rows += [(r > j) * 1.0 for j in range(regions - 1)]
    most += (outside * (1 + 1e-9 * comonotone)).tolist()
    kept = np.isfinite(most)
    # Unknown is the law in each cell given the cell, whatever its mass.
    equal = sparse.coo_matrix((np.ones(len(c)), (c, np.arange(len(c)))))
    found = optimize.linprog(
        -q * (weight - mass)[c],
        A_ub=(np.array(rows) * mass[c])[kept],
        b_ub=np.array(most)[kept],
        A_eq=equal.tocsr(),
        b_eq=np.ones(len(mass)),
        method="highs",
    )
    assert found.status == 0, found.message
    return f["mean"] - found.fun + float(ratio.lost.ravel()[0]) * f["highest"]


REGIONS = ((0.3, 0.4), (0.5, 0.05), (0.8, 0.004))
PLAIN = {
    "moment": facts(0.1, 0.0, 0.05, 1.4, 3.0),
    "moment and range": facts(0.0, 0.0, 0.2, 0.9, 0.5),
    "drift": facts(0.0, 0.05, 0.02, 1.2, 1.0),
    "one-sided": facts(0.0, second=0.05, highest=1.2, lowest=1.0, rise=0.08, fall=-0.03),
    "unknown drift": facts(0.0, INF, 0.05, 1.2, 1.0),
    "range": facts(0.0, 0.1, INF, 1.2, 0.6),
    "regions": facts(0.0, 0.0, 0.05, 1.4, 1.5, REGIONS),
    "regions and drift": facts(-0.3, 0.04, 0.02, 1.6, 1.5, REGIONS),
    "heavy tail": facts(0.0, 0.02, 0.3, 1.6, 1.5, ((0.2, 0.3),)),
}
INSIDE = {
    "inside": facts(0.0, 0.0, 0.02, 1.4, 1.5, REGIONS, inside=True),
    "inside and drift": facts(0.0, 0.1, 0.01, 1.4, 1.5, REGIONS, inside=True),
    "one region": facts(0.0, 0.03, 0.03, 1.2, 1.2, ((0.6, 0.02),), inside=True),
    "other end": facts(0.0, 1.0, 1e-3, 0.2, 2.5, ((0.15, 0.1),), inside=True),
}
FOURTH = {
    "fourth": facts(0.0, 0.02, 0.02, 1.4, 1.5, REGIONS, inside=True, fourth=2.2 * 0.02**2),
    "flat fourth": facts(0.0, 0.0, 0.04, 1.4, 1.5, REGIONS, inside=True, fourth=1.05 * 0.04**2),
    "large fourth": facts(0.0, 0.02, 0.02, 1.4, 1.5, REGIONS, inside=True, fourth=9 * 0.02**2),
    "fourth at the other end": facts(0.0, 1.0, 0.02, 0.5, 2.5, ((0.45, 0.03),), inside=True, fourth=1.5 * 0.02**2),
}
RATIOS = {
    **{f"e{e}": GaussianRatio(one(e)) for e in (0.3, 1.0, 2.0, 3.0)},
    **{f"p{p}": BallRatio(one(p)) for p in (0.05, 0.4)},
}


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("name", PLAIN)
def test_no_map_is_worse_and_one_is_nearly_as_bad(name, ratio):
    known, law = PLAIN[name], RATIOS[ratio]
    true, found = worst(known, law), least(known, law)
    assert true <= found + 1e-9
    gain = true - float(known.mean[0, 0])
    assert found - true <= 0.06 * gain + 1e-3


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("name", INSIDE)
def test_no_map_is_worse_where_only_draws_inside_count(name, ratio):
    known, law = INSIDE[name], RATIOS[ratio]
    true, found = worst(known, law), least(known, law)
    assert true <= found + 1e-9
    # At small shifts what draws outside may do at the other end is charged in full.
    if name in ("inside", "inside and drift") or (ratio in ("e1.0", "e2.0", "e3.0") and name == "one region"):
        assert found - true <= 0.05 * (true - float(known.mean[0, 0])) + 1e-3


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("name", FOURTH)
def test_no_map_is_worse_with_a_fourth_moment(name, ratio):
    known, law = FOURTH[name], RATIOS[ratio]
    true, found = worst(known, law), least(known, law)
    without = least(replace(known, fourth=None), law)
    assert true <= found + 1e-9
    assert found <= without
    if name in ("fourth", "large fourth") and ratio != "p0.05":
        assert found - true <= 0.06 * (true - float(known.mean[0, 0])) + 1e-3


def test_the_fourth_moment_is_worth_it():
    known, law = FOURTH["fourth"], RATIOS["e2.0"]
    assert least(known, law) < 0.97 * least(replace(known, fourth=None), law)


@settings(max_examples=15)
@given(known_facts(), SIZES, st.booleans())
def test_no_map_is_worse_whatever_is_known(known, e, ball):
    law = BallRatio(one(special.erf(e / math.sqrt(8)))) if ball else GaussianRatio(one(e))
    assert worst(known, law, cells=14, values=13) <= least(known, law) + 1e-9


def test_the_mass_outside_all_regions_must_be_paid_for():
    """A planted fault: were it left out, a map would be worse."""
    for known in (PLAIN["regions"], INSIDE["inside"], FOURTH["fourth"]):
        outside = known.outside.copy()
        outside[:, -1] = 1e-300
        assert least(replace(known, outside=outside), RATIOS["e2.0"]) < worst(known, RATIOS["e2.0"]) - 0.01


def test_draws_outside_at_the_other_end_must_be_paid_for(monkeypatch):
    """A planted fault: where they may go far down at small w the largest limits do not go with the largest w."""
    known, law = INSIDE["other end"], RATIOS["e0.3"]
    true = worst(known, law)
    assert worst(known, law, comonotone=True) < true - 1e-3
    assert true <= least(known, law)
    monkeypatch.setattr(dual, "_elsewhere", lambda p, facts, ratio, nu, kappa: (np.zeros_like(nu),) * 3)
    assert least(known, law) < true - 1e-3


@pytest.mark.parametrize("noise", [ac.Gaussian(0.5), ac.UniformBall(1.0)])
def test_facts_are_spread_over_grids(noise):
    wide = Facts.of_range(np.array([0.1, 0.2]), np.array([-1.0, -1.0]), np.array([1.0, 1.0])).flat((2, 3))
    eps = np.broadcast_to(np.array([0.1, 0.2, 0.3]), (2, 3)).reshape(-1, 1)
    found = largest_mean(wide, noise.likelihood_ratio(eps, 4)).value.reshape(2, 3)
    assert (np.diff(found, axis=1) > 0).all()
    assert (found[1] > found[0]).all()


def test_the_normal_cdf_is_that_of_scipy():
    """The oracle of the linear programs."""
    z = np.linspace(-5, 5, 11)[None]
    np.testing.assert_allclose(GaussianRatio(one(1.0)).below(z)[1][0], stats.norm.cdf(z[0] - 1), rtol=1e-12)
