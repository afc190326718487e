"""Variance, features, rankings and label as a user meets them."""

import numpy as np
import pytest
import torch

import attricert as ac

SIGMA = 3.5 / 786**0.5


@pytest.fixture(scope="module")
def smoothed(model):
    return ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(SIGMA), ac.Normalize(max_entry=0.15))


@pytest.fixture(scope="module")
def certificate(smoothed, digits):
    segments = torch.arange(784).reshape(1, 28, 28) // 196
    return smoothed.certify(digits.images[:3], digits.labels[:3], n_samples=2_000, seed=0, functionals=segments)


def test_shapes_and_order(certificate):
    c = certificate
    assert (
        c.top_k_overlap(0.02, 100).shape
        == c.kendall_tau(0.02).shape
        == c.prediction_radius().shape
        == c.prediction.shape
        == (3,)
    )
    assert (
        c.top_k_overlap([0.01, 0.02], 100).shape
        == c.kendall_tau([0.01, 0.02]).shape
        == c.joint([0.01, 0.02]).shape
        == (3, 2)
    )
    assert c.binding(0.02).shape == (3,)
    assert c.binding([0.02, 0.1]).shape == (3, 2)
    low, high = c.intervals(0.02)
    assert low.shape == high.shape == c.signs(0.02).shape == c.top_k_stable(0.02, 100).shape == c.maps.shape
    assert all(bound.shape == (3, 4) for bound in c.functionals(0.02))
    assert (low <= high).all()
    np.testing.assert_array_equal(c.top_k_overlap([0.01, 0.02], 100)[:, 1], c.top_k_overlap(0.02, 100))
    assert (c.top_k_stable(0.02, 100).reshape(3, -1).sum(axis=1) <= 100 * c.top_k_overlap(0.02, 100) + 1e-9).all()


@pytest.mark.parametrize("absolute", [False, True])
def test_claims_weaken_with_eps(certificate, absolute):
    eps = [0.0, 0.01, 0.02, 0.05, 0.2]
    assert (np.diff(certificate.top_k_overlap(eps, 50, absolute=absolute)) <= 0).all()
    assert (np.diff(certificate.kendall_tau(eps, absolute=absolute)) <= 0).all()
    certain = [(certificate.signs(e) != 0).sum() for e in eps]
    assert certain == sorted(certain, reverse=True)
    assert certificate.top_k_overlap(0.2, 784, absolute=absolute).tolist() == [1.0, 1.0, 1.0]


def test_real_digits_say_something(certificate, digits):
    assert (certificate.max_eps(0.9) > 0.14).all()
    assert (certificate.top_k_overlap(0.01, 100) > 0.6).all()
    assert certificate.prediction.tolist() == digits.labels[:3].tolist()
    assert (certificate.prediction_radius() > 0.2).all()
    assert (certificate.joint(0.05) == certificate.cosine(0.05)).all()
    assert all(": " in words for words in certificate.binding([0.1, 2.0])[0])


def test_variance_gains_on_total_variation_from_the_same_draws(smoothed, certificate, digits):
    plain = smoothed.certify(digits.images[:3], digits.labels[:3], n_samples=2_000, seed=0, prove=[])
    assert (certificate.max_eps(0.9) > 2.2 * plain.max_eps(0.9)).all()
    assert all(words.startswith("size of the maps") for words in plain.binding(0.1))
    with pytest.raises(ac.ArgumentError, match="^entries="):
        plain.signs(0.1)
    with pytest.raises(ac.ArgumentError, match="^classifier="):
        plain.prediction_radius()
    with pytest.raises(ac.ArgumentError, match="^functionals="):
        plain.functionals(0.1)


def test_everything_survives_a_file(certificate, tmp_path):
    certificate.save(tmp_path / "c.safetensors")
    loaded = ac.Certificate.load(tmp_path / "c.safetensors")
    assert loaded.terms == certificate.terms
    for name, call in {
        "max_eps": lambda c: c.max_eps([0.8, 0.9]),
        "top_k": lambda c: c.top_k_overlap(0.02, 100),
        "functionals": lambda c: c.functionals(0.02)[0],
        "prediction": lambda c: c.prediction_radius(),
    }.items():
        np.testing.assert_array_equal(call(loaded), call(certificate), err_msg=name)


