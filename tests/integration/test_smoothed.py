"""The library as a user meets it."""

import dataclasses
from typing import ClassVar, final

import numpy as np
import pytest
import torch
from functions import rotor, rotor_norm
from scipy import stats

import attricert as ac
from attricert.confidence import Betting

SETTINGS = {"n_samples": 600, "seed": 7}


@pytest.fixture
def smoothed(model):
    return ac.SmoothedAttribution(ac.Saliency(model), noise=ac.UniformBall(radius=3.5), bound=ac.Normalize())


@pytest.fixture(scope="module")
def certificate(model, digits):
    sm = ac.SmoothedAttribution(ac.Saliency(model), ac.UniformBall(3.5))
    return sm.certify(digits.images[:4], digits.labels[:4], n_samples=2_000, seed=7)


def test_real_digits_are_certified(certificate):
    assert (certificate.max_eps(0.9) > 0.045).all()
    assert (certificate.cosine(0.02) > 0.97).all()
    assert (certificate.evidence.sampling.n_samples == 1_800).all()
    assert (certificate.evidence.sampling.n_pilot == 200).all()
    s = certificate.terms
    assert (s.dimension, s.max_norm, s.alpha, s.confidence, s.seed) == (784, 1.0, 1e-3, "betting", 7)


def test_results_do_not_depend_on_batch_size_company_or_order(model, digits, smoothed):
    small = ac.SmoothedAttribution(smoothed.attribution, smoothed.noise, batch_size=37)
    together = smoothed.certify(digits.images[:3], digits.labels[:3], **SETTINGS)
    for i in (2, 0, 1):
        alone = small.certify(digits.images[i : i + 1], digits.labels[i : i + 1], **SETTINGS)
        assert alone.norm[0] == pytest.approx(together.norm[i], abs=1e-6)
        np.testing.assert_allclose(alone.maps[0], together.maps[i], atol=1e-6)


def test_seeds(digits, smoothed):
    def norms(**settings):
        return smoothed.certify(digits.images[:1], 7, n_samples=200, **settings)

    a, b, c = norms(seed=1), norms(seed=1), norms(seed=2)
    assert a.norm == b.norm
    assert not np.array_equal(a.maps, c.maps)
    fresh, other = norms(), norms()
    assert fresh.terms.seed != other.terms.seed
    assert np.array_equal(norms(seed=fresh.terms.seed).maps, fresh.maps)
    assert not np.array_equal(norms(seed=1, sample_ids=["mine"]).maps, a.maps)


def test_pilot_and_main_draws_are_never_shared(monkeypatch, digits, smoothed):
    from attricert.sampling.copies import Copies

    asked = []
    original = Copies._noise

    def spy(self, x, stream, start, stop):
        noise = original(self, x, stream, start, stop)
        asked.append((stream.stage, noise))
        return noise

    monkeypatch.setattr(Copies, "_noise", spy)
    smoothed.certify(digits.images[:1], 7, **SETTINGS)
    pilot, main = (torch.cat([n for stage, n in asked if stage == s]) for s in ("pilot", "main"))
    assert (len(pilot), len(main)) == (60, 540)
    assert torch.cdist(pilot, main).min() > 1.0


def test_attribute_in_the_inputs_shape_and_dtype(digits, smoothed):
    maps = smoothed.attribute(digits.images[:2], target=[7, 2], n_samples=50, seed=0)
    assert maps.shape == (2, 1, 28, 28)
    assert maps.dtype == torch.float32


@pytest.mark.parametrize("confidence", ["betting", "hoeffding", "bernstein", "asymptotic"])
def test_every_confidence_bound_on_real_digits(digits, smoothed, certificate, confidence):
    norm = smoothed.certify(digits.images[:2], digits.labels[:2], confidence=confidence, **SETTINGS).norm
    assert (norm > 0.5).all()
    assert (norm < certificate.norm[:2] + 0.05).all()


def test_antithetic_pairs_do_not_change_what_is_estimated(digits, model, certificate):
    sm = ac.SmoothedAttribution(ac.Saliency(model), ac.UniformBall(3.5), antithetic=True)
    pairs = sm.certify(digits.images[:2], digits.labels[:2], n_samples=2_000, seed=7)
    assert (pairs.evidence.sampling.n_samples == 1_800).all()
    np.testing.assert_allclose(pairs.norm, certificate.norm[:2], atol=0.03)


