"""A map that turns with its input, at many draws: what cones certify comes near the truth and never crosses it."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from functions import rotor

import attricert as ac
from attricert.certificates.cone import Cones

SIGMA = 0.15  # times ||k|| = 1
EPS = np.array([*np.geomspace(1e-3, 2.0, 24), 2 * SIGMA])


def certified(d, **settings):
    k = np.zeros(d)
    k[:2] = 0.8, 0.6
    sm = ac.SmoothedAttribution(rotor(k), ac.Gaussian(SIGMA), batch_size=20_000)
    x = torch.zeros(1, d, dtype=torch.float64)
    return sm.certify(x, n_samples=200_000, alpha=1e-3, seed=0, prove=["cone"], **settings)


@pytest.fixture(scope="module")
def plane():
    return certified(2)


def crossed(certificate):
    """At which sizes more is claimed than is true: the map turns by ||k|| eps."""
    return certificate.cosine(EPS)[0] > np.cos(np.minimum(EPS, math.pi)) + 1e-12


def test_the_turn_of_two_standard_deviations_is_certified_and_no_size_is_crossed(plane):
    for certificate in (plane, certified(4)):
        assert certificate.cosine(2 * SIGMA)[0] >= 0.89
        assert certificate.cosine(2 * SIGMA)[0] <= math.cos(2 * SIGMA)
        assert not crossed(certificate).any()
        thresholds = [0.3, 0.9, 0.99]
        assert (certificate.max_eps(thresholds)[0] <= np.arccos(thresholds)).all()


def test_without_cones_two_standard_deviations_are_too_much(plane):
    """The norm and the spread alone, by Cauchy and Schwarz: D = sqrt(lambda (exp(eps^2 / sigma^2) - 1)) or 2 M p."""
    spread = plane.evidence.top_variance.upper[0]
    by_spread = math.sqrt(spread * math.expm1(4))
    by_mass = 2 * math.erf(1 / math.sqrt(2))
    assert min(by_spread, by_mass) > plane.norm[0]


def test_a_stretch_without_its_angle_is_found_out(plane, monkeypatch):
    """As if v pointed along u, where the stretch gains all it can."""
    original = Cones.facts

    def faulty(self, theta):
        return dataclasses.replace(original(self, theta), second=self.variance / self.stretch**2)

    assert plane.evidence.cone.stretch[0] > 1
    monkeypatch.setattr(Cones, "facts", faulty)
    assert crossed(ac.Certificate(plane.evidence)).any()  # a certificate remembers what was asked of it before


def test_a_variance_that_is_too_small_is_found_out(plane):
    cone = plane.evidence.cone
    small = dataclasses.replace(plane.evidence, cone=dataclasses.replace(cone, variance=cone.variance / 4))
    assert crossed(ac.Certificate(small)).any()
