"""``certify`` resumed, ``status``, ``merge``, ``certificates`` and ``verify``: what they print, write and find."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.numpy import load_file, save_file

import attricert as ac
from attricert import runs
from attricert.cli.display import displaying
from attricert.cli.main import main
from attricert.runs.results import gather
from attricert.runs.rows import Row
from attricert.runs.work import Progress

CERTIFY = ["certify", "--model", "mnist-standard", "--data", "mnist:sample[0:4]", "--noise", "gaussian"]
CERTIFY += ["--sigma", "0.125", "--n_samples", "400", "--seed", "1", "--eps", "0.03", "--cosine", "0.9"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main([*CERTIFY, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def run(made, tmp_path, monkeypatch, capsys):
    """A copy to spoil, as ``run``."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, "run")
    capsys.readouterr()
    return Path("run")


def printed(capsys, *arguments, code=0):
    assert main(list(arguments)) == code
    return json.loads(capsys.readouterr().out)


def test_a_run_is_gone_on_with_by_its_name_alone(run, capsys, monkeypatch):
    before = pq.read_table("run/results.parquet")
    Path("run/results.parquet").unlink()
    monkeypatch.setattr(runs.work.Worker, "certify", lambda *_: pytest.fail("certified again"))
    rows = printed(capsys, "certify", "--out", "run", "--json")["rows"]
    assert rows == before.to_pylist() == pq.read_table("run/results.parquet").to_pylist()
    assert {name for name in rows[0] if name.startswith("max_eps")} == {"max_eps_cosine_0.9"}
    assert "max_eps_cosine_0.5" in printed(capsys, "certify", "--out", "run", "--cosine", "0.5", "--json")["rows"][0]
    assert main(["certify", "--out", "run", "--n_samples", "500"]) == 2
    assert "(n_samples: 400 -> 500)" in capsys.readouterr().err
    # What is given counts, also where it is what would be taken without.
    assert main(["certify", "--out", "run", "--n_samples", "10000"]) == 2
    assert "(n_samples: 400 -> 10000)" in capsys.readouterr().err
    Path("usual.yaml").write_text("n_samples: 10000\nmaps: keep\nprove: null\n")
    assert main(["certify", "--out", "run", "--config", "usual.yaml"]) == 2
    assert "(n_samples: 400 -> 10000)" in capsys.readouterr().err
    usual = ["--eps", "0.02", "0.05", "0.1", "--cosine", "0.8", "0.9", "--json"]
    assert "max_eps_cosine_0.8" in printed(capsys, "certify", "--out", "run", *usual)["rows"][0]
    assert main(["certify", "--out", "run", "--noise", "uniform", "--radius", "2"]) == 2
    assert "(noise: 'gaussian' -> 'uniform'; sigma: 0.125 -> None; radius: None -> 2.0)" in capsys.readouterr().err
    assert main(["certify", "--out", "elsewhere"]) == 2
    assert "model=None: is needed, unless --out alone names a run" in capsys.readouterr().err
    assert main([*CERTIFY, "--shard", "0/2"]) == 2
    assert "out=None: is needed with --shard" in capsys.readouterr().err


def test_shards_are_merged(run, capsys):
    assert main([*CERTIFY, "--out", "a", "--shard", "0/2"]) == 0
    assert "2 inputs are left to other shards; then: attricert merge a" in capsys.readouterr().out
    assert not Path("a/results.parquet").exists()
    assert printed(capsys, "status", "a", "--json") == {
        "inputs": 4,
        "certified": 2,
        "failed": 0,
        "missing": 2,
        "working": [],
        "data_reading": {"8-bit gray, divided by 255": 4},
        "classes": {"inputs": 2, "others": [], "one_class": None},
    }
    assert main(["merge", "a"]) == 2
    assert "lacks 2 of 4 inputs; --partial merges it" in capsys.readouterr().err
    assert [row["id"] for row in printed(capsys, "merge", "a", "--partial", "--json")["rows"]] == [
        "mnist:test:0",
        "mnist:test:2",
    ]
    assert main([*CERTIFY, "--out", "b", "--shard", "1/2"]) == 0
    assert main(["merge", "a", "--sources", "b"]) == 0
    assert "written to a" in capsys.readouterr().out
    assert pq.read_table("a/results.parquet").equals(pq.read_table("run/results.parquet"))
    assert len(list(Path("a/parts").iterdir())) == 2
    assert main(["merge", "a", "--compact"]) == 0
    assert "written to a" in capsys.readouterr().out
    assert len(list(Path("a/parts").iterdir())) == 1
    assert pq.read_table("a/results.parquet").equals(pq.read_table("run/results.parquet"))
    assert main(["status", "a"]) == 0
    out = capsys.readouterr().out
    assert "4 inputs, 4 certified, 0 failed, 0 missing" in out
    assert "at work: nobody" in out


