"""Functions whose smoothed value is known: variance never certifies more than the truth (docs/theory.md 3, 10)."""

import math

import numpy as np
import pytest
import torch
from functions import rotor
from scipy import stats

import attricert as ac

EPS = np.geomspace(1e-3, 3.0, 40)


def waves(d, size=1.0):
    k = np.zeros(d)
    k[:2] = size * np.array([0.8, 0.6])
    return k


def point(d, batch=1):
    return torch.rand(batch, d, dtype=torch.float64)


@pytest.mark.parametrize("guarantee", ["population", "observed"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"prove": ["fourth", "entries"]}, {"prove": ["top_variance", "entries"]}, {"confidence": "hoeffding"}],
    ids=str,
)
@pytest.mark.parametrize("sigma", [0.1, 0.4, 1.0])
def test_rotor_is_never_crossed(sigma, settings, guarantee):
    """The map turns by |k| eps; each entry is |h| times a cosine or a sine of the phase."""
    d, k = 5, waves(5)
    noise, x = ac.Gaussian(sigma), point(5)
    smoothed = ac.SmoothedAttribution(rotor(k), noise)
    certificate = smoothed.certify(x, n_samples=3_000, seed=3, guarantee=guarantee, **settings)
    assert (certificate.cosine(EPS) <= np.cos(np.minimum(EPS, math.pi))).all()
    thresholds = np.array([0.5, 0.9, 0.999] if guarantee == "population" else [0.9])  # a long search, if observed
    assert (certificate.max_eps(thresholds) <= np.arccos(thresholds)).all()
    size, phase = math.exp(-(sigma**2) / 2), (x @ torch.from_numpy(k)).numpy()
    for eps in (0.0, 0.05, 0.3, 1.0):
        low, high = certificate.intervals(eps)
        for shift in np.linspace(-eps, eps, 21):
            true = np.zeros((1, d))
            true[:, 0], true[:, 1] = size * np.cos(phase + shift), size * np.sin(phase + shift)
            assert (low <= true).all()
            assert (true <= high).all()


def test_variance_is_tight_for_a_rotor_and_small_noise():
    """As n grows eps comes within 2 % of the truth; total variation never does."""
    k, sigma, threshold = waves(2), 0.1, math.cos(0.01)
    smoothed = ac.SmoothedAttribution(rotor(k), ac.Gaussian(sigma), batch_size=20_000)
    ratios = []
    for n in (10_000, 60_000, 400_000):
        certificate = smoothed.certify(point(2), n_samples=n, seed=0, prove=["top_variance"])
        assert certificate.binding(0.01)[0].startswith("spread of the maps")
        ratios.append(certificate.max_eps(threshold)[0] / 0.01)
    assert ratios[0] < ratios[1] < ratios[2] <= 1
    assert ratios[2] >= 0.98
    plain = smoothed.certify(point(2), n_samples=60_000, seed=0, prove=[])
    assert plain.max_eps(threshold)[0] < 0.2 * 0.01


@pytest.mark.filterwarnings("ignore::attricert.MeaningWarning")  # the targets need not be the largest scores
def test_a_constant_map_has_almost_no_spread():
    net = torch.nn.Linear(6, 3).eval()
    smoothed = ac.SmoothedAttribution(ac.Saliency(net), ac.Gaussian(0.5))
    few, many = (smoothed.certify(torch.rand(1, 6), target=1, n_samples=n, seed=0) for n in (2_000, 50_000))
    assert many.evidence.top_variance.upper[0] < few.evidence.top_variance.upper[0] / 10 < 0.01
    assert many.cosine(0.3)[0] > 0.999
    assert many.max_eps(0.9)[0] > few.max_eps(0.9)[0] > 0.3
    unit = (net.weight[1] / net.weight[1].norm()).detach().numpy()
    assert (many.signs(0.1)[0] == np.sign(unit)).all()
    assert many.top_k_overlap(0.1, 3)[0] == 1.0
    assert many.kendall_tau(0.1)[0] == 1.0


