"""A run's claim in plain words: it says what the terms say, and nobody trusts it."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from attricert import runs
from attricert.cli.main import main
from attricert.fixed import Fixed
from attricert.report import Statement
from attricert.runs.store import CLAIM

STATED = Statement(
    model="tiny",
    data="digits",
    attribution="saliency",
    target="predicted",
    noise="Gaussian(sigma=0.5)",
    bound="Normalize()",
    inputs=200,
    weights="ab" * 32,
    pixels="cd" * 32,
    n_samples=10_000,
    alpha=0.05,
    confidence="betting",
    observed=None,
    seed=7,
)


def changed(**values):
    return " ".join(Statement(**{**vars(STATED), **values}).to_text().split())


def test_a_sound_claim_about_the_population():
    text = STATED.to_text()
    assert all(len(line) <= 100 for line in text.splitlines())
    words = changed()
    assert "is proven, with probability at least 0.95 over the random draws: whatever perturbation of l2 size" in words
    for part in (
        "model: tiny (weights have SHA-256 abab",
        "data: digits, 200 inputs (SHA-256 cdcd",
        "noise: Gaussian(sigma=0.5) bound: Normalize() guarantee: population: about the smoothed map",
        "alpha: 0.05 for each input; of 200 inputs 10 may be wrong on average",
        "samples: up to 10,000 an input seed: 7;",
        "results: not all there yet",
        "attricert verify FOLDER",
    ):
        assert part in words
    assert "NOTHING" not in words


@pytest.mark.parametrize("values", [{"printed": True}, {"confidence": "asymptotic"}])
def test_what_proves_nothing_says_so_first(values):
    words = changed(**values)
    assert words.split("= ")[-1].startswith("NOTHING IS PROVEN HERE")
    assert "is proven" not in words
    assert "may be wrong on average" not in words


def test_observed_averages_and_counts():
    words = changed(observed=500, counts=(190, 10))
    assert "averages of 500 fresh attributions at the changed input and at the input have at least" in words
    assert "for one perturbation that is chosen without knowledge of the draws" in words
    assert "results: 190 inputs certified, 10 failed, of 200" in words
    assert "population" not in words


def test_names_of_unknown_origin_are_shown_as_they_are():
    words = changed(data="x\x1b[2J\nresults: all certified\u202e", alpha=1e-7)
    assert r"x\x1b[2J results: all certified\u202e" in words
    assert "\nresults:      not all there yet\n" in STATED.to_text()
    assert "probability at least 0.9999999 over" in words


ZOO = ["certify", "--model", "mnist-standard", "--data", "mnist:sample[0:2]", "--sigma", "0.125", "--n_samples", "100"]
ZOO += ["--prove", "prediction", "--maps", "drop"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stated") / "run"
    assert main([*ZOO, "--seed", "5", "--out", str(folder)]) == 0
    return folder


def test_a_run_states_its_claim(run, tmp_path):
    text = " ".join((run / CLAIM).read_text().split())
    store = runs.Store.open(run)
    assert "results: 2 inputs certified, 0 failed, of 2" in text
    assert store.manifest.weights_sha256 in text
    assert store.manifest.data_sha256 in text
    assert "noise: Gaussian(sigma=0.125)" in text
    assert "seed: 5;" in text
    # 784 pixels: 255 / 28 = 9.107.
    assert "eps is in units of the model's input: eps 1.0 = 9.1 of 255 levels in every pixel value" in text
    # One that has begun, or is a part, promises nothing yet.
    begun = runs.certify(store.manifest.config, tmp_path, shard=runs.Shard(0, 2))
    runs.write_results(begun, runs.certificates(begun, runs.Asked()))
    assert "results: not all there yet" in " ".join((tmp_path / CLAIM).read_text().split())


def lies(path):
    path.write_bytes(b"all is proven\xff")


@pytest.mark.parametrize("harm", [lies, os.mkfifo, lambda path: path.symlink_to(path.parent.parent / "elsewhere")])
def test_nothing_reads_it(run, tmp_path, harm):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / CLAIM).unlink()
    harm(copy / CLAIM)
    before = sorted(path.name for path in copy.iterdir())
    for command in (["status", str(copy)], ["verify", str(copy), "--sample", "0"]):
        assert main(command) == 0
    assert len(runs.load(copy)) == 2
    assert sorted(path.name for path in copy.iterdir()) == before
    # Whoever merges the run, or goes on with it, states the claim anew, and elsewhere nothing is written.
    assert main(["merge", str(copy)]) == 0
    assert (copy / CLAIM).read_bytes() == (run / CLAIM).read_bytes()
    assert not (tmp_path / "elsewhere").exists()


def test_a_run_of_version_0_1_gets_one_when_results_are_written(tmp_path):
    copy = tmp_path / "old"
    shutil.copytree(Path(__file__).parents[1] / "data" / "run-0.1" / "run", copy)
    assert main(["status", str(copy)]) == 0
    assert not (copy / CLAIM).exists()
    assert main(["merge", str(copy), "--partial"]) == 0
    assert "What this run claims" in (copy / CLAIM).read_text()


def test_what_is_held_fixed_and_random_is_changed():
    fixed = Fixed.of(np.array([True, False, True, True, False]))
    assert fixed.words() == "0, 2 to 3"
    text = changed(fixed=fixed, random=True)
    assert "changes of 2 of the 5 values of an input; 3 are held fixed (0, 2 to 3)" in text
    assert "the mean over noise and that randomness" in text
    assert "held fixed" not in changed()
    many = Fixed.of(np.arange(60) % 2 == 0)
    assert many.words().endswith("20, 22, ...")


def test_what_is_held_fixed_goes_by_its_names_where_there_are_any():
    fixed = Fixed.of(np.array([True, False, True, True, False]))
    assert fixed.words(("age", "income", "owner", "region", "debt")) == "age, owner, region"
    assert fixed.words(("red", "green", "blue")) == "0, 2 to 3"  # of something else
    many = Fixed.of(np.arange(20) > 0)
    assert many.words([f"c{i}" for i in range(20)]) == ", ".join(f"c{i}" for i in range(1, 13)) + ", ..."
    text = changed(fixed=fixed, names=("age", "income", "owner", "region", "debt"))
    assert "3 are held fixed (age, owner, region)" in text