def test_sampling_stops_when_the_claim_is_decided(digits, smoothed):
    x, y = digits.images[:1], digits.labels[:1]

    def run(eps, n=3_000):
        return smoothed.certify(x, y, n_samples=n, seed=3, stop_at=ac.Claim(eps=eps, cosine=0.9))

    easy, hard, close = run(0.03), run(0.2), run(0.0637, 600)
    assert easy.evidence.outcome == ("proven",)
    assert easy.evidence.sampling.n_samples[0] < 1_000
    assert easy.cosine(0.03)[0] >= 0.9
    assert hard.evidence.outcome == ("refuted",)
    assert hard.evidence.sampling.n_samples[0] < 1_000
    assert hard.cosine(0.2)[0] < 0.9
    assert close.evidence.outcome == ("open",)
    assert close.evidence.sampling.n_samples[0] == 540


def test_where_sampling_may_stop_early_the_pilot_is_small_and_one_certificate_answers_all(digits, smoothed):
    """The claim at which it stopped is one of many that hold at once, of every eps and threshold."""
    early = smoothed.certify(digits.images[:1], 7, n_samples=5_000, seed=3, stop_at=ac.Claim(eps=0.03, cosine=0.9))
    assert early.evidence.outcome == ("proven",)
    assert early.evidence.sampling.n_pilot[0] == 200
    sizes = early.max_eps([0.5, 0.8, 0.9])[0]
    assert sizes[2] >= 0.03
    assert (np.diff(sizes) < 0).all()
    assert (early.cosine(sizes)[0] >= np.array([0.5, 0.8, 0.9]) - 1e-9).all()
    assert (np.diff(early.cosine([0.01, 0.02, 0.03, 0.04])[0]) < 0).all()


def test_early_stopping_does_not_depend_on_the_batch_size(digits, model):
    def run(size):
        sm = ac.SmoothedAttribution(ac.Saliency(model), ac.UniformBall(3.5), batch_size=size)
        return sm.certify(
            digits.images[:1], 7, n_samples=5_000, seed=3, stop_at=ac.Claim(eps=0.05, cosine=0.9)
        ).evidence

    a, b = run(50), run(400)
    assert a.sampling.n_samples == b.sampling.n_samples
    assert a.norm.lower[0] == pytest.approx(b.norm.lower[0], abs=1e-6)


def test_stopping_early_needs_an_anytime_bound(digits, smoothed):
    with pytest.raises(ac.ArgumentError, match="valid at any time: 'betting'"):
        smoothed.certify(digits.images[:1], 7, confidence="hoeffding", stop_at=ac.Claim(eps=0.01, cosine=0.9))


def test_stopping_early_leaves_out_what_holds_at_a_fixed_number_of_draws(digits, smoothed):
    whole = smoothed.certify(digits.images[:1], 7, n_samples=300, seed=3)
    early = smoothed.certify(digits.images[:1], 7, n_samples=300, seed=3, stop_at=ac.Claim(eps=0.01, cosine=0.9))
    pieces = {"sampling", "norm", "maps", "explained", "top_variance", "entries"}
    assert set(early.evidence.pieces()) == pieces
    assert set(whole.evidence.pieces()) == pieces | {"cone", "prediction"}
    assert set(early.terms.ledger.names) == {"norm", "top_variance", "entries"}
    for name in ("cone", "fourth", "prediction"):
        with pytest.raises(ac.ArgumentError, match=f"^prove=.*{name}: proven at a fixed number of draws"):
            smoothed.certify(digits.images[:1], 7, prove=[name], stop_at=ac.Claim(eps=0.01, cosine=0.9))


@pytest.fixture
def register():
    """Give bounds words for the time of a test."""
    members, before = ac.CONFIDENCE_BOUNDS._members, dict(ac.CONFIDENCE_BOUNDS._members)
    yield ac.CONFIDENCE_BOUNDS.register
    members.clear()
    members.update(before)


@final
@dataclasses.dataclass(frozen=True)
class Halved(ac.LowerBound):
    """Betting at half of the mean's height: as valid at any time, and easily told from it."""

    anytime: ClassVar[bool] = True
    inner: ac.LowerBound
    low: float

    @classmethod
    def start(cls, problem):
        """No draws yet."""
        return cls(Betting.start(problem), problem.low)

    def update(self, values):
        """After these draws too."""
        return dataclasses.replace(self, inner=self.inner.update(values))

    def lower(self):
        """Half-way to the smallest possible draw."""
        return (self.inner.lower() + self.low) / 2


def test_a_bound_of_ones_own_may_stop_early_if_it_says_that_it_holds_at_any_time(digits, smoothed, register):
    register("halved")(Halved)
    fixed = type("Fixed", (Halved,), {"anytime": False, "__doc__": "At a fixed number of draws."})
    register("fixed")(fixed)
    settings = {"n_samples": 600, "seed": 3, "stop_at": ac.Claim(eps=0.001, cosine=0.5)}
    certificate = smoothed.certify(digits.images[:1], 7, confidence="halved", **settings)
    assert certificate.evidence.outcome == ("open",)
    known = smoothed.certify(digits.images[:1], 7, confidence="betting", **settings)
    assert known.evidence.outcome == ("proven",)
    with pytest.raises(ac.ArgumentError, match="valid at any time: 'betting' or 'halved'"):
        smoothed.certify(digits.images[:1], 7, confidence="fixed", **settings)
    without = {"n_samples": 200, "seed": 3, "prove": []}
    assert smoothed.certify(digits.images[:1], 7, confidence="fixed", **without).terms.confidence == "fixed"


