"""``--autocast``: a run whose model computes in half precision; its files say so, and it is checked as such."""

import json

import pytest

import attricert as ac
from attricert import runs
from attricert.cli.main import main

WHAT = {"model": "mnist-standard", "data": "mnist:sample[0:2]", "sigma": 0.25, "n_samples": 200, "seed": 1}
FLAGS = [f"--{name}={value}" for name, value in WHAT.items()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("half") / "run"
    assert main(["certify", *FLAGS, "--autocast", "bfloat16", "--out", str(out), "--pictures", "0"]) == 0
    return out


def test_config_terms_and_claim_say_so(folder):
    store = runs.Store.open(folder)
    assert store.manifest.config.autocast == "bfloat16"
    assert runs.terms(store).autocast == "bfloat16"
    assert "The model computes in bfloat16" in " ".join((folder / "claim.txt").read_text().split())
    assert "bfloat16" in (folder / "config.yaml").read_text()


def test_it_is_verified_by_computing_so_again(folder):
    assert all(check.passed for check in runs.verify(folder, sample=1, seed=0))


def test_a_run_in_another_precision_is_another_run(folder):
    with pytest.raises(ac.ArgumentError, match="autocast: 'bfloat16' -> None"):
        runs.certify(runs.Config.of(WHAT), folder)


def test_rows_that_were_computed_in_another_precision_are_found(folder, tmp_path):
    plain = tmp_path / "plain"
    runs.certify(runs.Config.of(WHAT), plain)
    manifest = json.loads((plain / "manifest.json").read_text())
    manifest["config"]["autocast"] = "bfloat16"
    (plain / "manifest.json").write_text(json.dumps(manifest))
    found = {check.what: check.problems for check in runs.verify(plain, sample=0, seed=0)}
    assert any("weights_sha256" in problem for problem in found["model"])


def test_what_cannot_be_is_refused():
    for more, what in (
        ({"autocast": "float16"}, "needs CUDA"),
        ({"autocast": "half"}, "must be one of bfloat16, float16"),
        ({"autocast": "bfloat16", "attribution": "object:mine"}, "goes with attributions that runs make"),
    ):
        with pytest.raises(ac.ArgumentError, match=what):
            runs.Config.of({**WHAT, **more})
