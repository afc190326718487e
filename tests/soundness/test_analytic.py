"""Functions whose smoothed value is known: certificates never say more than the truth (docs/theory.md 10)."""

import math

import numpy as np
import pytest
import torch
from functions import rotor, rotor_norm
from scipy import integrate, stats

import attricert as ac

EPS = np.geomspace(1e-3, 3.0, 40)


def waves(d):
    k = np.zeros(d)
    k[:2] = 1.0, 0.5
    return k


@pytest.mark.parametrize(
    "noise", [ac.UniformBall(0.8), ac.UniformBall(2.0), ac.Gaussian(0.2), ac.Gaussian(0.9)], ids=repr
)
@pytest.mark.parametrize("d", [2, 12])
@pytest.mark.parametrize("guarantee", ["population", "observed"])
def test_rotor(noise, d, guarantee):
    k = waves(d)
    sm = ac.SmoothedAttribution(rotor(k), noise)
    x = torch.rand(3, d, dtype=torch.float64)
    certificate = sm.certify(x, n_samples=20_000, seed=2, guarantee=guarantee)
    assert (certificate.norm <= rotor_norm(k, noise)).all()
    assert (certificate.norm >= rotor_norm(k, noise) - 0.03).all()
    # The worst perturbation turns the phase by |k| eps.
    truth = np.cos(np.minimum(np.linalg.norm(k) * EPS, math.pi))
    assert (certificate.cosine(EPS) <= truth).all()
    thresholds = np.array([0.5, 0.8, 0.95])
    assert (certificate.max_eps(thresholds) <= np.arccos(thresholds) / np.linalg.norm(k)).all()


def test_the_estimated_map_is_the_smoothed_one():
    k, noise, d = waves(4), ac.UniformBall(1.3), 4
    x = torch.rand(2, d, dtype=torch.float64)
    maps = ac.SmoothedAttribution(rotor(k), noise).attribute(x, n_samples=100_000, seed=0)
    phase = (x @ torch.from_numpy(k))[:, None]
    truth = rotor_norm(k, noise) * torch.cat([torch.cos(phase), torch.sin(phase), torch.zeros(2, 2)], dim=1)
    assert torch.allclose(maps, truth, atol=0.01)


def marginal(noise, d):
    """Cdf of one coordinate of the noise, by quadrature of its density."""
    if isinstance(noise, ac.Gaussian):
        return stats.norm(0, noise.sigma).cdf
    r = noise.radius

    def weight(t):
        return (1 - (t / r) ** 2) ** ((d - 1) / 2)

    whole = integrate.quad(weight, -r, r)[0]
    return lambda t: integrate.quad(weight, -r, min(max(t, -r), r))[0] / whole


@pytest.mark.parametrize("noise", [ac.UniformBall(1.0), ac.Gaussian(0.4)], ids=repr)
@pytest.mark.parametrize("d", [2, 7, 30])
def test_half_space_attains_total_variation(noise, d):
    """h moves from -p to p when x crosses the boundary by eps: by 2 M p(eps), all that is allowed."""
    cdf = marginal(noise, d)
    for eps in (0.01, 0.2, 0.7):
        moved = (1 - 2 * cdf(-eps / 2)) - (1 - 2 * cdf(eps / 2))
        assert moved == pytest.approx(2 * float(noise.lost_mass(eps, d)), rel=1e-8)


@pytest.mark.parametrize("noise", [ac.UniformBall(1.0), ac.Gaussian(0.4)], ids=repr)
def test_half_space_is_never_crossed(noise):
    """The scalar map keeps its sign until x reaches the boundary at distance b; then the cosine is -1."""
    d, b = 3, 0.5

    def g(x, t):
        out = torch.zeros_like(x)
        out[:, 0] = torch.where(x[:, 0] > 0, 1.0, -1.0)
        return out

    x = torch.tensor([[b, 0.3, -0.2]], dtype=torch.float64)
    certificate = ac.SmoothedAttribution(g, noise).certify(x, n_samples=20_000, seed=0)
    true_norm = 2 * marginal(noise, d)(b) - 1
    assert 0 < certificate.norm[0] <= true_norm
    eps = np.linspace(b, 3 * b, 10)
    assert (certificate.cosine(eps) == -1.0).all()
    assert not certificate.certified(b).any()
    assert "may move the map" in certificate.abstention_reason(b)[0]


@pytest.mark.filterwarnings("ignore::attricert.MeaningWarning")  # the targets need not be the largest scores
def test_a_linear_model_keeps_its_map():
    net = torch.nn.Linear(6, 3).eval()
    sm = ac.SmoothedAttribution(ac.Saliency(net), ac.Gaussian(0.5))
    certificate = sm.certify(torch.rand(2, 6), target=[0, 2], n_samples=5_000, seed=0)
    assert (certificate.norm <= 1).all()
    assert (certificate.norm > 0.99).all()
    unit = net.weight[[0, 2]] / net.weight[[0, 2]].norm(dim=1, keepdim=True)
    np.testing.assert_allclose(certificate.maps, unit.detach().numpy(), atol=1e-6)


def test_nonnegative_maps_have_the_sharper_bound_and_it_holds():
    """Two disjoint bumps: g is e1 left of the boundary and e2 right of it; h turns as x crosses."""
    noise = ac.Gaussian(0.5)

    def g(x, t):
        out = torch.zeros_like(x)
        left = x[:, 0] < 0
        out[left, 0], out[~left, 1] = 1.0, 1.0
        return out

    x = torch.tensor([[0.3, 0.0]], dtype=torch.float64)
    plain, sharp = (
        ac.SmoothedAttribution(ac.wrap(g, nonnegative=promise), noise).certify(x, n_samples=20_000, seed=0, prove=[])
        for promise in (False, True)
    )
    eps = np.linspace(0.01, 1.5, 30)
    right = stats.norm(0, 0.5).cdf
    h = np.array([right(-0.3), right(0.3)])
    worst = np.ones(len(eps))
    for i, e in enumerate(eps):
        for shift in np.linspace(-e, e, 101):
            moved = np.array([right(-0.3 - shift), right(0.3 + shift)])
            worst[i] = min(worst[i], h @ moved / np.linalg.norm(h) / np.linalg.norm(moved))
    assert (sharp.cosine(eps) <= worst).all()
    assert (sharp.cosine(eps) >= plain.cosine(eps)).all()
    assert sharp.max_eps(0.9)[0] > 1.3 * plain.max_eps(0.9)[0]
    assert sharp.cosine(10.0)[0] == 0.0
    assert not sharp.certified(10.0)[0]
