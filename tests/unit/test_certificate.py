import numpy as np
import pytest
from safetensors.numpy import save_file

import attricert as ac
from attricert.certificates import printed


@pytest.fixture(scope="module")
def certificate():
    def g(x, t):
        out = x.clone()
        out[:, 0] = (t.float() != 1) * 1.0
        out[:, 1:] *= 0.3 * (t.float() != 2)[:, None]
        return out * (t.float() != 3)[:, None]

    import torch

    x = torch.zeros(4, 6)
    sm = ac.SmoothedAttribution(ac.wrap(g), ac.UniformBall(1.0))
    return sm.certify(x, target=[0, 1, 2, 3], n_samples=500, seed=3)


def test_shapes(certificate):
    assert certificate.cosine(0.01).shape == (4,)
    assert certificate.cosine([0.01, 0.02, 0.03]).shape == (4, 3)
    assert certificate.max_eps(0.9).shape == (4,)
    assert certificate.max_eps([0.8, 0.9]).shape == (4, 2)
    assert certificate.abstains(0.01).shape == (4,)
    assert certificate.abstains([0.01, 0.1]).shape == (4, 2)
    assert certificate.maps.shape == (4, 6)
    assert len(certificate) == 4
    np.testing.assert_array_equal(certificate.cosine([0.01, 0.02])[:, 1], certificate.cosine(0.02))


def test_abstention_says_why(certificate):
    reasons = certificate.abstains([0.01, 0.9])
    assert reasons[0, 0] == ""
    assert "may move the map by" in reasons[0, 1]
    assert "cannot be told from zero" in reasons[1, 0]
    assert reasons[2, 0] == ""
    assert "all 450 sampled attributions are zero" in reasons[3, 0]
    np.testing.assert_array_equal(certificate.cosine([0.01, 0.9]) == -1.0, reasons.astype(bool))
    assert (certificate.max_eps(0.5) > 0).tolist() == [True, False, True, False]


def test_a_constant_map_is_certain_up_to_sampling(certificate):
    assert certificate.norm[2] > 0.96
    assert certificate.norm[0] < certificate.norm[2]


def test_saved_and_loaded_it_is_the_same(certificate, tmp_path):
    path = tmp_path / "deep" / "c.safetensors"
    certificate.save(path)
    loaded = ac.Certificate.load(path)
    assert loaded.statement == certificate.statement
    assert loaded.method == "sound"
    eps = np.linspace(0, 0.4, 9)
    np.testing.assert_array_equal(loaded.cosine(eps), certificate.cosine(eps))
    np.testing.assert_array_equal(loaded.maps, certificate.maps)
    assert loaded.evidence.outcome == certificate.evidence.outcome


def test_evidence_cannot_be_changed(certificate):
    with pytest.raises(ValueError, match="read-only"):
        certificate.evidence.norm[0] = 2.0
    with pytest.raises(AttributeError):
        certificate.evidence.norm = np.ones(4)


def test_corrupt_and_foreign_files_are_refused(certificate, tmp_path):
    path = tmp_path / "c.safetensors"
    certificate.save(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ac.IntegrityError, match="not a saved certificate"):
        ac.Certificate.load(path)
    save_file({"norm": np.ones(2)}, path)
    with pytest.raises(ac.IntegrityError, match="format None"):
        ac.Certificate.load(path)


def test_a_failed_save_leaves_nothing_behind(certificate, tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    path.write_text("before")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        certificate.save(path)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["before"]


def test_printed_says_once_that_it_is_no_bound(certificate):
    printed.warn_once.cache_clear()
    with pytest.warns(ac.NotABoundWarning, match="not a lower bound"):
        paper = ac.Certificate(certificate.evidence, method="printed")
    ac.Certificate(certificate.evidence, method="printed")  # a second warning would be an error here
    assert (paper.max_eps(0.9)[[0, 2]] > certificate.max_eps(0.9)[[0, 2]]).all()


@pytest.mark.parametrize("eps", [-0.1, float("nan"), float("inf"), [0.1, -1], "x", [[0.1]]])
def test_bad_eps_is_refused(certificate, eps):
    for method in (certificate.cosine, certificate.abstains):
        with pytest.raises(ac.ArgumentError, match="^eps="):
            method(eps)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.5, float("nan"), [0.5, 1.5]])
def test_bad_threshold_is_refused(certificate, threshold):
    with pytest.raises(ac.ArgumentError, match="^cosine="):
        certificate.max_eps(threshold)
