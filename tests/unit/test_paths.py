"""Paths are given as text or as a pathlib.Path, and what is neither gets one clear error."""

from pathlib import Path

import pytest
import torch

import attricert as ac
from attricert import models, runs
from attricert.errors import ArgumentError
from attricert.lab.training import Recipe, event_writer, make

READERS = {
    "Certificate.load": lambda path: ac.Certificate.load(path),
    "Evidence.load": lambda path: ac.Evidence.load(path),
    "ImageFolder.of": ac.datasets.ImageFolder.of,
    "datasets.items": ac.datasets.items,
    "datasets.load_folder": ac.datasets.load_folder,
    "datasets.parse": ac.datasets.parse,
    "runs.load": runs.load,
    "runs.report": runs.report,
    "runs.verify": runs.verify,
    "Store.open": runs.Store.open,
    "Recipe.read": Recipe.read,
    "make": lambda path: make(path, "models", "cpu", lambda *_: None),
}

WRONG = [3, None, b"bytes", "with\0zero", ["list"]]


def complaint(function, path):
    with pytest.raises((ac.AttricertError, OSError)) as error:
        function(path)
    return type(error.value), str(error.value)


@pytest.mark.parametrize("name", READERS)
def test_text_and_paths_are_the_same(tmp_path, name):
    nothing = tmp_path / "nothing"
    assert complaint(READERS[name], str(nothing)) == complaint(READERS[name], nothing)


@pytest.mark.untyped
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_path_gets_one_error(name, wrong):
    kind, text = complaint(READERS[name], wrong)
    assert kind is ArgumentError
    assert "must be a path" in text


@pytest.mark.parametrize("kind", [str, Path])
def test_what_is_written_takes_both(tmp_path, kind):
    model = models.load("mnist-standard")
    models.save(model, kind(tmp_path / "a"), {"name": "m"}, "text")
    assert (tmp_path / "a" / "m.md").exists()


def test_a_runs_folder_is_either(tmp_path):
    config = runs.Config("mnist-standard", "mnist:sample[0:1]", noise="gaussian", parameters={"sigma": 0.3})
    config = runs.Config.of(
        {**config.to_dict(), "n_samples": 100, "maps": "drop", "prove": ["top_variance"], "seed": 1}
    )
    first = runs.certify(config, str(tmp_path / "run"))
    assert first.folder == tmp_path / "run"
    assert runs.certify(config, tmp_path / "run").folder == first.folder
    runs.merge(first, [str(tmp_path / "run")])
    runs.merge(first, [tmp_path / "run"])
    report = runs.report(str(tmp_path / "run"), str(tmp_path / "page.html"))
    assert report == tmp_path / "page.html"
    assert torch.equal(
        torch.as_tensor(runs.load(str(tmp_path / "run")).max_eps(0.9)),
        torch.as_tensor(runs.load(tmp_path / "run").max_eps(0.9)),
    )


def test_training_takes_text(tmp_path):
    pytest.importorskip("tensorboard")
    event_writer(str(tmp_path / "board"))({"epoch": 1, "loss": 0.5})
    assert list((tmp_path / "board").iterdir())
