"""What goes wrong on a first day: each is told once, in words that point to what has to change."""

import numpy as np
import pytest
import torch
from PIL import Image

import attricert as ac
from attricert import runs
from attricert.attributions.outputs import logits_of
from attricert.datasets import Labelled, Reading, parse
from attricert.runs.loading import load_items
from attricert.runs.resampling import sampled_again

RNG = np.random.default_rng(0)
MODEL = """
import torch
def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(3 * 4, 3)).eval()
"""


@pytest.fixture
def gray_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MODEL)
    (tmp_path / "g").mkdir()
    for name, shape in (("a", (9, 9)), ("b0", (9, 9, 3)), ("b1", (7, 9, 3))):
        Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / "g" / f"{name}.png")
    return {"model": "mine.py:model", "data": "g", "sigma": 0.1, "n_samples": 100, "seed": 0}


def test_inputs_of_another_shape_fail_again_when_they_are_sampled_again(gray_first):
    runs.certify(gray_first, "run")
    checks = runs.verify("run", sample=3, trust_code=True, seed=0)
    assert {check.what: check.problems for check in checks if not check.passed} == {}


def test_a_channel_too_many_is_not_put_down_to_the_size(gray_first):
    run = runs.certify(gray_first, "run")
    gray, square, wide = (row.facts["reason"] for part in run.parts() for row in part.rows())
    assert "mat1 and mat2" in gray
    channels = "it has 3 channels, the first 1 channel: give images of one kind (gray or RGB)"
    assert square == f"its shape is (3, 9, 9), that of the first input (1, 9, 9); {channels}"
    assert wide.endswith(f"; {channels}; --size gives images one size")


def test_a_claim_for_an_input_of_another_shape_is_a_mismatch(gray_first, tmp_path):
    (tmp_path / "g" / "a.png").rename(tmp_path / "g" / "c.png")
    run = runs.certify(gray_first, "run")
    claimed = next(row for part in run.parts() for row in part.rows() if row.facts["status"] == "certified")
    items = Labelled(torch.zeros(1, 3, 9, 9), torch.tensor([-1]), ("b0.png",))
    (said,) = sampled_again(claimed, items, (3, 8, 8), None, same=True)
    assert said.startswith("cannot be read (its shape is (3, 9, 9), that of the first input (3, 8, 8)")


@pytest.mark.parametrize("missing", ["model", "data"])
def test_a_run_without_model_or_data_says_which(missing, tmp_path):
    given = {"model": torch.nn.Linear(3, 2).eval(), "data": np.zeros((2, 3)), missing: None}
    with pytest.raises(ac.ArgumentError, match=f"^{missing}=None: must be given"):
        runs.certify({"sigma": 0.1, "n_samples": 100}, tmp_path / "run", **given)


class Captumlike:
    """As Captum's are: made of a model."""

    def __init__(self, model):
        self.forward_func = model

    def attribute(self, inputs, target=None):
        return inputs


def test_the_class_of_an_attribution_is_no_attribution():
    with pytest.raises(ac.ArgumentError, match=r"is a class; make an object: Captumlike\(model\)"):
        ac.wrap(Captumlike)
    ac.wrap(Captumlike(torch.nn.Linear(3, 2).eval()))


def test_mixed_rows_say_where_one_at_a_time_is_set():
    smoothed = ac.SmoothedAttribution(ac.wrap(lambda x, t: x - x.mean(dim=0)), ac.Gaussian(0.3))
    with pytest.raises(ac.ArgumentError, match=r"SmoothedAttribution\(..., batch_size=1\), or --batch_size 1,"):
        smoothed.certify(torch.ones(1, 4), target=0, n_samples=100, seed=0)


def test_outputs_in_doubt_are_told_all_names_that_would_do():
    with pytest.raises(ac.ArgumentError) as error:
        logits_of({"fine": torch.zeros(1, 2), "coarse": torch.zeros(1, 2)})
    assert "logits, out, output, outputs or scores; ac.Output(model, key) names another" in str(error.value)
    for name in ("logits", "out", "output", "outputs", "scores"):
        assert logits_of({"fine": torch.zeros(1, 2), name: torch.ones(1, 2)}).sum() == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", "a,größe\n1,2\n".encode("latin-1"), "'t.csv': .*line 1 is not text in UTF-8"),
        ("t.csv", "a,b\n1,2\n3,groß\n".encode("latin-1"), "'t.csv': .*line 3 is not text in UTF-8"),
        ("t.csv", b"a;b\n1;2\n", "look separated by semicolons, and must be by commas"),
        ("t.csv", b"a;b\n1,5;2,5\n", "look separated by semicolons, and must be by commas"),
        ("t.csv", b"a\tb\n1\t2\n", "look separated by tabs, and must be by commas"),
        ("t.tsv", b"a\tb\n1\t2\n", r"nor a file that is read \(.csv, .parquet, .npy, .npz\)"),
        ("t.csv", b",a,b\n0,1,2\n", "first column has no name, .*index=False"),
        ("t.csv", b",a,b\nx,1,2\n", "first column has no name, .*index=False"),
        ("t.csv", b"Unnamed: 0,a,b\n0,1,2\n", "Unnamed: 0 is an index of pandas.*--id_column or --skip_columns"),
    ],
)
def test_files_that_are_not_read_say_what_has_to_change(name, content, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ac.ArgumentError, match=said):
        parse(name)


@pytest.mark.parametrize(
    ("content", "reading"),
    [
        (",a,b\n7,1,2\n", Reading(id_column="")),
        ("Unnamed: 0,a,b\n7,1,2\n", Reading(skip_columns=("Unnamed: 0",))),
        ("a,ß;\n1,2\n", None),
    ],
)
def test_columns_that_have_a_use_are_read(content, reading, tmp_path):
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    assert parse(tmp_path / "t.csv", reading=reading).inputs.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("data", ["t.csv[a]", "t.csv[0]", "t.csv[0-3]", "mnist:test[-3:]"])
def test_what_is_no_slice_says_how_slices_are_written(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ac.ArgumentError, match=r"a slice is written \[start:stop\], such as .*\[0:100\]"):
        parse(data)


@pytest.mark.parametrize("setting", ["model", "data", "attribution"])
def test_a_file_of_code_needs_the_name_of_a_function(setting, gray_first):
    with pytest.raises(ac.ArgumentError, match=f"^{setting}='mine.py': .* name a function in it, mine.py:function"):
        runs.certify({**gray_first, setting: "mine.py"}, "run")


def test_a_factory_of_data_with_what_is_no_slice(gray_first):
    with pytest.raises(ac.ArgumentError, match=r"a slice is written \[start:stop\], such as mine.py:model\[0:100\]"):
        load_items("mine.py:model[3]", "mine.py:model")