def test_observed_costs_a_margin(digits, smoothed, certificate):
    observed = smoothed.certify(
        digits.images[:4], digits.labels[:4], n_samples=2_000, seed=7, guarantee=ac.Observed(100_000)
    )
    assert (observed.max_eps(0.9) < certificate.max_eps(0.9)).all()
    assert (observed.max_eps(0.9) > 0.5 * certificate.max_eps(0.9)).all()


def test_min_noise_scale_is_certified_and_not_far_from_the_least():
    """A rotor's norm at every radius is known, so the least radius is too."""
    k, eps, threshold = [0.5, 0.2, 0.0], 0.05, 0.9
    sm = ac.SmoothedAttribution(rotor(k), ac.UniformBall(9.0))
    x = torch.rand(2, 3, dtype=torch.float64)
    found = sm.min_noise_scale(x, claim=ac.Claim(eps=eps, cosine=threshold), n_samples=4_000, alpha=1e-3, seed=0)
    radii = np.linspace(0.01, 5, 5_000)
    enough = [
        2 * ac.UniformBall(r).lost_mass(eps, 3) <= rotor_norm(k, ac.UniformBall(r)) * (1 - threshold**2) ** 0.5
        for r in radii
    ]
    least = radii[np.argmax(enough)]
    assert (found >= least).all()
    assert (found <= 1.05 * least).all()


def test_min_noise_scale_up_to_the_largest():
    sm = ac.SmoothedAttribution(rotor([20.0, 0.0]), ac.Gaussian(1.0))
    x = torch.zeros(1, 2, dtype=torch.float64)
    assert sm.min_noise_scale(x, claim=ac.Claim(eps=0.5, cosine=0.9), n_samples=500, largest=3.0, seed=0).tolist() == [
        np.inf
    ]


@pytest.mark.filterwarnings("ignore:PaperCertificate")
def test_the_papers_radius_holds_the_norm_fixed(digits, smoothed):
    """The radius at which 2 p = c sin(theta); the paper's at which 2 p = c tan(theta). (a_1 / r)^2 has a Beta law."""
    certificate = smoothed.certify(digits.images[:2], digits.labels[:2], n_samples=600, seed=7, prove=[])
    paper = ac.PaperCertificate(certificate.evidence)
    eps, theta = 0.05, np.arccos(0.9)
    for found, allowed in ((certificate, np.sin(theta)), (paper, np.tan(theta))):
        for scale, norm in zip(found.fixed_norm_scale(eps, 0.9), certificate.norm, strict=True):
            moved = 2 * stats.beta(0.5, (784 + 1) / 2).cdf((eps / (2 * scale)) ** 2)
            assert moved == pytest.approx(norm * allowed, rel=1e-6)


def test_a_fixed_norm_scale_is_that_of_all_evidence(certificate):
    """With noise of that scale, and the evidence as it is, the cosine is what was asked for."""
    e = certificate[0].evidence
    scale = float(certificate.fixed_norm_scale(0.05, 0.9)[0])
    terms = dataclasses.replace(e.terms, noise=ac.UniformBall(scale))
    there = ac.Certificate(dataclasses.replace(e, terms=terms))
    assert there.max_eps(0.9)[0] == pytest.approx(0.05, rel=1e-6)
    assert 0.9 - 1e-6 < there.cosine(0.05)[0] < 0.9 + 1e-6  # a search of its own, for the angle


def test_progress_counts_every_copy(digits, smoothed):
    done = []
    smoothed.certify(digits.images[:2], digits.labels[:2], n_samples=300, seed=0, progress=done.append)
    assert sum(done) == 600
    smoothed.attribute(digits.images[:1], 7, n_samples=20, progress=True)


