"""Settings of runs: flat in files, whole in memory, and none that is not known."""

import dataclasses
import json
from pathlib import Path

import pytest

import attricert as ac
from attricert import runs
from attricert.files import sha256
from attricert.runs.manifest import Manifest

STORED = sorted((Path(__file__).parents[2] / "reproduction" / "runs").iterdir())
WHAT = {"model": "mnist-standard", "data": "mnist:sample"}
DIGESTS = ["a" * 64, "b" * 64, "c" * 64]


def test_plain_values_come_back():
    config = runs.Config.of({**WHAT, "sigma": 0.25, "attribution": "integrated-gradients", "prove": ["cone", "fourth"]})
    assert (config.noise, config.smoothing_noise()) == ("gaussian", ac.Gaussian(0.25))
    assert config.parameters == {"n_steps": 50, "sigma": 0.25, "max_entry": None}
    values = config.to_dict()
    assert list(values)[2:9] == ["attribution", "n_steps", "target", "noise", "sigma", "bound", "max_entry"]
    assert (values["prove"], values["sigma"]) == (["cone", "fourth"], 0.25)
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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"moments": [2], "skip_label": False, "stop_when": None}, {}),
        ({"moments": [], "skip_label": False}, {}),
        ({"moments": [2, 4, 6]}, {"prove": ("top_variance", "cone", "fourth", "entries", "prediction")}),
        ({"skip_label": True}, {"prove": ("top_variance", "cone", "entries")}),
        ({"skip_label": True, "maps": "drop"}, {"prove": ("top_variance", "cone"), "maps": "drop"}),
        ({"stop_when": [0.05, 0.9]}, {"stop_eps": 0.05, "stop_cosine": 0.9}),
        (
            {"stop_when": [0.05, 0.9], "skip_label": True},
            {"stop_eps": 0.05, "stop_cosine": 0.9, "prove": ("top_variance", "entries")},
        ),
    ],
)
def test_settings_of_version_0_1_are_read(old, new):
    config = runs.Config.of({**WHAT, "sigma": 1.0, "radius": None, **old})
    assert config == runs.Config.of({**WHAT, "sigma": 1.0, **new})
    assert runs.Config.of(config.to_dict()) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stop_eps": 0.05}, "^stop_cosine=None: is needed with stop_eps"),
        ({"stop_cosine": 0.9}, "^stop_eps=None: is needed with stop_cosine"),
        ({"stop_eps": 0.05, "stop_cosine": 1.5}, "^cosine=1.5: must be > 0 and < 1"),
        ({"stop_eps": 0.05, "stop_cosine": 0.9, "prove": ["cone"]}, "cone: proven at a fixed number of draws"),
        ({"observed_samples": 300}, "^observed_samples=300: goes with guarantee=observed"),
        ({"guarantee": "observd"}, "did you mean 'observed'"),
        ({"prove": ["forth"]}, "did you mean 'fourth'"),
        ({"prove": ["entries"], "maps": "drop"}, "entries go only where maps are kept"),
        ({"confidence": "asymptotic", "prove": ["entries"]}, "about the norm alone"),
        ({"method": "printed"}, "^method='printed': the paper's theorem is for uniform noise and the population"),
        ({"method": "printed", "sigma": None, "radius": 1.0, "guarantee": "observed"}, "^method='printed': "),
    ],
)
def test_what_does_not_go_together_is_refused(values, message):
    with pytest.raises(ac.ArgumentError, match=message):
        runs.Config.of({**WHAT, "sigma": 1.0, **values})


def test_another_noise_leaves_the_old_parameters_behind():
    config = runs.Config.of({**WHAT, "sigma": 0.25, "max_entry": 0.1})
    other = config.updated({"noise": "uniform", "radius": 2.0})
    assert other.parameters == {"radius": 2.0, "max_entry": 0.1}
    assert config.updated({"noise": "gaussian", "n_samples": 300}) == dataclasses.replace(config, n_samples=300)
    with pytest.raises(ac.ArgumentError, match="noise='gaussian': goes with --sigma, without --radius"):
        config.updated({"radius": 2.0})


def test_differences_go_by_meaning():
    one, two = (
        Manifest(runs.Config.of({**WHAT, "seed": 1, **values}), 3, *DIGESTS)
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
    made = Manifest(runs.Config.of({**WHAT, "sigma": 0.25, "seed": 1}), 3, *DIGESTS)
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
