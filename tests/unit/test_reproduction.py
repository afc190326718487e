"""The results in reproduction/: they follow from the evidence beside them, which is of this package's models."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import attricert as ac
from attricert import runs
from attricert.lab.experiments import Bench, montecarlo, table5, table8, table9
from attricert.lab.experiments.largest_eps import BOUNDS
from attricert.runs.manifest import model_digest
from attricert.runs.results import terms
from attricert.runs.verification import verify
from attricert.runs.work import Worker

FOLDER = Path(__file__).parents[2] / "reproduction"

pytestmark = pytest.mark.filterwarnings("ignore::attricert.errors.NotABoundWarning")


def rows(name):
    return list(csv.DictReader((FOLDER / f"{name}.csv").read_text().splitlines()))


def index(data):
    """Which input a slice such as mnist:test[3:4] is."""
    return int(data.partition("[")[2].partition(":")[0])


def certificate(model, noise, radius):
    return runs.load(FOLDER / "runs" / f"{model}-{noise}-{radius}")


def test_table_5_follows_from_its_runs():
    found = rows("table5")
    full = table5.FULL
    assert len(found) == len(full.models) * len(full.radii) * len(full.thresholds) == 42
    for model in full.models:
        for radius in full.radii:
            uniform, gaussian = (certificate(model, noise, radius) for noise in ("uniform", "gaussian"))
            assert len(uniform) == len(gaussian) == full.inputs == 100
            bounds = {
                "sound": uniform,
                "printed": ac.PaperCertificate(uniform.evidence),
                "variance": gaussian,
            }
            for row in (r for r in found if (r["model"], float(r["radius"])) == (model, radius)):
                for bound, one in bounds.items():
                    assert float(row[bound]) == pytest.approx(one.max_eps(float(row["cosine"])).mean(), rel=1e-9)


def test_table_5_is_made_again_from_its_runs_alone(tmp_path, monkeypatch):
    """Nothing is certified anew, nothing in them changes, and the same figures come out; of two of seven radii."""
    monkeypatch.setattr(Worker, "certify", lambda *_: pytest.fail("certified again"))
    shutil.copytree(FOLDER / "runs", tmp_path / "runs")
    part = table5.FULL.adjusted({"radii": (0.5, 3.5)})
    part.run(Bench(tmp_path)).write(tmp_path, "table5", "attricert reproduce table5")
    found = list(csv.DictReader((tmp_path / "table5.csv").read_text().splitlines()))
    expected = [row for row in rows("table5") if float(row["radius"]) in part.radii]
    assert len(expected) == len(part.models) * len(part.radii) * len(part.thresholds)
    for mine, theirs in zip(found, expected, strict=True):
        assert list(mine) == list(theirs)
        for name, value in theirs.items():
            if name in ("model", "paper") or not value:
                assert mine[name] == value
            else:
                assert float(mine[name]) == pytest.approx(float(value), rel=1e-9)
    for path in (FOLDER / "runs").rglob("*.*"):
        if path.is_file() and path.name != "log.jsonl":
            assert (tmp_path / "runs" / path.relative_to(FOLDER / "runs")).read_bytes() == path.read_bytes()


def test_the_runs_are_of_these_models_and_settings():
    full = table5.FULL
    digests = {model: model_digest(ac.models.load(model)) for model in full.models}
    for model in full.models:
        for radius in full.radii:
            for noise in ("uniform", "gaussian"):
                manifest = runs.Store.open(FOLDER / "runs" / f"{model}-{noise}-{radius}").manifest
                assert manifest.config == full.config(model, radius, noise)
                assert manifest.weights_sha256 == digests[model]


@pytest.mark.parametrize("name", ["mnist-igr-gaussian-2.0", "mnist-standard-uniform-0.5"])
def test_a_run_can_be_verified(name):
    assert [check.problems for check in verify(FOLDER / "runs" / name, sample=1, seed=0) if not check.passed] == []


def test_a_run_that_version_0_1_began_is_gone_on_with(tmp_path):
    """Under its own shares of alpha: an input that is certified again has the row it had; the file holds both kinds."""
    name = "mnist-standard-gaussian-1.0"
    shutil.copytree(FOLDER / "runs" / name, tmp_path / name)
    before = runs.Store.open(tmp_path / name)
    lost = 57
    (part,) = (part for part in before.parts() if any(row.facts["position"] == lost for row in part.rows()))
    part.write([row for row in part.rows() if row.facts["position"] != lost])
    config = table5.FULL.config("mnist-standard", 1.0, "gaussian")
    after = runs.certify(config, tmp_path / name)
    rows, found = runs.certified(after)
    assert [row.facts["position"] for row in rows] == list(range(100))
    assert [set(row.facts) >= {"terms"} for row in rows] == [i == lost for i in range(100)]
    assert terms(after) == terms(before)
    was = certificate("mnist-standard", "gaussian", 1.0)
    np.testing.assert_allclose(found.max_eps(0.9), was.max_eps(0.9), rtol=1e-4)
    np.testing.assert_array_equal(np.delete(found.cosine(0.02), lost), np.delete(was.cosine(0.02), lost))
    results = runs.certificates(after, runs.Asked((0.02,), (0.9,)))
    assert [row["max_eps_cosine_0.9"] for row in results] == pytest.approx(found.max_eps(0.9).tolist())
    runs.write_results(after, results)
    assert [check.problems for check in verify(tmp_path / name, sample=0) if not check.passed] == []


def test_table_8_follows_from_its_measurements():
    """And no attack came below T where a bound is claimed."""
    text = (FOLDER / "measured" / "table8.jsonl").read_text()
    measured = [json.loads(line) for line in text.splitlines()]
    found, full = rows("table8"), table8.FULL
    assert len(found) == len(full.models) * len(full.radii) * len(BOUNDS)
    assert len(measured) == sum(int(row[f"{name}_inputs"]) for row in found for name in table8.ATTACKS)
    for row in found:
        sound = row["bound"] != BOUNDS["printed"]
        noise = "gaussian" if row["bound"] == BOUNDS["variance"] else "uniform"
        one = certificate(row["model"], noise, float(row["radius"]))
        eps = (one if sound else ac.PaperCertificate(one.evidence)).max_eps(full.cosine)
        here = {
            name: [
                entry["found"]["cosine"]
                for entry in measured
                if tuple(entry["job"][key] for key in ("model", "noise", "attack")) == (row["model"], noise, name)
                and entry["job"]["eps"] == pytest.approx(eps[index(entry["job"]["data"])], rel=1e-5)
            ]
            for name in table8.ATTACKS
        }
        assert [len(values) for values in here.values()] == [full.inputs, full.thorough]
        for name, values in here.items():
            assert len(values) == int(row[f"{name}_inputs"])
            if values:
                assert float(row[f"{name}_smallest"]) == min(values)
                assert float(row[f"{name}_mean"]) == pytest.approx(np.mean(values))
        smallest = min(value for values in here.values() for value in values)
        assert float(row["smallest"]) == smallest
        if sound:
            assert smallest >= full.cosine


@pytest.mark.parametrize(("module", "settings"), [(montecarlo, {}), (table9, {"inputs": 1})])
def test_what_was_measured_is_found_again(module, settings, tmp_path, monkeypatch):
    """Nothing is measured anew, and the same table comes out."""

    def refuse(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(module, "repeat" if module is montecarlo else "search", refuse)
    shutil.copytree(FOLDER / "measured", tmp_path / "measured")
    name = module.__name__.rpartition(".")[2]
    result = module.FULL.adjusted(settings).run(Bench(tmp_path))
    result.write(tmp_path, name, "")
    assert (tmp_path / f"{name}.csv").read_text() == (FOLDER / f"{name}.csv").read_text()


def test_attacks_are_found_again_by_everything_but_eps():
    """The last digit of which depends on the machine."""
    full = table8.FULL

    def known(key):
        return {name: value for name, value in key.items() if name != "eps"}

    entries = [json.loads(line)["job"] for line in (FOLDER / "measured" / "table8.jsonl").read_text().splitlines()]
    found = [known(entry) for entry in entries]
    configs = [
        table5.FULL.config(model, radius, noise)
        for model in full.models
        for radius in full.radii
        for noise in ("uniform", "gaussian")
    ]
    made = [job for c in configs for job in full.jobs(c, [1.0] * full.inputs)]
    assert {frozenset(known(json.loads(job.key)).items()) for job in made} == {frozenset(one.items()) for one in found}


@pytest.fixture(scope="module")
def all_digits():
    folder = Path(__file__).parents[2] / "benchmarks" / "mnist10k"
    return json.loads((folder / "summary.json").read_text()), pq.read_table(folder / "digits.parquet")


def test_the_summary_of_all_digits_follows_from_its_rows(all_digits):
    summary, rows = all_digits[0], all_digits[1].to_pydict()
    assert len(rows["id"]) == len(set(rows["id"])) == summary["inputs"] == summary["certified"] == 10_000
    assert sum(rows["class_kept"]) == summary["class_kept"]
    for cosine, found in summary["cosine"].items():
        eps = np.array(rows[f"max_eps_cosine_{cosine}"])
        for q, value in found["max_eps"]["all"].items():
            assert value == np.quantile(eps, float(q), method="lower")
        for share in found["shares"]:
            assert share["certified"] == pytest.approx((eps >= share["eps"]).mean(), abs=6e-5)
            assert share["of_the_source_at_least"] < max(share["certified"], 1e-9)


@pytest.mark.parametrize("position", [57, 8_408])
def test_a_row_of_all_digits_is_had_again(all_digits, position, tmp_path):
    summary, table = all_digits
    config = runs.Config.of(summary["config"] | {"data": f"mnist:test[{position}:{position + 1}]"})
    rows, found = runs.certified(runs.certify(config, tmp_path))
    row = table.slice(position, 1).to_pylist()[0]
    assert (row["id"], row["prediction"]) == (rows[0].facts["id"], rows[0].facts["prediction"])
    for cosine in (0.8, 0.9):
        assert row[f"max_eps_cosine_{cosine}"] == pytest.approx(found.max_eps(cosine)[0], abs=2e-5)