def test_nonfinite_attributions_are_counted_and_reported():
    def g(x, t):
        out = torch.ones_like(x)
        out[x[:, 0] > 0] = float("nan")
        return out

    x = torch.zeros(1, 3, dtype=torch.float64)
    with pytest.warns(ac.AttributionWarning, match="held NaN or inf; they count as zero"):
        certificate = ac.SmoothedAttribution(g, ac.Gaussian(1.0)).certify(x, n_samples=1_000, seed=0)
    assert 350 < certificate.evidence.sampling.nonfinite[0] < 550
    assert certificate.norm[0] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.zeros(2, 3, dtype=torch.uint8), "inputs='torch.uint8': .*divide 8-bit images by 255"),
        (torch.zeros(2, 3, dtype=torch.float16), "inputs='torch.float16': must be float32 or float64"),
        (torch.tensor([[0.0, float("nan")]]), "inputs='1 entries NaN or inf': must be finite"),
        (torch.tensor([[0.0, float("inf")]]), "must be finite"),
        (torch.zeros(3), "inputs=\\(3,\\): must have shape \\(batch, ...\\)"),
        (torch.zeros(0, 3), "not empty"),
    ],
)
def test_bad_inputs_are_refused(inputs, message):
    sm = ac.SmoothedAttribution(lambda x, t: x, ac.Gaussian(1.0))
    for call in (sm.certify, sm.attribute):
        with pytest.raises(ac.ArgumentError, match=message):
            call(inputs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 99}, "n_samples=99: must be an integer >= 100"),
        ({"alpha": 0.0}, "alpha=0.0"),
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"seed": -1}, "seed=-1"),
        ({"confidence": "beting"}, "did you mean 'betting'"),
        ({"guarantee": "observd"}, "did you mean 'observed'"),
        ({"prove": ["cones"]}, "did you mean 'cone'"),
        ({"stop_at": (0.1, 0.9)}, r"stop_at=\(0.1, 0.9\): must be Claim"),
        ({"target": [0, 1, 2]}, "target=\\(3,\\): must be one class index, or one for each of the 2 inputs"),
        ({"target": [0.5, 1.0]}, "integers"),
        ({"target": -3}, "target=-3"),
        ({"target": ["cat", "dog"]}, "must be class indices"),
        ({"sample_ids": ["one"]}, "must be a list of names, one for each of the 2 inputs"),
        ({"prove": 5}, "prove=5: must be a list of names"),
        ({"prove": "cone"}, "prove='cone': must be a list of names"),
        ({"progress": 5}, "progress=5: must be True, False, or a function"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    sm = ac.SmoothedAttribution(lambda x, t: x, ac.Gaussian(1.0))
    with pytest.raises(ac.ArgumentError, match=message):
        sm.certify(torch.rand(2, 3), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"largest": -1.0}, "largest=-1.0"), ({"n_samples": 99}, "n_samples=99"), ({"alpha": 0.0}, "alpha=0.0")],
)
def test_bad_searches_are_refused(arguments, message):
    sm = ac.SmoothedAttribution(lambda x, t: x, ac.Gaussian(1.0))
    with pytest.raises(ac.ArgumentError, match=message):
        sm.min_noise_scale(torch.rand(2, 3), claim=ac.Claim(eps=0.1, cosine=0.9), **arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ac.Claim(eps=-0.1, cosine=0.9), "eps=-0.1"),
        (lambda: ac.Claim(eps=0.0, cosine=0.9), "eps=0.0"),
        (lambda: ac.Claim(eps=0.1, cosine=1.0), "cosine=1.0"),
        (lambda: ac.Observed(0), "n_samples=0"),
    ],
)
def test_bad_claims_are_refused(make, message):
    with pytest.raises(ac.ArgumentError, match=message):
        make()


def test_the_papers_formula_is_for_the_ball_and_the_population(digits, model, smoothed):
    gaussian = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.1))
    for sm, settings, name in ((gaussian, {}, "noise"), (smoothed, {"guarantee": "observed"}, "guarantee")):
        certificate = sm.certify(digits.images[:1], 7, n_samples=100, seed=0, prove=[], **settings)
        with pytest.raises(ac.ArgumentError, match=f"^{name}="):
            ac.PaperCertificate(certificate.evidence)


@pytest.mark.parametrize("search", ["plan", "min_noise_scale"])
def test_searches_are_for_claims(search):
    sm = ac.SmoothedAttribution(lambda x, t: x, ac.Gaussian(1.0))
    with pytest.raises(ac.ArgumentError, match=r"^claim=\(0.1, 0.9\): must be Claim"):
        getattr(sm, search)(torch.rand(2, 3), claim=(0.1, 0.9))


def test_bad_settings_are_refused(model):
    for no_attribution in (model, ac.Saliency):
        with pytest.raises(ac.ArgumentError, match=r"such as Saliency\(model\)"):
            ac.SmoothedAttribution(no_attribution, ac.Gaussian(1.0))
    with pytest.raises(ac.ArgumentError, match="batch_size=0"):
        ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(1.0), batch_size=0)
    with pytest.raises(ac.ArgumentError, match="memory_budget=-5"):
        ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(1.0), memory_budget=-5)


def test_targets_out_of_range_are_refused(digits, smoothed):
    with pytest.raises(ac.ArgumentError, match="target=10: must be a class index from 0 to 9"):
        smoothed.certify(digits.images[:1], 10)
