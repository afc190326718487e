"""Where others add to the library, and what is stored: a noise of one's own, from sampling to a file and back."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from evidences import evidence

import attricert as ac
from attricert.certificates import piece_classes
from attricert.noise import GaussianRatio
from attricert.registry import Registry

EPS = [0.0, 0.02, 0.1]


@dataclass(frozen=True)
class Doubled(ac.Noise):
    """A Gaussian whose parameter is twice its standard deviation.

    Args:
        width: twice the standard deviation.
    """

    width: float

    @property
    def same(self):
        return ac.Gaussian(self.width / 2)

    @property
    def scale(self):
        return self.width

    def with_scale(self, scale):
        return type(self)(scale)

    def deviation(self, d):
        return self.same.deviation(d)

    def sample(self, rng, d):
        return self.same.sample(rng, d)

    def derivative(self, rng, d):
        return self.same.derivative(rng, d)

    def lost_mass(self, eps, d):
        return self.same.lost_mass(eps, d)

    def shift_of(self, lost_mass, d):
        return self.same.shift_of(lost_mass, d)

    def likelihood_ratio(self, eps, d):
        return GaussianRatio(np.asarray(eps, dtype=np.float64) / (self.width / 2))


@pytest.fixture
def registered(monkeypatch):
    """For one test only."""
    monkeypatch.setattr(ac.NOISES, "_members", dict(ac.NOISES._members))
    ac.NOISES.register("doubled")(Doubled)


def certified(noise):
    smoothed = ac.SmoothedAttribution(ac.wrap(lambda x, target: torch.sin(x) + 0.5), noise)
    return smoothed.certify(torch.ones(2, 6), n_samples=300, seed=0)


def test_a_noise_of_ones_own(registered, tmp_path):
    assert isinstance(ac.NOISES, Registry)
    own, builtin = certified(Doubled(0.4)), certified(ac.Gaussian(0.2))
    np.testing.assert_array_equal(own.cosine(EPS), builtin.cosine(EPS))
    assert (own.max_eps(0.8) > 0).all()
    own.save(tmp_path / "own.safetensors")
    loaded = ac.Certificate.load(tmp_path / "own.safetensors")
    assert loaded.terms == own.terms
    assert loaded.terms.noise == Doubled(0.4)
    np.testing.assert_array_equal(loaded.cosine(EPS), own.cosine(EPS))


def test_a_noise_that_nobody_has_registered_is_refused_at_once():
    with pytest.raises(ac.ArgumentError, match="^noise='?Doubled'?: has no name; register it$"):
        ac.SmoothedAttribution(ac.wrap(lambda x, target: x), Doubled(0.4))


def test_a_file_with_such_a_noise_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "own.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(ac.NOISES, "_members", dict(ac.NOISES._members))
        ac.NOISES.register("doubled")(Doubled)
        evidence(Doubled(0.4), 0.9).save(path)
    with pytest.raises(ac.IntegrityError, match="doubled"):
        ac.Certificate.load(path)


def test_evidence_comes_back_whole(tmp_path):
    certificate = certified(ac.Gaussian(0.2))
    found = certificate.evidence
    found.save(tmp_path / "e.safetensors")
    loaded = ac.Evidence.load(tmp_path / "e.safetensors")
    assert (loaded.terms, loaded.outcome) == (found.terms, found.outcome)
    assert loaded.terms.ledger == found.terms.ledger
    assert set(loaded.pieces()) == set(found.pieces()) <= set(piece_classes())
    for name, array in found.arrays().items():
        np.testing.assert_array_equal(loaded.arrays()[name], array)
        assert loaded.arrays()[name].dtype == array.dtype
    rebuilt = ac.Evidence.of(found.terms, found.outcome, found.arrays())
    np.testing.assert_array_equal(ac.Certificate(rebuilt).cosine(EPS), certificate.cosine(EPS))
    assert set(found.without_maps().pieces()) == set(found.pieces()) - {"maps", "entries"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("norm.lower", np.array([0.5, np.nan]), "Norm.lower=.*nan"),
        ("cone.outside", None, "cone"),
        ("cone.stretch", np.array([0.5, 1.0]), "Cone.stretch=.*0.5"),
        ("cone.luck", np.ones(2), "cone"),
        ("luck.lower", np.ones(2), "luck"),
        ("top_variance.upper", np.array([-1.0, 1.0]), "TopVariance.upper"),
        ("sampling.zeros", np.array([1]), "sampling.zeros of shape"),
    ],
)
def test_what_cannot_be_evidence_is_refused_by_name(key, value, message):
    cone = {"center": 0.9, "drift": 0.1, "stretch": 1.0, "variance": 0.1, "along": [0.5], "across": [0.5]}
    found = evidence(ac.Gaussian(0.2), [0.8, 0.9], top_variance=0.1, cone={**cone, "outside": [0.1]})
    arrays = {**found.arrays(), key: value}
    with pytest.raises(ac.IntegrityError, match=message):
        ac.Evidence.of(found.terms, found.outcome, {k: v for k, v in arrays.items() if v is not None})
