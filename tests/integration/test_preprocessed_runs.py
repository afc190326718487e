"""``--mean``, ``--std`` and ``--output``: models of normalized images, certified in pixels."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import attricert as ac
from attricert import runs
from attricert.cli.main import main
from attricert.runs.loading import fitted, load_model
from attricert.runs.manifest import model_digest

MEAN, STD = ("0.4", "0.5", "0.6"), ("0.1", "0.2", "0.4")
CODE = """
import torch
from torch import nn


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.Tanh(), nn.Flatten(), nn.Linear(256, 5))

    def forward(self, x):
        scores = self.body(x)
        return {"first": -scores, "second": scores}


def two():
    return Two().eval()


def plain():
    return Two().body.eval()
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(model="mine.py:two", **more):
    what = {"model": model, "data": "cifar10:sample[0:2]", "sigma": 0.1, "n_samples": 200, "seed": 1}
    return {**what, "mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.4], "output": "second", **more}


def test_a_run_is_that_of_the_wrapped_model(code, capsys):
    flags = ["--model", "mine.py:two", "--data", "cifar10:sample[0:2]", "--noise", "gaussian", "--sigma", "0.1"]
    flags += [
        "--n_samples",
        "200",
        "--seed",
        "1",
        "--mean",
        *MEAN,
        "--std",
        *STD,
        "--output",
        "second",
        "--prove",
        "prediction",
    ]
    assert main(["certify", *flags, "--out", "run", "--pictures", "0", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    store = runs.Store.open(code / "run")
    assert store.manifest.config == runs.Config.of(settings(prove=["prediction"]))
    body = load_model("mine.py:plain")
    model = ac.Preprocessed(body, (0.4, 0.5, 0.6), (0.1, 0.2, 0.4))
    images = ac.datasets.load("cifar10", "sample").images[:2]
    predicted = model(images).argmax(dim=1)
    assert [row["target"] for row in rows] == predicted.tolist()
    smoothed = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.1))
    ids = [row["id"] for row in rows]
    certificate = smoothed.certify(images, predicted, n_samples=200, seed=1, sample_ids=ids, prove=["prediction"])
    np.testing.assert_allclose(certificate.norm, [row["norm"] for row in rows], rtol=1e-5)
    # Another mean is another run, and its folder says so.
    again = [*flags, "--out", "run"]
    again[again.index("0.4")] = "0.45"
    assert main(["certify", *again]) == 2
    assert "mean: [0.4, 0.5, 0.6] -> [0.45, 0.5, 0.6]" in capsys.readouterr().err
    digests = {model_digest(runs.LoadedConfig.load(runs.Config.of(s)).model) for s in _changed()}
    assert len(digests) == 3


def _changed():
    return settings(), settings(mean=[0.45, 0.5, 0.6]), settings(mean=None, std=None)


def test_plans_are_in_pixels_too(code, capsys):
    flags = ["--model", "mine.py:two", "--data", "cifar10:sample[0:2]", "--eps", "0.02", "--cosine", "0.8"]
    flags += ["--scales", "0.1", "--n_pilot", "60", "--inputs", "1", "--json"]
    found = []
    for more in (["--output", "second"], ["--output", "second", "--mean", *MEAN, "--std", *STD]):
        assert main(["plan", *flags, *more]) in (0, 1)
        found.append(json.loads(capsys.readouterr().out)["rows"][0]["norm"])
    assert 1 - found[1] > 10 * (1 - found[0])  # divided by std, noise is several times as large
    assert main(["plan", *flags, "--output", "second", "--mean", *MEAN]) == 2
    assert "std=None: is needed with mean" in capsys.readouterr().err
    assert main(["plan", *flags]) == 2
    assert "output of the model='dict of first, second'" in capsys.readouterr().err


def test_a_place_is_a_number(code):
    (code / "mine.py").write_text(CODE.replace('return {"first": -scores, "second": scores}', "return -scores, scores"))
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(fitted(load_model("mine.py:two"), None, None, "1")(x), load_model("mine.py:plain")(x))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"std": None}, "std=None: is needed with mean"),
        ({"mean": None}, "mean=None: is needed with std"),
        ({"std": [0.1, 0.2]}, "must have 3 numbers, as mean has"),
        ({"std": [0.1, 0.2, -1.0]}, "std=-1.0: must be a finite number > 0"),
        ({"model": "cifar10-standard"}, "mean=.*: goes with models of your own; cifar10-standard takes images in"),
        ({"model": "cifar10-standard", "mean": None, "std": None}, "output='second': goes with models of your own"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_loaded(changed, message):
    with pytest.raises(ac.ArgumentError, match=message):
        runs.Config.of(settings(**changed))


def test_settings_that_are_not_given_are_those_of_old_runs():
    config = runs.Config.of({"model": "mnist-standard", "data": "mnist:sample", "sigma": 1.0})
    assert (config.mean, config.std, config.output) == (None, None, None)
    old = {name: value for name, value in config.to_dict().items() if name not in ("mean", "std", "output")}
    assert runs.Config.of(old) == config
    assert model_digest(load_model("mnist-standard")) == model_digest(ac.models.load("mnist-standard"))


def test_the_blocks_of_the_document_run():
    text = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 3
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ac.MeaningWarning)  # of models that were never trained
        for block in blocks:
            exec(block, names)
    assert names["certificate"].norm.shape == (2,)
