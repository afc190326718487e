import numpy as np
import pytest
from conftest import GOLDEN
from hypothesis import given
from hypothesis import strategies as st

import attricert as ac


@pytest.mark.parametrize("row", GOLDEN["overlap_ball"], ids=lambda r: f"d{r['d']}-eps{r['eps']:g}")
def test_lost_mass_of_the_ball(row):
    noise = ac.UniformBall(row["r"])
    assert noise.lost_mass(row["eps"], row["d"]) == pytest.approx(row["lost_mass"], rel=1e-12, abs=0)


# Where almost all mass is lost the mass itself no longer tells eps: its last digit moves eps by more than 1e-12.
@pytest.mark.parametrize("row", [r for r in GOLDEN["overlap_ball"] if r["lost_mass"] < 0.97], ids=str)
def test_shift_of_the_ball(row):
    noise = ac.UniformBall(row["r"])
    assert noise.shift_of(row["lost_mass"], row["d"]) == pytest.approx(row["eps"], rel=1e-12, abs=0)


@pytest.mark.parametrize("row", GOLDEN["tv_gaussian"], ids=str)
def test_gaussian(row):
    noise = ac.Gaussian(row["sigma"])
    assert noise.lost_mass(row["eps"], 7) == pytest.approx(row["lost_mass"], rel=1e-12, abs=0)
    if row["lost_mass"] < 0.9:
        assert noise.shift_of(row["lost_mass"], 7) == pytest.approx(row["eps"], rel=1e-12, abs=0)


@pytest.mark.parametrize("row", GOLDEN["chi_gaussian"], ids=str)
def test_chi(row):
    """The second moment of the likelihood ratio is 1 + chi^2."""
    ratio = ac.Gaussian(row["sigma"]).likelihood_ratio([[row["eps"]]], 7)
    assert ratio.below(np.array([[np.inf]]))[2] == pytest.approx(1 + row["chi"] ** 2, rel=1e-12, abs=0)


def test_no_digits_are_lost_where_one_minus_the_overlap_loses_all():
    """d = 3 has a polynomial: p = 1.5 s - 0.5 s^3 with s = eps / 2r."""
    s = 1e-9
    assert ac.UniformBall(1.0).lost_mass(2 * s, 3) == pytest.approx(1.5 * s, rel=1e-12, abs=0)


def test_everything_is_lost_beyond_two_radii():
    assert ac.UniformBall(1.0).lost_mass([2.0, 2.5, 1e9], 5).tolist() == [1.0, 1.0, 1.0]


@given(st.floats(1e-6, 1.9), st.floats(1.0001, 1.05), st.integers(1, 2000))
def test_lost_mass_increases_with_eps_and_falls_with_radius(eps, factor, d):
    small, large = ac.UniformBall(1.0), ac.UniformBall(factor)
    assert small.lost_mass(eps * factor, d) >= small.lost_mass(eps, d)
    assert large.lost_mass(eps, d) <= small.lost_mass(eps, d)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize(("family", "name"), [(ac.UniformBall, "radius"), (ac.Gaussian, "sigma")])
def test_bad_scales_are_refused(family, name, bad):
    with pytest.raises(ac.ArgumentError, match=f"^{name}=.*> 0"):
        family(bad)


def test_bad_mass_is_refused():
    with pytest.raises(ac.ArgumentError, match="lost_mass"):
        ac.UniformBall(1.0).shift_of(np.array([0.5, 1.5]), 3)
