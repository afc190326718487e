"""Results as a pandas data frame."""

import sys

import numpy as np
import pytest

import attricert as ac
from attricert.report import to_frame


@pytest.fixture(scope="module")
def certificate(model, digits):
    sm = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.2), ac.Normalize(max_entry=0.15))
    return sm.certify(digits.images[:3], digits.labels[:3], n_samples=300, seed=0)


def test_one_row_an_input_one_column_a_question(certificate):
    frame = to_frame(certificate, eps=[0.01, 0.02], cosine=0.9, top_k=50)
    assert len(frame) == 3
    np.testing.assert_array_equal(frame["max_eps_cosine_0.9"], certificate.max_eps(0.9))
    np.testing.assert_array_equal(frame[["cosine_eps_0.01", "cosine_eps_0.02"]], certificate.cosine([0.01, 0.02]))
    np.testing.assert_array_equal(frame["top_50_overlap_eps_0.02"], certificate.top_k_overlap(0.02, 50))
    assert "max_eps_cosine_0.9" not in to_frame(certificate, eps=0.01)


def test_wrong_sizes_are_refused(certificate):
    with pytest.raises(ac.ArgumentError, match=r"eps=-1: must be finite and >= 0"):
        to_frame(certificate, eps=-1)
    with pytest.raises(ac.ArgumentError, match=r"cosine=1.5: must be > 0 and < 1"):
        to_frame(certificate, cosine=1.5)


def test_without_pandas_it_says_so(certificate, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ac.UnavailableError, match="needs pandas"):
        to_frame(certificate, eps=0.01)
