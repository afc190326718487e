"""Users' choices of speed over precision: proofs go without, and find them again afterwards."""

import pytest
import torch

import attricert as ac
from attricert.precision import float32_precision, full_precision, set_float32_precision


@pytest.fixture(autouse=True)
def restored():
    before = float32_precision()
    yield
    set_float32_precision(before)


def old():
    torch.set_float32_matmul_precision("medium")


def new():
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"


def both():
    old()
    new()
    torch.backends.cuda.matmul.fp32_precision = "ieee"  # so that torch no longer tells what the old way would be


@pytest.mark.parametrize("choose", [old, new, both])
def test_within_all_is_full_and_afterwards_as_before(choose):
    choose()
    chosen = float32_precision()
    with full_precision("cpu"):
        assert torch.backends.mkldnn.matmul.fp32_precision in ("none", "ieee")
        assert torch.backends.cuda.matmul.fp32_precision in ("none", "ieee")
    assert float32_precision() == chosen


@pytest.mark.parametrize("choose", [old, new, both])
def test_certificates_come_whatever_is_chosen(choose):
    """Torch raises an error where both ways were used and one asks in the old way."""
    choose()
    chosen = float32_precision()
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)).eval()
    smoothed = ac.SmoothedAttribution(ac.InputXGradient(model), ac.Gaussian(0.1))
    found = smoothed.certify(torch.ones(1, 3, 4), 0, n_samples=200, seed=0, prove=["top_variance"])
    assert found.max_eps(0.9)[0] > 0
    assert float32_precision() == chosen


@pytest.mark.parametrize("owner", [torch.backends, torch.backends.mkldnn, torch.backends.cudnn.rnn])
def test_other_settings_of_the_new_way_are_no_trouble(owner):
    before = owner.fp32_precision
    try:
        owner.fp32_precision = "ieee"
        test_certificates_come_whatever_is_chosen(lambda: None)
        assert owner.fp32_precision == "ieee"
    finally:
        owner.fp32_precision = before


def test_autocast_that_nobody_declares_is_refused():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)).eval()
    smoothed = ac.SmoothedAttribution(ac.InputXGradient(model), ac.Gaussian(0.1))
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(ac.ArgumentError, match=r"torch.autocast='cpu'"),
    ):
        smoothed.attribute(torch.ones(1, 3, 4), 0, n_samples=10, seed=0)


def test_products_within_autocast_are_full_too():
    rows = torch.rand(200, 300)
    with torch.autocast("cpu", torch.bfloat16), full_precision("cpu"):
        found = rows @ rows.T
    assert found.dtype == torch.float32


@pytest.mark.parametrize("choose", [old, new, both])
def test_maps_are_those_of_float32_whatever_is_chosen(choose):
    """Convolutions too; who wants less declares it (`Autocast`)."""
    seen = []

    def attribution(inputs, target):
        seen.append(float32_precision())
        return inputs

    choose()
    torch.backends.mkldnn.conv.fp32_precision = "bf16"
    ac.SmoothedAttribution(attribution, ac.Gaussian(0.1)).attribute(torch.ones(1, 3), 0, n_samples=10, seed=0)
    assert seen
    assert {product for product, _, _ in seen} == {"highest"}
    assert {value for *_, owners in seen for value in owners} <= {"none", "ieee"}
    assert torch.backends.mkldnn.conv.fp32_precision == "bf16"
