import functools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from evidences import evidence
from safetensors import safe_open
from safetensors.numpy import save_file

import attricert as ac
from attricert.certificates import cosine as cosines
from attricert.certificates import paper
from attricert.report import rows_of


@pytest.fixture(scope="module")
def certificate():
    def g(x, t):
        out = x.clone()
        out[:, 0] = (t.float() != 1) * 1.0
        out[:, 1:] *= 0.3 * (t.float() != 2)[:, None]
        return out * (t.float() != 3)[:, None]

    x = torch.zeros(4, 6)
    sm = ac.SmoothedAttribution(ac.wrap(g), ac.UniformBall(1.0))
    return sm.certify(x, target=[0, 1, 2, 3], n_samples=500, seed=3)


def test_shapes(certificate):
    assert certificate.cosine(0.01).shape == (4,)
    assert certificate.cosine([0.01, 0.02, 0.03]).shape == (4, 3)
    assert certificate.max_eps(0.9).shape == (4,)
    assert certificate.max_eps([0.8, 0.9]).shape == (4, 2)
    assert certificate.abstention_reason(0.01).shape == (4,)
    assert certificate.abstention_reason([0.01, 0.1]).shape == (4, 2)
    assert certificate.maps.shape == (4, 6)
    assert len(certificate) == 4
    np.testing.assert_array_equal(certificate.cosine([0.01, 0.02])[:, 1], certificate.cosine(0.02))


def test_abstention_says_why(certificate):
    reasons = certificate.abstention_reason([0.01, 0.9])
    assert reasons[0, 0] == ""
    assert "may move the map by" in reasons[0, 1]
    assert "cannot be told from zero" in reasons[1, 0]
    assert reasons[2, 0] == ""
    assert "all 450 sampled attributions are zero" in reasons[3, 0]
    np.testing.assert_array_equal(certificate.cosine([0.01, 0.9]) == -1.0, reasons.astype(bool))
    np.testing.assert_array_equal(certificate.certified([0.01, 0.9]), ~reasons.astype(bool))
    assert (certificate.max_eps(0.5) > 0).tolist() == [True, False, True, False]


def test_reasons_are_those_of_each_input_alone(certificate):
    sizes = [0.01, 0.3, 0.9, 2.0]
    together = certificate.abstention_reason(sizes)
    alone = [[one.abstention_reason(size)[0] for size in sizes] for one in certificate]
    assert together.tolist() == alone
    assert len(set(together.ravel().tolist())) > 4  # or there would be nothing to mix up


def test_what_was_searched_for_is_not_searched_for_again(certificate, monkeypatch):
    fresh = ac.Certificate(certificate.evidence)
    searched = []
    search = cosines.cosine
    counted = functools.wraps(search)(lambda evidence, eps: searched.append(eps.tolist()) or search(evidence, eps))
    monkeypatch.setattr(cosines, "cosine", counted)
    first = fresh.cosine(0.02)
    first[:] = 5.0  # the caller's own
    np.testing.assert_array_equal(fresh.cosine([0.02])[:, 0], certificate.cosine(0.02))
    assert fresh.certified(0.02).any()
    assert searched == [[[0.02]]]
    fresh.cosine(0.03)
    assert searched == [[[0.02]], [[0.03]]]


def test_a_constant_map_is_certain_up_to_sampling(certificate):
    assert certificate.norm[2] > 0.95  # the norm has a fifth of alpha
    assert certificate.norm[0] < certificate.norm[2]


def test_saved_and_loaded_it_is_the_same(certificate, tmp_path):
    path = tmp_path / "deep" / "c.safetensors"
    certificate.save(path)
    loaded = ac.Certificate.load(path)
    assert loaded.terms == certificate.terms
    eps = np.linspace(0, 0.4, 9)
    np.testing.assert_array_equal(loaded.cosine(eps), certificate.cosine(eps))
    np.testing.assert_array_equal(loaded.maps, certificate.maps)
    assert loaded.evidence.outcome == certificate.evidence.outcome


def test_evidence_cannot_be_changed(certificate):
    with pytest.raises(ValueError, match="read-only"):
        certificate.evidence.norm.lower[0] = 2.0
    with pytest.raises(AttributeError):
        certificate.evidence.norm = np.ones(4)


def test_corrupt_and_foreign_files_are_refused(certificate, tmp_path):
    path = tmp_path / "c.safetensors"
    certificate.save(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ac.IntegrityError, match=r"c\.safetensors: not a readable safetensors file"):
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
    paper._warn_once.cache_clear()
    with pytest.warns(ac.NotABoundWarning, match="not a lower bound"):
        printed = ac.PaperCertificate(certificate.evidence)
    ac.PaperCertificate(certificate.evidence)  # a second warning would be an error here
    displacement = ac.Certificate(replace(certificate.evidence, top_variance=None, cone=None))
    assert (printed.max_eps(0.9)[[0, 2]] > displacement.max_eps(0.9)[[0, 2]]).all()


