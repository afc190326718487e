"""``attricert attack``: what it writes, what it prints, and its exit code."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import attricert as ac
from attricert.cli.main import main
from attricert.runs.rows import Row

CERTIFY = ["certify", "--model", "mnist-standard", "--data", "mnist:sample[0:2]", "--noise", "gaussian"]
ATTACK = ["attack", "--run", "run", "--budget", "0.0005", "--steps", "0", "--n-samples", "200"]


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certified") / "run"
    assert main([*CERTIFY, "--sigma", "0.125", "--n-samples", "400", "--seed", "0", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def _run(certified, tmp_path, monkeypatch):
    shutil.copytree(certified, tmp_path / "run")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_run")
def test_both_bounds_are_written_and_printed(capsys):
    assert main([*ATTACK, "--eps", "0.03", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    table = pq.read_table("run/attack.parquet")
    assert printed["failed"] == 0
    assert json.loads(table.schema.metadata[b"attricert"])["budget"] == 0.0005
    certificate = ac.runs.load("run")
    for i, row in enumerate(table.to_pylist()):
        assert row["id"] == f"mnist:test:{i}"
        assert row["max_eps"] == certificate.max_eps(0.9)[i]
        assert not row["crossed"]
        assert 0 < row["ratio"] == row["max_eps"] / row["broken_eps"] < 1
        assert row["eps"] == sorted(row["eps"])
        assert {0.03, row["max_eps"]} <= set(row["eps"])
        np.testing.assert_array_equal(row["cosine_certified"], certificate.cosine(row["eps"])[i])
        assert (np.array(row["cosine_error"]) > 0).all()
    assert Path("run/attack.png").stat().st_size > 10_000


@pytest.mark.usefixtures("_run")
def test_the_first_inputs_alone_into_another_folder(capsys):
    assert main([*ATTACK, "--inputs", "1", "--out", "other"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "mean ratio certified / broken over 1 inputs" in out
    certified = re.search(r"mean certified eps ([\d.]+) = ([\d.]+) of 255 levels in every pixel value", out)
    assert float(certified[2]) == pytest.approx(float(certified[1]) / 28 * 255, rel=0.01)
    assert len(pq.read_table("other/attack.parquet")) == 1
    assert main([*ATTACK, "--inputs", "1", "--out", "other"]) == 2
    assert "already holds attack.parquet" in capsys.readouterr().err


@pytest.mark.usefixtures("_run")
def test_a_false_claim_fails_with_exit_1(capsys):
    """A larger norm and no spread: the certificate claims far too much."""
    store = ac.runs.Store.open(Path("run"))
    (part,) = store.parts()
    forged = [
        {
            **{name: value for name, value in row.facts.items() if name != "digest"},
            "norm.lower": 0.99,
            "top_variance.upper": 1e-6 * row.facts["top_variance.upper"],
            "cone.variance": 1e-6 * row.facts["cone.variance"],
            "cone.drift": 0.0,
            "cone.outside": [0.0 for _ in row.facts["cone.outside"]],
        }
        for row in part.rows()
    ]
    part.write([Row(facts) for facts in forged])
    assert main([*ATTACK, "--eps", "0.8", "--inputs", "1"]) == 1
    assert capsys.readouterr().out.count("CLAIM FAILED: mnist:test:") == 1
    assert all(row["crossed"] for row in pq.read_table("run/attack.parquet").to_pylist())


@pytest.mark.usefixtures("_run")
@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--run", "nowhere"], "run="),
        (["--cosine", "1.5"], "cosine="),
        (["--inputs", "0"], "inputs="),
        (["--budget", "-1"], "budget="),
        (["--steps", "-1"], "steps="),
        (["--eps", "-0.1"], "eps="),
    ],
)
def test_bad_settings_get_one_line(capsys, extra, message):
    assert main([*ATTACK, *extra]) == 2
    assert message in capsys.readouterr().err
    assert not Path("run/attack.parquet").exists()


@pytest.mark.usefixtures("_run")
def test_a_run_of_other_data_is_refused(capsys):
    manifest = Path("run/manifest.json")
    (part,) = ac.runs.Store.open(Path("run")).parts()
    rows = [Row({k: v for k, v in row.facts.items() if k != "digest"}, row.arrays) for row in part.rows()]
    manifest.write_text(manifest.read_text().replace("[0:2]", "[0:3]"))
    ac.runs.Store.open(Path("run")).parts()[0].write(rows)
    assert main(ATTACK) == 2
    assert "is not of what is here now (inputs: 2 -> 3; data_sha256: '" in capsys.readouterr().err