def half_space(b):
    def g(x, t):
        out = torch.zeros_like(x)
        out[:, 0] = torch.where(x[:, 0] > 0, 1.0, -1.0)
        return out

    return g, torch.tensor([[b, 0.3, -0.2]], dtype=torch.float64)


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("settings", [{}, {"prove": ["fourth", "entries"]}], ids=str)
def test_half_space_is_never_crossed(settings, antithetic):
    b, sigma = 0.5, 0.4
    g, x = half_space(b)
    smoothed = ac.SmoothedAttribution(g, ac.Gaussian(sigma), antithetic=antithetic)
    certificate = smoothed.certify(x, n_samples=3_000, seed=0, **settings)
    assert (certificate.cosine(np.linspace(b, 3 * b, 10)) == -1.0).all()
    for eps in (0.0, 0.1, 0.4, 0.9):
        low, high = certificate.intervals(eps)
        for shift in np.linspace(-eps, eps, 11):
            true = 2 * stats.norm.cdf((b + shift) / sigma) - 1
            assert low[0, 0] <= true <= high[0, 0]
    assert certificate.signs(0.2)[0, 0] == 1
    assert certificate.signs(b)[0, 0] == 0


@pytest.mark.parametrize("noise", [ac.Gaussian(0.4), ac.UniformBall(0.9)], ids=repr)
@pytest.mark.parametrize("guarantee", ["population", "observed"])
def test_the_prediction_stays_as_far_as_is_certified(noise, guarantee):
    """A linear classifier: smoothing does not move its boundary, which lies at distance b."""
    b = 0.3
    g, x = half_space(b)
    smoothed = ac.SmoothedAttribution(g, noise, classifier=lambda x: torch.stack([0 * x[:, 0], x[:, 0]], dim=1))
    certificate = smoothed.certify(x, n_samples=50_000, seed=0, guarantee=guarantee)
    assert certificate.prediction.tolist() == [1]
    assert 0.85 * b < certificate.prediction_radius()[0] <= b
    grid = np.linspace(0.0, 0.6, 25)
    joint, cosine = certificate.joint(grid)[0], certificate.cosine(grid)[0]
    keeps = grid < certificate.prediction_radius()[0]
    assert (joint[keeps] == cosine[keeps]).all()
    assert (joint[~keeps] == -1.0).all()


def test_a_prediction_that_is_no_majority_is_not_certified():
    g, x = half_space(0.3)

    def three(x):
        return torch.stack([x[:, 0], x[:, 1], x[:, 2]], dim=1)

    smoothed = ac.SmoothedAttribution(g, ac.Gaussian(5.0), classifier=three)
    certificate = smoothed.certify(x, n_samples=2_000, seed=0)
    assert certificate.evidence.prediction.p_lower[0] < 0.5
    assert certificate.prediction_radius()[0] == 0.0
    assert certificate.joint(0.0)[0] == -1.0


def test_functionals_agree_with_what_is_known():
    """Of the rotor: a sum and a difference of its entries."""
    d, sigma = 4, 0.3
    k, x = waves(4), point(4)
    weights = torch.zeros(2, d)
    weights[0, :2], weights[1, 0], weights[1, 1] = 1.0, 1.0, -1.0
    smoothed = ac.SmoothedAttribution(rotor(k), ac.Gaussian(sigma))
    certificate = smoothed.certify(x, n_samples=20_000, seed=0, functionals=weights)
    phase, size = float(x[0] @ torch.from_numpy(k)), math.exp(-(sigma**2) / 2)
    for eps in (0.0, 0.1, 0.5):
        low, high = certificate.functionals(eps)
        for shift in np.linspace(-eps, eps, 11):
            cos, sin = size * math.cos(phase + shift), size * math.sin(phase + shift)
            assert low[0, 0] <= cos + sin <= high[0, 0]
            assert low[0, 1] <= cos - sin <= high[0, 1]
    # A label map sums entries: here all four, and each pair.
    segments = torch.tensor([7, 7, 2, 2])
    summed = smoothed.certify(x, n_samples=20_000, seed=0, functionals=segments)
    np.testing.assert_allclose(summed.functionals(0.1)[0][0, 1], low_of(certificate, 0.1), atol=1e-12)


def low_of(certificate, eps):
    return certificate.functionals(eps)[0][0, 0]
