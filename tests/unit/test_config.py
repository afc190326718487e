"""Settings of runs: flat in files, whole in memory, and none that is not known."""

import dataclasses
import json
from pathlib import Path

import pytest

import attricert as ac
from attricert import runs
from attricert.files import sha256
from attricert.runs import config as module
from attricert.runs.manifest import Manifest

STORED = sorted((Path(__file__).parents[2] / "reproduction" / "runs").iterdir())
WHAT = {"model": "mnist-standard", "data": "mnist:sample"}


def test_plain_values_come_back():
    config = runs.Config.of({**WHAT, "sigma": 0.25, "attribution": "integrated-gradients", "moments": [2, 4]})
    assert (config.noise, config.smoothing_noise()) == ("gaussian", ac.Gaussian(0.25))
    assert config.parameters == {"n_steps": 50, "sigma": 0.25, "max_entry": None}
    values = config.to_dict()
    assert list(values)[2:9] == ["attribution", "n_steps", "target", "noise", "sigma", "bound", "max_entry"]
    assert (values["moments"], values["sigma"]) == ([2, 4], 0.25)
    assert runs.Config.of(json.loads(json.dumps(values))) == config
    assert hash(config) == hash(runs.Config.of(values))


@pytest.mark.parametrize(
    ("values", "noise"),
    [
        ({"radius": 3.5}, ac.UniformBall(3.5)),
        ({"radius": 3.5, "noise": "uniform", "sigma": None}, ac.UniformBall(3.5)),
        ({"sigma": 0.2}, ac.Gaussian(0.2)),
    ],
)
def test_the_scale_says_which_noise(values, noise):
    assert runs.Config.of({**WHAT, **values}).smoothing_noise() == noise


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "^noise='gaussian': goes with --sigma$"),
        ({"sigma": 1.0, "radius": 1.0}, "^noise='gaussian': goes with --sigma, without --radius$"),
        ({"noise": "gaussian", "radius": 1.0}, "^noise='gaussian': goes with --sigma, without --radius$"),
        ({"noise": "gausian", "sigma": 1.0}, "did you mean 'gaussian'"),
        ({"sigma": 1.0, "bound": "clip"}, "^bound='clip': goes with --max_norm$"),
        ({"sigma": 1.0, "max_norm": 2.0}, "^bound='normalize': goes without --max_norm$"),
        ({"sigma": 1.0, "bound": "clip", "max_norm": -2.0}, "^max_norm=-2.0: must be a finite number > 0"),
        ({"sigma": 1.0, "n_steps": 7}, "^attribution='saliency': goes without --n_steps$"),
        ({"sigma": 1.0, "attribution": "a.py:f", "n_steps": 7}, "^attribution='a.py:f': goes without --n_steps$"),
        ({"sigma": 1.0, "n_sample": 7}, "^setting='n_sample': did you mean 'n_samples'"),
    ],
)
def test_what_does_not_fit_is_refused(values, message):
    with pytest.raises(ac.ArgumentError, match=message):
        runs.Config.of({**WHAT, **values})


def test_parameters_are_known_by_name():
    with pytest.raises(ac.UnknownNameError, match="^parameters='sgima': did you mean 'sigma'"):
        runs.Config(**WHAT, parameters={"sgima": 1.0})


def test_old_names_are_read(monkeypatch):
    monkeypatch.setitem(module._RENAMED, "samples", "n_samples")
    assert runs.Config.of({**WHAT, "sigma": 1.0, "samples": 300}).n_samples == 300


def test_another_noise_leaves_the_old_parameters_behind():
    config = runs.Config.of({**WHAT, "sigma": 0.25, "max_entry": 0.1})
    other = config.updated({"noise": "uniform", "radius": 2.0})
    assert other.parameters == {"radius": 2.0, "max_entry": 0.1}
    assert config.updated({"noise": "gaussian", "n_samples": 300}) == dataclasses.replace(config, n_samples=300)
    with pytest.raises(ac.ArgumentError, match="noise='gaussian': goes with --sigma, without --radius"):
        config.updated({"radius": 2.0})


def test_differences_go_by_meaning():
    one, two = (
        Manifest(runs.Config.of({**WHAT, **values}), 3, "a", "b", "c")
        for values in ({"sigma": 0.25}, {"radius": 2.0, "alpha": 0.001, "n_steps": 50})
    )
    assert one.differences(two) == [
        "noise: 'gaussian' -> 'uniform'",
        "sigma: 0.25 -> None",
        "radius: None -> 2.0",
    ]
    text = json.loads(one.to_json())
    del text["config"]["maps"]
    text["config"] |= {"radius": None, "n_steps": 50}
    read = Manifest.from_json(json.dumps(text), "here")
    assert read.differences(one) == one.differences(read) == []
    assert read == one


def test_a_stored_digest_is_of_the_stored_text():
    made = Manifest(runs.Config.of({**WHAT, "sigma": 0.25}), 3, "a", "b", "c")
    assert made.digest == sha256(made.to_json().encode())
    text = made.to_json().replace('"threads": 1,\n', "")
    read = Manifest.from_json(text, "here")
    assert read.digest == sha256(text.encode()) != made.digest
    changed = read.with_seed(7)
    assert changed.digest == sha256(changed.to_json().encode())


@pytest.mark.parametrize("folder", STORED, ids=lambda folder: folder.name)
def test_digests_of_stored_runs_stay(folder):
    store = runs.Store.open(folder)
    assert store.manifest.digest == sha256((folder / "manifest.json").read_bytes())
    rows = [row for part in store.parts() for row in part.rows()]
    assert len(rows) == store.manifest.inputs
    for row in rows:
        assert row.digest(store.manifest.digest) == row.facts["digest"]


def test_there_are_stored_runs():
    assert len(STORED) == 42