def test_observed_says_less_than_population(smoothed, certificate, digits):
    observed = smoothed.certify(
        digits.images[:3], digits.labels[:3], n_samples=2_000, seed=0, guarantee=ac.Observed(50_000)
    )
    eps = [0.005, 0.02, 0.05]
    assert (observed.cosine(eps) < certificate.cosine(eps)).all()
    assert (observed.top_k_overlap(eps, 100) <= certificate.top_k_overlap(eps, 100)).all()
    assert (observed.kendall_tau(eps) <= certificate.kendall_tau(eps)).all()
    assert (observed.prediction_radius() < certificate.prediction_radius()).all()
    assert (observed.top_k_overlap(0.005, 100) > 0.5).all()
    assert (observed.max_eps(0.9) > 0.1).all()


@pytest.mark.parametrize("noise", [ac.UniformBall(3.5), ac.Gaussian(SIGMA)], ids=repr)
@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("confidence", ["betting", "hoeffding", "bernstein"])
def test_features_and_label_for_every_setting(model, digits, noise, antithetic, confidence):
    sm = ac.SmoothedAttribution(ac.Saliency(model, abs=True), noise, ac.Normalize(0.15), antithetic=antithetic)
    c = sm.certify(digits.images[:1], digits.labels[:1], n_samples=800, seed=0, confidence=confidence)
    low, high = c.intervals(0.0)
    assert (low <= c.maps).all()
    assert (c.maps <= high).all()
    assert low.min() >= 0
    assert (c.prediction_radius() > 0).all()
    assert 0 <= c.top_k_overlap(0.001, 100)[0] <= 1


def test_stopping_early_by_variance(smoothed, digits):
    def run(eps):
        return smoothed.certify(digits.images[:1], 7, n_samples=6_000, seed=3, stop_at=ac.Claim(eps=eps, cosine=0.9))

    easy, hard = run(0.12), run(0.4)
    assert easy.evidence.outcome == ("proven",)
    assert easy.evidence.sampling.n_samples[0] < 2_000
    assert easy.cosine(0.12)[0] >= 0.9
    assert hard.evidence.outcome == ("refuted",)
    assert hard.evidence.sampling.n_samples[0] < 2_000
    assert easy.terms.ledger.names == ("norm", "top_variance", "entries")


def test_min_noise_scale_finds_less_noise_by_variance(model, digits):
    sm = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(1.0))
    settings = {"claim": ac.Claim(eps=0.05, cosine=0.9), "n_samples": 800, "seed": 0}
    sigma = sm.min_noise_scale(digits.images[:1], 7, **settings)[0]
    certificate = ac.SmoothedAttribution(sm.attribution, ac.Gaussian(sigma)).certify(
        digits.images[:1], 7, n_samples=4_000, seed=9
    )
    assert certificate.max_eps(0.9)[0] > 0.05
    assert sigma < 0.05 / ac.Gaussian(1.0).shift_of(0.5 * (1 - 0.81) ** 0.5, 784)  # where no norm would do without it
    few = sm.min_noise_scale(digits.images[:1], 7, **{**settings, "n_samples": 100}, guarantee="observed")
    assert few.tolist() == [np.inf]


def test_forecasts_come_true(smoothed, digits):
    x, y = digits.images[:3], digits.labels[:3]
    forecasts = smoothed.forecast(x, y, n_samples=400, seed=1)
    certificate = smoothed.certify(x, y, n_samples=8_000, seed=0, prove=["cone", "entries", "prediction"])
    expected = np.array([f.max_eps(0.9, 8_000) for f in forecasts])
    np.testing.assert_allclose(expected, certificate.max_eps(0.9), rtol=0.06)
    needed = forecasts[0].samples_needed(float(expected[0]), 0.9, 100, 40_000)
    assert 7_200 <= needed <= 8_800
    assert forecasts[0].samples_needed(5.0, 0.9, 100, 10_000) == np.inf


def test_higher_moments(model, digits):
    sm = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(SIGMA))
    c = sm.certify(digits.images[:1], 7, n_samples=4_000, seed=0, prove=["fourth"])
    e = c.evidence
    assert e.fourth.upper.shape == (1,)
    assert 0 < e.cone.outside[0, -1] < 0.02
    assert e.fourth.upper[0] > 0.8 * e.cone.variance[0] ** 2  # E Y^4 >= (E Y^2)^2, but for the bounds' slack


def test_a_classifier_of_ones_own_leaves_the_attributions_gradients_alone(digits, model):
    def g(x, t):
        leaf = x.clone().requires_grad_()
        return torch.autograd.grad(model(leaf)[:, 7].sum(), leaf)[0]

    sm = ac.SmoothedAttribution(g, ac.Gaussian(SIGMA), classifier=model)
    own = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(SIGMA))
    a, b = (s.certify(digits.images[:1], 7, n_samples=300, seed=0) for s in (sm, own))
    np.testing.assert_allclose(a.maps, b.maps, atol=1e-7)
    np.testing.assert_array_equal(a.prediction_radius(), b.prediction_radius())


