"""Rounding x + a to a lattice, and what theory 5 says of its errors."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from adversaries import signs_of_zeros

import attricert as ac
from attricert.errors import ArgumentError
from attricert.noise import samplers
from attricert.sampling.lattice import Lattice, check_precision
from attricert.streams import Stream

CPU = torch.device("cpu")


@pytest.mark.parametrize("noise", [ac.Gaussian(0.25), ac.Gaussian(3e-7), ac.UniformBall(3.5), ac.UniformBall(1e20)])
@pytest.mark.parametrize("d", [1, 3, 784])
def test_the_step_is_a_power_of_two_between_1_512th_and_1_256th_of_the_deviation(noise, d):
    step = noise.lattice_step(d)
    assert math.frexp(step)[0] == 0.5
    assert noise.deviation(d) / 512 < step <= noise.deviation(d) / 256


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 1e-6, 1.0, 3e4])
def test_copies_are_exact_sums_rounded_once(dtype, size):
    """Against rational arithmetic, away from midpoints; beyond 2^24 steps in float32's own rounding of the point."""
    rng = np.random.default_rng(1)
    x = torch.from_numpy(size * rng.standard_normal(50)).to(dtype)
    noise = torch.from_numpy(0.25 * rng.standard_normal((40, 50)))
    step = ac.Gaussian(0.25).lattice_step(50)
    copies = Lattice.around(x, step).copies(noise)
    assert copies.dtype == dtype
    for i, j in np.ndindex(40, 50):
        exact = (Fraction(float(x[j])) + Fraction(float(noise[i, j]))) / Fraction(step)
        point = round(exact)
        if abs(abs(exact - point) - Fraction(1, 2)) > Fraction(1, 10**9):
            assert float(copies[i, j]) == float(torch.tensor(float(point), dtype=torch.float64).to(dtype)) * step


def test_copies_do_not_say_on_which_side_of_zero_they_were():
    x = torch.full((2_000,), -1e-5)
    noise = 1e-4 * torch.randn(3, 2_000, dtype=torch.float64)
    for inputs in (x, -x, -0.0 * x):
        copies = Lattice.around(inputs, 2.0**-10).copies(noise)
        assert (copies == 0).all()
        assert not torch.signbit(copies).any()
    assert (signs_of_zeros(torch.ones(1))(-0.0 * torch.ones(1, 1), None) == 1).all()  # who looks for them sees them


def normals(words):
    """Box and Muller of the two words of each pair, in 60 digits."""
    with mpmath.workdps(60):
        unit = mpmath.mpf(2) ** -63
        radius = [mpmath.sqrt(-2 * mpmath.log((abs(int(a)) + mpmath.mpf(1) / 2) * unit)) for a, _ in words]
        angles = [mpmath.pi * int(b) * unit for _, b in words]
        pairs = zip(radius, angles, strict=True)
        return radius, [(r * mpmath.cos(angle), r * mpmath.sin(angle)) for r, angle in pairs]


class Words:
    """A generator of given words."""

    def __init__(self, words):
        self.words = np.ascontiguousarray(np.array(words, dtype=np.int64).view(np.uint64))

    def advance(self, count):
        return self

    def random_raw(self, count):
        return self.words.ravel()


def test_normals_are_as_exact_as_the_theory_asks(monkeypatch):
    """|e| <= 2^-49 (r + 1/4r), also for tiny and for huge radii."""
    rng = np.random.default_rng(0)
    whole = np.iinfo(np.int64)
    words = rng.integers(whole.min, whole.max, (400, 2))
    words[:40, 0] = [int(2.0 ** (i + 20)) for i in range(40)]  # far tails
    words[40:80, 0] = [whole.max - 2 ** (i + 20) for i in range(40)]  # near zero
    monkeypatch.setattr(np.random, "PCG64DXSM", lambda seed: Words(words))
    found = Stream(0, "a", "main").rows(0, len(words), torch.float64, CPU).normal(2).numpy()
    radius, exact = normals(words)
    for row, r, pair in zip(found, radius, exact, strict=True):
        for value, true in zip(row, pair, strict=True):
            assert abs(mpmath.mpf(float(value)) - true) <= mpmath.mpf(2) ** -49 * (r + 1 / (4 * r))


def test_norms_of_ball_noise_are_as_exact_as_the_theory_asks():
    for d in (3, 784, 150_528):
        z = Stream(0, "a", "main").rows(0, 4, torch.float64, CPU).normal(d)
        for row, found in zip(z, samplers._norm(z), strict=True):
            exact = math.sqrt(math.fsum(float(v) ** 2 for v in row))
            assert abs(float(found) / exact - 1) <= 2.0**-46


@pytest.mark.parametrize(("largest", "sigma", "good"), [(1.0, 0.25, True), (1e5, 0.25, True), (1e6, 1e-3, False)])
def test_noise_must_be_seen_beside_the_inputs(largest, sigma, good):
    x, noise = torch.full((1, 4), largest), ac.Gaussian(sigma)
    check_precision(x.double(), noise)
    if good:
        check_precision(x, noise)
    else:
        with pytest.raises(ArgumentError, match="lost to rounding"):
            check_precision(x, noise)


@pytest.mark.parametrize("sigma", [1e-45, 1e-33])
def test_noise_may_not_be_subnormal(sigma):
    with pytest.raises(ArgumentError, match="lost to rounding"):
        check_precision(torch.zeros(1, 4), ac.Gaussian(sigma))


def test_slips_weaken_every_fact(monkeypatch):
    """With a slip of 1e-3 instead of 1e-9 all claims are weaker; by the ranges that theory 5 names."""
    sm = ac.SmoothedAttribution(
        lambda z, t: z.sin(),
        ac.Gaussian(0.5),
        ac.Clip(1.0),
        classifier=lambda z: torch.stack([z[:, 0], -z[:, 0]], dim=1),
    )
    x = torch.tensor([[0.6, 0.3]], dtype=torch.float64)
    settings = {"n_samples": 4_000, "seed": 0, "prove": ["fourth", "entries", "prediction"], "functionals": np.eye(2)}
    plain = sm.certify(x, **settings).evidence
    slip = 1e-3
    monkeypatch.setattr(ac.Gaussian, "slip", lambda self, d: slip)
    weak = sm.certify(x, **settings).evidence
    b = plain.top_variance.max_deviation[0]
    moved = {
        "norm.lower": (-2 * slip, 1e-9),
        "top_variance.upper": (slip * b**2, 1e-9),
        "cone.drift": (2 * slip, 2e-4),  # which rests on the top variance too
        "entries.low": (-2 * slip, 1e-9),
        "entries.high": (2 * slip, 1e-9),
        "functionals.low": (-2 * slip, 1e-9),
        "functionals.high": (2 * slip, 1e-9),
        "prediction.p_lower": (-slip, 1e-9),
    }
    before, after = plain.arrays(), weak.arrays()
    for name, (change, slack) in moved.items():
        np.testing.assert_allclose(after[name] - before[name], change, atol=slack, err_msg=name)
    np.testing.assert_allclose(after["cone.outside"], np.minimum(before["cone.outside"] + slip, 1.0), atol=1e-9)
    for name in ("cone.variance", "fourth.upper", "entries.second", "functionals.second"):
        assert (after[name] > before[name] + slip * 0.1).all(), name
