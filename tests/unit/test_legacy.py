"""Files that version 0.1 wrote, and what it said of them (tests/data/evidence-0.1)."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import attricert as ac
from attricert.certificates.ledger import LEGACY_WEIGHTS

FOLDER = Path(__file__).parents[1] / "data" / "evidence-0.1"
SAID = json.loads((FOLDER / "expected.json").read_text())
EPS, COSINE, EXPECTED = SAID["eps"], SAID["cosine"], SAID["expected"]
CLOSE = 1e-9

pytestmark = pytest.mark.filterwarnings("ignore::attricert.NotABoundWarning")


def loaded(name):
    return ac.Certificate.load(FOLDER / f"{name}.safetensors")


@pytest.mark.parametrize("name", EXPECTED)
def test_no_certificate_is_smaller_than_it_was(name):
    """Programs of norm and top variance are the old bounds; the higher moments are no longer read.

    Averages have a sharper spread at the perturbed input: theirs grow. All others are what they were.
    """
    certificate, old = loaded(name), EXPECTED[name]
    moments = name == "gaussian-moments"
    cosine, eps = certificate.cosine(EPS) - old["cosine"], certificate.max_eps(COSINE) - old["max_eps"]
    if moments:
        assert (cosine <= CLOSE).all()
        assert (eps <= CLOSE).all()
    else:
        assert (cosine >= -CLOSE).all()
        assert (eps >= -CLOSE).all()
    if name != "gaussian-observed":
        np.testing.assert_allclose(cosine, 0.0, atol=CLOSE)
        np.testing.assert_allclose(eps, 0.0, atol=CLOSE)
    if "label_eps" in old:
        assert (certificate.prediction_radius() >= np.array(old["label_eps"]) - CLOSE).all()
    assert (certificate.max_eps(COSINE) > 0).any()


@pytest.mark.parametrize("name", ["gaussian-norm", "ball", "ball-nonnegative"])
def test_without_variances_it_is_what_it_was(name):
    certificate, old = loaded(name), EXPECTED[name]
    better = name != "gaussian-norm"  # the spread serves the ball now
    for now, then in ((certificate.cosine(EPS), old["cosine"]), (certificate.max_eps(COSINE), old["max_eps"])):
        assert (now >= np.array(then) - CLOSE).all()
        if not better:
            np.testing.assert_allclose(now, then, atol=CLOSE)
    if "label_eps" in old:
        np.testing.assert_allclose(certificate.prediction_radius(), old["label_eps"], atol=CLOSE)


@pytest.mark.parametrize("name", [n for n in EXPECTED if "top_k_100" in EXPECTED[n]])
def test_entries_are_no_wider_and_rankings_no_worse(name):
    certificate, old = loaded(name), EXPECTED[name]
    for eps in (0.0, 0.05, 0.2):
        low, high = certificate.intervals(eps)
        assert float((high - low).mean()) <= old["intervals_mean_width"][str(eps)] * (1 + CLOSE) + 1e-12
        assert float((certificate.signs(eps) != 0).mean()) >= old["signs"][str(eps)]
    some = [1, 4]
    sizes = [EPS[i] for i in some]
    assert (certificate.top_k_overlap(sizes, 100) >= np.array(old["top_k_100"])[:, some] - 1e-12).all()
    assert (certificate.kendall_tau(sizes) >= np.array(old["kendall"])[:, some] - 1e-12).all()


@pytest.mark.parametrize("name", [n for n in EXPECTED if "functionals" in EXPECTED[n]])
def test_functionals_are_no_wider(name):
    certificate, old = loaded(name), EXPECTED[name]["functionals"]
    for eps in EPS:
        low, high = certificate.functionals(eps)
        then_low, then_high = map(np.array, old[str(eps)])
        assert (low >= then_low - CLOSE).all()
        assert (high <= then_high + CLOSE).all()


@pytest.mark.parametrize("name", [n for n in EXPECTED if "printed_cosine" in EXPECTED[n]])
def test_the_paper_says_what_it_said(name):
    paper, old = ac.PaperCertificate(loaded(name).evidence), EXPECTED[name]
    np.testing.assert_allclose(paper.cosine(EPS), old["printed_cosine"], atol=CLOSE)
    np.testing.assert_allclose(paper.max_eps(COSINE), old["printed_max_eps"], atol=CLOSE)


@pytest.mark.parametrize("name", EXPECTED)
def test_terms_and_shares_are_found_again(name):
    terms = loaded(name).terms
    assert terms.ledger.total == pytest.approx(terms.alpha, rel=1e-12)
    assert set(terms.ledger.names) <= set(LEGACY_WEIGHTS)
    assert terms.ledger["norm"] == terms.alpha * LEGACY_WEIGHTS["norm"] / sum(
        LEGACY_WEIGHTS[n] for n in terms.ledger.names
    )
    assert terms.guarantee == ("observed" if name == "gaussian-observed" else "population")
    assert (terms.dimension, terms.version) == (784, json.loads(parts(name)[1]["statement"])["version"])


@pytest.mark.parametrize("name", EXPECTED)
def test_saved_anew_it_says_the_same(name, tmp_path):
    certificate = loaded(name)
    certificate.save(tmp_path / "new.safetensors")
    again = ac.Certificate.load(tmp_path / "new.safetensors")
    assert again.terms == certificate.terms
    np.testing.assert_array_equal(again.cosine(EPS), certificate.cosine(EPS))


def parts(name):
    with safe_open(FOLDER / f"{name}.safetensors", framework="numpy") as file:
        keys = file.keys()
        return {key: file.get_tensor(key) for key in keys}, dict(file.metadata())


def edited(tmp_path, metadata=(), statement=None, text=None, **arrays):
    """A file of version 0.1 with some of it changed; None leaves it out."""
    values, words = parts("gaussian-norm")
    values = {key: value for key, value in {**values, **arrays}.items() if value is not None}
    if statement is not None:
        words["statement"] = json.dumps({**json.loads(words["statement"]), **statement})
    if text is not None:
        words["statement"] = text
    path = tmp_path / "edited.safetensors"
    save_file(values, path, metadata={**words, **dict(metadata)})
    return path


def refused(path, message):
    with pytest.raises(ac.IntegrityError, match=message) as caught:
        ac.Certificate.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ({"noise": {"name": "Laplace", "scale": 1.0}}, "Laplace"),
        ({"noise": {"name": "Gaussian", "scale": -1.0}}, "sigma=-1.0"),
        ({"alpha": 0.0}, "alpha=0.0"),
        ({"alpha": "much"}, "alpha"),
        ({"guarantee": "hoped for"}, "hoped for"),
        ({"parts": ["norm", "luck"]}, "luck"),
    ],
)
def test_impossible_terms_are_refused(tmp_path, statement, message):
    refused(edited(tmp_path, statement=statement), message)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"text"', "[" * 100_000])
def test_damaged_terms_are_refused(tmp_path, text):
    refused(edited(tmp_path, text=text), "not the statement of a certificate")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"norm": None}, "norm"),
        ({"n_pilot": None}, "sampling"),
        ({"norm": np.array([0.5, np.nan])}, "Norm.lower=.*nan"),
        ({"norm": np.array([0.5, -0.5])}, "Norm.lower=.*-0.5"),
        ({"norm": np.array([0.5, 1.5])}, "norm.lower=1.5"),
        ({"norm": np.array([0.5])}, "norm.lower of shape"),
        ({"spread": np.array([0.1, 0.1])}, "top_variance"),
    ],
)
def test_what_cannot_be_evidence_is_refused(tmp_path, arrays, message):
    refused(edited(tmp_path, **arrays), message)


def test_damaged_outcomes_and_formats_are_refused(tmp_path):
    refused(edited(tmp_path, {"outcome": "["}), "edited")
    refused(edited(tmp_path, {"format": "attricert-evidence-9"}), "format 'attricert-evidence-9'")