def test_a_map_that_never_varies_claims_no_more_than_it_knows():
    """All draws alike: the reverse map beyond x_0 = 3.5 was never seen, but may be met at eps > 3.5."""

    def g(x, t):
        there = x[:, :1] > 3.5
        return torch.where(there, torch.tensor([0.25, 0.5, 0.75]), torch.tensor([0.75, 0.5, 0.25])).to(x)

    sm = ac.SmoothedAttribution(g, ac.Gaussian(1.0), ac.Clip(1.0))
    c = sm.certify(torch.zeros(1, 3, dtype=torch.float64), n_samples=4_000, seed=3, prove=["fourth", "entries"])
    for eps in (6.0, 8.5, 30.0):
        assert np.isfinite(c.kendall_tau(eps)).all()
        assert c.top_k_overlap(eps, 1)[0] == 0.0
        assert c.kendall_tau(eps)[0] <= -1.0 + 1e-12
        assert not c.top_k_stable(eps, 1).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prove": ["fifth"]}, "^prove='fifth'"),
        ({"prove": "cone"}, "^prove='cone': must be a list"),
        ({"prove": ["cone"], "stop_at": ac.Claim(eps=0.1, cosine=0.9)}, "^prove=.*fixed number of draws"),
        ({"prove": ["cone"], "confidence": "asymptotic"}, "^prove=.*the norm alone"),
        ({"functionals": torch.ones(2, 3)}, r"^functionals=\(2, 3\): must be weights of shape \(r, 1, 28, 28\)"),
        ({"functionals": torch.zeros(1, 1, 28, 28)}, "^functionals=.*none of them zero"),
    ],
)
def test_bad_settings_are_refused_before_sampling(smoothed, digits, settings, message):
    with pytest.raises(ac.ArgumentError, match=message):
        smoothed.certify(digits.images[:1], 7, n_samples=10**9, **settings)


@pytest.mark.parametrize("k", [0, -1, 785])
def test_bad_k_is_refused(certificate, k):
    for method in (certificate.top_k_overlap, certificate.top_k_stable):
        with pytest.raises(ac.ArgumentError, match="^k="):
            method(0.01, k)


def test_several_sizes_give_maps_for_each(certificate):
    low, high = certificate.intervals([0.1, 0.2])
    assert low.shape == high.shape == (3, 2, 1, 28, 28)
    np.testing.assert_array_equal(low[:, 1], certificate.intervals(0.2).low)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_bad_max_entry_is_refused(bad):
    for bound in (lambda: ac.Normalize(bad), lambda: ac.Clip(1.0, bad)):
        with pytest.raises(ac.ArgumentError, match="^max_entry="):
            bound()


def test_max_entry_is_part_of_the_bound():
    rows = torch.tensor([[3.0, 4.0], [0.0, -1.0]], dtype=torch.float64)
    expected = torch.tensor([[0.6, 0.7], [0.0, -0.7]], dtype=torch.float64)
    assert torch.allclose(ac.Normalize(max_entry=0.7)(rows), expected)
    assert repr(ac.Normalize(max_entry=0.7)) == "Normalize(max_entry=0.7)"
    assert repr(ac.Clip(2.0)) == "Clip(max_norm=2.0)"
    assert (ac.Normalize(0.7).entry_bound, ac.Clip(0.5).entry_bound) == (0.7, 0.5)


def test_higher_moments_of_tiny_maps_do_not_underflow():
    """g = M (0.8, 0.6 sign x_0): h turns from (0.8, 0) towards (0.8, 0.6 (2 Phi(eps) - 1))."""
    tiny, eps = 1e-60, 0.1

    def g(x, t):
        return tiny * torch.stack([torch.full_like(x[:, 0], 0.8), 0.6 * torch.sign(x[:, 0])], dim=1)

    sm = ac.SmoothedAttribution(g, ac.Gaussian(1.0), ac.Clip(tiny))
    c = sm.certify(torch.zeros(1, 2, dtype=torch.float64), n_samples=2_000, seed=0, prove=["fourth"])
    moved = 0.6 * 0.0796557
    assert c.cosine(eps)[0] <= 0.8 / (0.64 + moved**2) ** 0.5
    assert (c.evidence.top_variance.upper > 0.3 * tiny**2).all()
    with pytest.raises(ac.ArgumentError, match="^max_norm=.*rescale"):
        ac.Clip(1e-90)
