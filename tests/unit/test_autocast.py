"""Models that compute in half precision: what they give, what is certified of them, and that all say so."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

import attricert as ac
from attricert.attacks.surrogate import Softened
from attricert.attributions import autocast_of, differentiable
from attricert.certificates import Terms
from attricert.report.statement import limits_of
from attricert.runs.manifest import model_digest

MODEL = ac.models.load("mnist-standard")
DIGITS = ac.datasets.load("mnist", "sample").images[:2]
CLASSES = MODEL(DIGITS).argmax(dim=1)


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 3)

    def forward(self, x):
        scores = self.body(x)
        return {"scores": scores, "class": scores.argmax(dim=1), "pair": (scores, [scores])}


def certificate(model, **settings):
    smoothed = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.25), **settings)
    return smoothed.certify(DIGITS, CLASSES, n_samples=600, seed=3, prove=["top_variance", "cone", "prediction"])


@pytest.fixture(scope="module")
def half():
    return certificate(ac.Autocast(MODEL))


def test_it_is_what_torch_computes_under_autocast_in_the_dtype_of_the_inputs():
    with torch.autocast("cpu", torch.bfloat16):
        expected = MODEL(DIGITS)
    found = ac.Autocast(MODEL)(DIGITS)
    assert found.dtype == torch.float32
    assert expected.dtype == torch.bfloat16
    assert torch.equal(found, expected.float())
    assert not torch.equal(found, MODEL(DIGITS))


def test_outputs_of_any_form_keep_it_and_what_is_no_floating_tensor_is_left():
    found = ac.Autocast(Named().eval())(torch.ones(2, 4))
    assert found["scores"].dtype == found["pair"][0].dtype == found["pair"][1][0].dtype == torch.float32
    assert found["class"].dtype == torch.int64
    assert ac.Output(ac.Autocast(Named().eval()), "scores")(torch.ones(2, 4)).shape == (2, 3)


def test_the_setting_is_part_of_the_fingerprint_beside_the_weights():
    plain, half, other = MODEL, ac.Autocast(MODEL), ac.Autocast(MODEL, "float16")
    digests = [model_digest(model) for model in (plain, half, other)]
    assert len(set(digests)) == 3
    assert model_digest(ac.Autocast(ac.models.load("mnist-standard"))) == digests[1]
    other.load_state_dict(half.state_dict())
    assert other.dtype == "bfloat16"
    with pytest.raises(ac.ArgumentError, match="holds no dtype"):
        half.set_extra_state(torch.tensor([120, 121], dtype=torch.uint8))


def test_what_cannot_be_is_refused_in_one_line():
    with pytest.raises(ac.ArgumentError, match="dtype='float8': .*must be one of bfloat16, float16"):
        ac.Autocast(MODEL, "float8")
    with pytest.raises(ac.ArgumentError, match="dtype='float16': needs CUDA"):
        ac.Autocast(MODEL, "float16")(DIGITS)
    with pytest.raises(ac.ArgumentError, match="must be one dtype for all models"):
        autocast_of(ac.Saliency(ac.Autocast(MODEL)), ac.Autocast(MODEL, "float16"))
    with pytest.raises(ac.ArgumentError, match=r"torch\.nn\.Module"):
        ac.Autocast(lambda x: x)


def test_it_is_found_wherever_it_is_held():
    half = ac.Autocast(MODEL)
    assert autocast_of(ac.Saliency(MODEL), MODEL) is None
    assert autocast_of(ac.Saliency(ac.Preprocessed(half, 0.5, 0.5))) == "bfloat16"
    assert autocast_of(ac.wrap(lambda x, _: half(x)[:, :1].reshape(-1, 1, 1, 1) * x)) == "bfloat16"


def test_certified_eps_are_those_of_float32_within_a_few_percent(half):
    plain = certificate(MODEL)
    one, other = plain.max_eps(0.9), half.max_eps(0.9)
    assert (one > 0).all()
    np.testing.assert_allclose(other, one, rtol=0.05)
    assert not np.array_equal(other, one)
    assert np.array_equal(half.prediction, plain.prediction)


def test_the_terms_say_so_and_tell_it_from_others(half):
    terms = half.terms
    assert terms.autocast == "bfloat16"
    assert "computed in bfloat16" in terms.about
    assert Terms.from_json(terms.to_json()) == terms
    assert dataclasses.replace(terms, autocast=None) != terms
    assert any("bfloat16" in line for line in limits_of(None, autocast=terms.autocast))
    with pytest.raises(ac.ArgumentError, match="autocast"):
        dataclasses.replace(terms, autocast="float8")


def test_terms_of_before_are_read(half):
    values = json.loads(half.terms.to_json())
    del values["autocast"]
    assert Terms.from_json(json.dumps(values)).autocast is None


def test_equal_calls_and_rows_beside_others_pass_the_preflight(half):
    assert half.terms.preflight == ("mode", "inputs", "repeat", "rows")


def test_attacks_differentiate_through_it():
    weights = torch.randn(DIGITS.shape, generator=torch.Generator().manual_seed(0))

    def slope(model):
        leaf = DIGITS.clone().requires_grad_()
        with Softened(10.0):
            maps = differentiable(ac.Saliency(model), leaf, CLASSES)
            return torch.autograd.grad((maps * weights).sum(), leaf)[0].flatten()

    one, other = slope(MODEL), slope(ac.Autocast(MODEL))
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.99
    assert not torch.equal(one, other)