@pytest.mark.parametrize("eps", [-0.1, float("nan"), float("inf"), [0.1, -1], "x", [[0.1]]])
def test_bad_eps_is_refused(certificate, eps):
    for method in (certificate.cosine, certificate.abstention_reason, certificate.certified, certificate.binding):
        with pytest.raises(ac.ArgumentError, match="^eps="):
            method(eps)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.5, float("nan"), [0.5, 1.5]])
def test_bad_threshold_is_refused(certificate, threshold):
    with pytest.raises(ac.ArgumentError, match="^cosine="):
        certificate.max_eps(threshold)


def test_shares_sum_to_alpha(certificate):
    terms = certificate.terms
    assert terms.ledger.total == pytest.approx(terms.alpha, rel=1e-12)
    assert set(terms.ledger.names) >= {"norm", "top_variance", "inside_variance", "drift", "regions", "entries"}
    assert terms.ledger.entries == 6


def test_rows_can_be_taken(certificate):
    assert [len(part) for part in certificate] == [1] * 4
    np.testing.assert_allclose(certificate[2].cosine(0.01), certificate.cosine(0.01)[2:3], rtol=1e-9)
    assert len(certificate[1:3]) == 2
    assert certificate[-1].norm == certificate.norm[-1:]
    np.testing.assert_array_equal(certificate[np.array([False, True, False, True])].norm, certificate[[1, 3]].norm)
    assert len(certificate[[]]) == len(certificate[4:]) == len(rows_of(certificate[[]], {}, [0.1], [0.9])) == 0
    with pytest.raises(IndexError):
        certificate[4]
    for rows in ("a", [0.5], [True], [[0]]):
        with pytest.raises(ac.ArgumentError, match="^rows="):
            certificate[rows]


def test_a_certificate_in_a_line_and_as_itself(certificate):
    assert "4 inputs, UniformBall(radius=" in repr(certificate)
    assert len(repr(certificate)) < 300
    assert certificate == certificate
    assert certificate != certificate[:]
    with pytest.raises(ac.ArgumentError, match=r"^evidence=5: .* Certificate\.load"):
        ac.Certificate(5)
    with pytest.raises(ac.ArgumentError, match="^path='nowhere'"):
        ac.Certificate.load("nowhere")


def test_no_sizes_and_no_thresholds(certificate):
    assert certificate.cosine([]).shape == certificate.max_eps([]).shape == (4, 0)
    assert np.isfinite(certificate.cosine(1e300)).all()


def test_shares_are_stored_and_read_back_as_they_are(certificate, tmp_path):
    """What is proven lies in the numbers: another ledger changes nothing but what is said of it."""
    path = tmp_path / "c.safetensors"
    certificate.save(path)
    with safe_open(path, framework="numpy") as file:
        keys = file.keys()
        arrays = {key: file.get_tensor(key) for key in keys}
        metadata = file.metadata()
    terms = json.loads(metadata["terms"])
    terms["ledger"]["shares"]["norm"] /= 2
    save_file(arrays, path, metadata={**metadata, "terms": json.dumps(terms)})
    edited = ac.Certificate.load(path)
    assert edited.terms.share("norm") == certificate.terms.share("norm") / 2
    np.testing.assert_array_equal(edited.cosine([0.01, 0.02]), certificate.cosine([0.01, 0.02]))
    for shares in ({"norm": 0.0}, {"norm": 1.5}, {"norm": "much"}, ["norm"], None):
        terms["ledger"]["shares"] = shares
        save_file(arrays, path, metadata={**metadata, "terms": json.dumps(terms)})
        with pytest.raises(ac.IntegrityError, match="ledger"):
            ac.Certificate.load(path)


def test_claims_cannot_be_given_by_position():
    with pytest.raises(TypeError):
        ac.Claim(0.9, 0.05)
    with pytest.raises(ac.ArgumentError, match="^cosine=1.5"):
        ac.Claim(eps=0.1, cosine=1.5)
    with pytest.raises(ac.ArgumentError, match="^eps="):
        ac.Claim(eps=0.0, cosine=0.5)


def test_what_was_not_proven_is_refused_by_name():
    bare = ac.Certificate(evidence(ac.Gaussian(1.0), 0.9))
    for name, ask in (
        ("entries", lambda: bare.intervals(0.1)),
        ("functionals", lambda: bare.functionals(0.1)),
        ("classifier", bare.prediction_radius),
        ("maps", lambda: bare.maps),
    ):
        with pytest.raises(ac.ArgumentError, match=f"^{name}="):
            ask()
