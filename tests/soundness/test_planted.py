"""Faults planted in evidence: each makes a claim false, where the sound evidence claims nothing that is."""

import dataclasses

import numpy as np
import pytest
import torch
from functions import crescents
from scipy import stats

import attricert as ac
from attricert.certificates import Evidence, Ledger, Terms
from attricert.certificates.pieces import Cone, Norm, Sampling, TopVariance

SIGMA, EPS = 0.5, np.linspace(0.05, 4.0, 30)


def with_cone(evidence, **changes):
    return ac.Certificate(dataclasses.replace(evidence, cone=dataclasses.replace(evidence.cone, **changes)))


def two_maps(usual, other, b):
    """``usual`` up to b, ``other`` beyond; and the true cosine at each eps, the perturbation being towards b."""
    usual, other = np.asarray(usual), np.asarray(other)

    def g(x, t):
        return torch.where(x[:, :1] > b, torch.from_numpy(other).to(x), torch.from_numpy(usual).to(x))

    def h(shift):
        p = stats.norm.sf((b - shift) / SIGMA)
        return (1 - p)[:, None] * usual + p[:, None] * other

    def cosine(eps):
        here, there = h(np.zeros(1))[0], h(np.asarray(eps))
        return there @ here / np.linalg.norm(there, axis=1) / np.linalg.norm(here)

    return g, cosine


@pytest.mark.parametrize("n", [1_000, 10_000])
def test_masses_outside_may_not_be_left_out(n):
    """The map turns round on an event of mass 1/3n, which hardly any call of n draws sees."""
    b = SIGMA * stats.norm.isf(1 / (3 * n))
    g, true = two_maps([0.8, 0.6], [-0.8, 0.6], b)
    sm = ac.SmoothedAttribution(g, ac.Gaussian(SIGMA), ac.Clip(1.0))
    sound = sm.certify(torch.zeros(1, 2, dtype=torch.float64), n_samples=n, seed=1)
    assert np.ptp(sound.evidence.cone.along) == 0  # no draw saw it
    faulty = with_cone(sound.evidence, outside=0 * sound.evidence.cone.outside)
    assert (sound.cosine(EPS)[0] <= true(EPS)).all()
    assert sound.cosine(SIGMA)[0] > 0.5  # not empty
    assert (faulty.cosine(EPS)[0] > true(EPS) + 0.1).any()


def exact(rows, mass, m, stretch):
    """Evidence of two maps whose probabilities are known: every bound is the value itself, around any m."""
    rows, mass, m = np.asarray(rows), np.asarray(mass), np.asarray(m)
    size = np.linalg.norm(m)
    u, h = m / size, mass @ rows
    along = rows @ u
    across = np.linalg.norm(rows - along[:, None] * u, axis=1)
    q = rows - m
    stretched = q + (stretch - 1) * np.outer(q @ u, u)
    top, inside = (np.linalg.eigvalsh((v * mass[:, None]).T @ v)[-1] for v in (q, stretched))
    count, none = np.ones(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    terms = Terms(
        noise=ac.Gaussian(SIGMA),
        dimension=2,
        max_norm=1.0,
        max_entry=1.0,
        bound="Clip(1.0)",
        nonnegative=False,
        alpha=0.05,
        observed=None,
        confidence="betting",
        antithetic=False,
        seed=0,
        ledger=Ledger.of(0.05, ["norm", "top_variance", "inside_variance", "drift", "regions"]),
    )
    slack = 1 + 1e-12
    return Evidence(
        terms=terms,
        sampling=Sampling(count, count.copy(), none, none.copy()),
        norm=Norm(np.array([np.linalg.norm(h) / slack])),
        outcome=("",),
        top_variance=TopVariance(np.array([top * slack]), np.array([1 + size])),
        cone=Cone(
            center=np.array([size]),
            drift=np.array([np.linalg.norm(h - m) * slack]),
            stretch=np.array([stretch]),
            variance=np.array([inside * slack]),
            along=np.array([[along.min() / slack]]),
            across=np.array([[across.max() * slack]]),
            outside=np.zeros((1, 1)),
        ),
    )


@pytest.mark.parametrize("stretch", [1.0, 2.0])
def test_the_drift_may_not_be_left_out(stretch):
    """A pilot that saw both maps as often as each other, while one of them is nearly all there is."""
    usual, other, b = [0.8, 0.6], [0.8, -0.6], 2 * SIGMA
    _, true = two_maps(usual, other, b)
    rare = stats.norm.sf(2)
    evidence = exact([usual, other], [1 - rare, rare], [0.8, 0.0], stretch)
    sound, faulty = ac.Certificate(evidence), with_cone(evidence, drift=np.zeros(1))
    assert (sound.cosine(EPS)[0] <= true(EPS)).all()
    assert (faulty.cosine(EPS)[0] > true(EPS) + 0.1).any()


def test_exact_evidence_with_a_good_pilot_is_not_crossed():
    """... and says more than with a bad one."""
    usual, other, b = [0.8, 0.6], [0.8, -0.6], 2 * SIGMA
    _, true = two_maps(usual, other, b)
    rare = stats.norm.sf(2)
    rows, mass = np.array([usual, other]), np.array([1 - rare, rare])
    good, bad = (ac.Certificate(exact(rows, mass, m, 1.0)) for m in (mass @ rows, [0.8, 0.0]))
    assert (good.cosine(EPS)[0] <= true(EPS)).all()
    assert good.max_eps(0.9)[0] > bad.max_eps(0.9)[0]


def test_masses_outside_may_not_be_left_out_on_the_crescents():
    """What the shifted ball alone sees has no mass at x; a certificate may forget neither it nor what is rare."""
    d, r, eps = 2, 1.0, 0.3
    noise = ac.UniformBall(r)
    g, true = crescents(d, r, eps, float(noise.lost_mass(eps, d)))
    sm = ac.SmoothedAttribution(ac.wrap(g), noise, ac.Clip(1.0), batch_size=10_000)
    sound = sm.certify(torch.zeros(1, d, dtype=torch.float64), n_samples=20_000, seed=0)
    norm = dataclasses.replace(sound.evidence.norm, lower=np.minimum(1.3 * sound.evidence.norm.lower, 1.0))
    faulty = ac.Certificate(dataclasses.replace(sound.evidence, norm=norm))
    assert sound.cosine(eps)[0] <= true < faulty.cosine(eps)[0]