def test_certificates_need_no_model(run, capsys, monkeypatch):
    monkeypatch.setattr("attricert.runs.loading.load_model", lambda name: pytest.fail("loaded"))
    rows = printed(capsys, "certificates", "run", "--eps", "0.01", "0.02", "--cosine", "0.8", "--json")["rows"]
    certificate = runs.load("run")
    assert [row["cosine_eps_0.02"] for row in rows] == certificate.cosine(0.02).tolist()
    assert "signs_eps_0.01" not in rows[0]
    more = printed(
        capsys, "certificates", "run", "--eps", "0.02", "--entries", "--top_k", "50", "--out", "c.parquet", "--json"
    )["rows"]
    assert [row["top_50_overlap_eps_0.02"] for row in more] == certificate.top_k_overlap(0.02, 50).tolist()
    assert pq.read_table("c.parquet").to_pylist() == more
    assert main(["certificates", "run", "--out", "c.parquet"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["certificates", "run", "--entries", "--top_k", "785"]) == 2
    assert "top_k=785" in capsys.readouterr().err
    assert main(["certificates", "nowhere"]) == 2
    assert "run='nowhere': must be a folder made by attricert certify --out" in capsys.readouterr().err


def test_the_summary(run, capsys):
    assert main(["certificates", "run", "--eps", "0.03", "5"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "share of inputs certified to keep a cosine of 0.9" in out
    assert "share of inputs from the same source that keep a cosine, with confidence 0.95" in out
    assert "0.9 0.03 4 of 4 0.472" in out  # 0.05^(1/4) = 0.4729
    assert "0.9 5.0 0 of 4" not in out
    assert "if eps and cosine were not chosen by looking at results" in out
    assert "abstains at eps=5.0 on 4 of 4 inputs: eps=5 may move the map by 2, its norm is at least 0." in out
    assert "#" not in out
    # 784 pixels: each moves by 5 / 28 if all move by the same, and 5 / 28 * 255 = 45.53.
    assert "eps 5.0 = 45.5 of 255 levels in every pixel value" in out
    assert out.count("8-bit rounding alone is eps 0.0316") == 1


def test_an_honest_run_is_verified(run, capsys):
    assert main(["verify", "run", "--sample", "99", "--seed", "0"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == ["ok"] * 10
    assert "sampled again, other seeds" in out


def forge(run, change, honest_digest):
    """Change the first row; with a digest of its own, or the old one."""
    store = runs.Store.open(run)
    (part,) = store.parts()
    rows = part.rows()
    if honest_digest:
        facts = {name: value for name, value in rows[0].facts.items() if name != "digest"}
        part.write([Row({**facts, **change}, rows[0].arrays), *rows[1:]])
    else:
        table = pq.read_table(part.path)
        facts = table.to_pylist()
        facts[0].update(change)
        pq.write_table(pa.Table.from_pylist(facts, schema=table.schema), part.path)


def rewrite(run, change):
    """Other rows, as `certify` would have written them."""
    (part,) = runs.Store.open(run).parts()
    part.write(change(part.rows()))


def terms_of(run):
    return gather(runs.Store.open(run))[0].facts["terms"]


def edit(path, change):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def config_edit(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "alpha": 1e-6}))


def maps_edit(run):
    (path,) = (run / "maps").iterdir()
    arrays = load_file(path)
    arrays["0.entries.low"] += 1e-3
    save_file(arrays, path)


def results_edit(run):
    rows = pq.read_table(run / "results.parquet").to_pylist()
    rows[2]["max_eps_cosine_0.9"] *= 1.01
    pq.write_table(pa.Table.from_pylist(rows), run / "results.parquet")


def shares_edit(run, change):
    table = pq.read_table(run / "results.parquet")
    about = dict(table.schema.metadata)
    about[b"attricert.shares"] = change(about[b"attricert.shares"])
    pq.write_table(table.replace_schema_metadata(about), run / "results.parquet")


def more_certified(text):
    claims = json.loads(text)
    claims[0]["at_least"] += 0.01
    return json.dumps(claims).encode()


def drop_row(run):
    rows = pq.read_table(run / "results.parquet").to_pylist()
    pq.write_table(pa.Table.from_pylist(rows[1:]), run / "results.parquet")


TAMPERING = {
    "config": (config_edit, "config", "config.yaml has alpha: 1e-06, the manifest 0.001"),
    "manifest": (
        lambda run: edit(run / "manifest.json", lambda values: values["config"].update(alpha=1e-6)),
        "digests of rows",
        "mnist:test:0: its digest is not that of its row, its maps and the manifest",
    ),
    "weights": (
        lambda run: edit(run / "manifest.json", lambda values: values.update(weights_sha256="0" * 64)),
        "model",
        "weights_sha256: '0000",
    ),
    "evidence": (
        lambda run: forge(run, {"norm.lower": 0.99}, honest_digest=False),
        "digests of rows",
        "mnist:test:0: its digest is not",
    ),
    "maps": (maps_edit, "digests of rows", "mnist:test:0: its digest is not"),
    "results": (
        results_edit,
        "certificates from evidence",
        "results.parquet, mnist:test:2: max_eps_cosine_0.9 do not follow",
    ),
    "shares": (
        lambda run: shares_edit(run, more_certified),
        "certificates from evidence",
        "results.parquet, attricert.shares do not follow",
    ),
    **{
        f"shares, {text[:9]!r}": (
            lambda run, text=text: shares_edit(run, lambda _: text),
            "certificates from evidence",
            "results.parquet, attricert.shares",
        )
        for text in (b"", b"{}", b"7", b"[7]", b'[{"eps": 1}]', b"\xff", b"[" * 9999)
    },
    "shares, too large": (
        lambda run: shares_edit(run, lambda text: re.sub(b'"inputs": 4', b'"inputs": 1' + b"0" * 400, text)),
        "certificates from evidence",
        "results.parquet, attricert.shares: cannot be read",
    ),
    "missing result": (drop_row, "certificates from evidence", "results.parquet has 3 rows, the evidence 4"),
    "missing row": (
        lambda run: rewrite(run, lambda rows: rows[1:]),
        "every input has a row",
        "1 of 4 inputs have no row",
    ),
    "missing maps": (
        lambda run: next((run / "maps").iterdir()).unlink(),
        "digests of rows",
        "mnist:test:2: its maps are missing: run/maps/0000-of-0001-000000.safetensors",
    ),
    # With a digest computed anew, which anybody can: only sampling again finds it.
    "norm, digest redone": (
        lambda run: forge(run, {"norm.lower": 0.9}, honest_digest=True),
        "sampled again, same seed",
        "mnist:test:0: norm.lower is",
    ),
    "tiny, digest redone": (
        lambda run: forge(run, {"top_variance.upper": 0.0}, honest_digest=True),
        "sampled again, same seed",
        "mnist:test:0: top_variance.upper is",
    ),
    "other seeds": (
        lambda run: forge(run, {"norm.lower": 0.2}, honest_digest=True),
        "sampled again, other seeds",
        "mnist:test:0: norm is 0.2, with other draws 0.8",
    ),
    "prediction": (
        lambda run: forge(run, {"prediction": 3}, honest_digest=True),
        "sampled again, other seeds",
        "mnist:test:0: prediction is 3, sampled again 7",
    ),
    "input": (
        lambda run: forge(run, {"input": "0" * 32}, honest_digest=True),
        "data",
        "mnist:test:0: is another input",
    ),
    "terms": (
        lambda run: forge(run, {"terms": terms_of(run).replace('"alpha": 0.001', '"alpha": 0.01')}, True),
        "digests of rows",
        "mnist:test:0: its terms have alpha 0.01, the manifest 0.001",
    ),
    "a failure that was none": (
        lambda run: rewrite(run, lambda rows: [Row.failed(0, "mnist:test:0", "no luck"), *rows[1:]]),
        "sampled again, same seed",
        "mnist:test:0: failed (no luck), sampled again certified ()",
    ),
    "position": (
        lambda run: forge(run, {"position": 77}, honest_digest=True),
        "digests of rows",
        "'mnist:test:0' at position 77: must have a name, and be one of 4 inputs",
    ),
    "name": (
        lambda run: forge(run, {"id": "mnist:test:9"}, honest_digest=True),
        "data",
        "mnist:test:9: is not input 0 of the data",
    ),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_found(run, capsys, name):
    tamper, where, what = TAMPERING[name]
    tamper(run)
    sample = "4" if where.startswith("sampled") else "0"
    found = printed(capsys, "verify", "run", "--sample", sample, "--seed", "0", "--json", code=1)
    assert not found["passed"]
    (problems,) = [check["problems"] for check in found["checks"] if check["what"].endswith(where)]
    assert any(what in problem for problem in problems), found


def test_merging_does_not_launder_what_was_tampered_with(run, capsys):
    assert main([*CERTIFY, "--out", "clean", "--shard", "1/2"]) == 0
    forge(run, {"norm.lower": 0.99}, honest_digest=False)
    assert main(["merge", "clean", "--sources", "run"]) == 2
    assert "run/parts/0000-of-0001-000000.parquet: mnist:test:0: its digest is not" in capsys.readouterr().err
    assert len(gather(runs.Store.open(Path("clean")))) == 2


def test_other_weights_are_found(run, capsys, monkeypatch):
    model = ac.models.load("mnist-standard")
    model[0].bias += 1e-3
    monkeypatch.setattr("attricert.runs.loaded.load_model", lambda name: model)
    assert main(["verify", "run", "--sample", "2"]) == 1
    out = capsys.readouterr().out
    assert "MISMATCH   model" in out
    assert out.count("a worker's copy has SHA-256") == 2


@pytest.mark.parametrize("noise", [["uniform", "--radius", "3.5"], ["gaussian", "--sigma", "0.125"]])
def test_chance_alone_is_no_mismatch(tmp_path, noise, capsys):
    """Twenty honest resamplings of the two noises, with other seeds; tampering with a norm is found above."""
    out = str(tmp_path / "run")
    arguments = ["certify", "--model", "mnist-standard", "--data", "mnist:sample[0:5]", "--noise", *noise]
    assert main([*arguments, "--n_samples", "300", "--seed", "3", "--maps", "drop", "--out", out]) == 0
    for seed in range(2):
        assert main(["verify", out, "--sample", "5", "--seed", str(seed)]) == 0


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr("attricert.cli.display.LINES", 0.0)
    state = runs.State(200, 0, 12, 1, 10_000, 65.0, {"a": Progress("a", 4096, 0.12349)}, "b failed: ValueError: no")
    with displaying() as report:
        report(state)
    err = capsys.readouterr().err.splitlines()
    assert err[0] == "attricert: b failed: ValueError: no"
    assert err[1] == (
        "attricert: 12 of 200 inputs, 0:01:05 gone, 0:16:23 left, 1 failed; a: 4,096 of 10,000 draws, eps 0.1234 so far"
    )


def test_progress_is_bars_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    state = runs.State(200, 0, 12, 0, 10_000, 65.0, {"a": Progress("a", 4096, 0.12349)}, "a note")
    with displaying() as report:
        report(state)
        report(runs.State(200, 0, 13, 0, 10_000, 66.0))
    err = capsys.readouterr().err
    assert "a note" in err
    assert "13/200" in err


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A run that version 0.1 has made, with maps, functionals and higher moments, as ``run``."""
    shutil.copytree(Path(__file__).parents[1] / "data" / "run-0.1", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return runs.Store.open(Path("run"))


def test_a_run_of_version_0_1_is_verified(old, capsys):
    """The same draws give the same evidence, entries and functionals too."""
    found = printed(capsys, "verify", "run", "--sample", "2", "--seed", "0", "--json")
    assert found["passed"], found
    rows = printed(capsys, "certificates", "run", "--eps", "0.02", "--cosine", "0.9", "--entries", "--json")["rows"]
    for row, then in zip(rows, pq.read_table("run/results.parquet").to_pylist(), strict=True):
        # Its higher moments do not matter for so few draws.
        assert row["max_eps_cosine_0.9"] == pytest.approx(then["max_eps_cosine_0.9"], rel=1e-9)
        assert row["functional_low_eps_0.02"] == pytest.approx(then["functional_low_eps_0.02"], rel=1e-7)
        assert row["signs_eps_0.02"] == then["signs_eps_0.02"]
        assert row["prediction_radius"] == pytest.approx(then["label_eps"], rel=1e-9)


def test_a_run_of_version_0_1_is_gone_on_with(old, capsys):
    before = runs.load("run")
    (part,) = old.parts()
    part.write(part.rows()[1:])
    assert main(["certify", "--out", "run"]) == 0
    assert sorted(("statement" in row.facts) for part in old.parts() for row in part.rows()) == [False, True]
    after = runs.load("run")
    assert after.terms == before.terms
    assert after.max_eps(0.9) == pytest.approx(before.max_eps(0.9), rel=1e-4)
    assert after.intervals(0.02).low[1] == pytest.approx(before.intervals(0.02).low[1], rel=1e-12)
    low, was = after.functionals(0.02).low, before.functionals(0.02).low
    assert (low >= was - 1e-9).all()  # rows of today keep the pilot's values too, which makes intervals narrower
    assert low == pytest.approx(was, abs=0.1)
    # Rows of both versions have other columns: in one file they would lose them.
    rows = {row.facts["id"]: row.facts["digest"] for part in old.parts() for row in part.rows()}
    assert main(["merge", "run", "--compact"]) == 0
    assert {row.facts["id"]: row.facts["digest"] for part in old.parts() for row in part.rows()} == rows
    assert [len({row.legacy for row in part.rows()}) for part in old.parts()] == [1, 1]
    np.testing.assert_array_equal(runs.load("run").maps, after.maps)
    capsys.readouterr()
    assert printed(capsys, "verify", "run", "--sample", "2", "--seed", "0", "--json")["passed"]
