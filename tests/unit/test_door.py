"""What a run's folder holds is checked where it is read, by all who read it: schema, digests, links, other code."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

import attricert as ac
from attricert import runs
from attricert.cli.main import main
from attricert.runs.results import gather, stream
from attricert.runs.rows import Row

CONFIG = runs.Config(
    "mnist-standard",
    "mnist:sample[0:3]",
    noise="gaussian",
    parameters={"sigma": 0.125},
    n_samples=200,
    seed=1,
    prove=("top_variance", "entries"),
)
PART, MAPS = "parts/0000-of-0001-000000.parquet", "maps/0000-of-0001-000000.safetensors"


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    store = runs.certify(CONFIG, folder)
    runs.write_results(store, runs.certificates(store, runs.Asked((0.02,), (0.9,))))
    return folder


@pytest.fixture
def run(clean, tmp_path):
    """A copy to spoil."""
    shutil.copytree(clean, tmp_path / "run")
    return tmp_path / "run"


def other_folder(run):
    """A run of the same that has no rows yet."""
    (run.parent / "other").mkdir()
    shutil.copy(run / "manifest.json", run.parent / "other")
    return runs.Store.open(run.parent / "other")


READERS = {
    "load": runs.load,
    "certified": lambda run: runs.certified(runs.Store.open(run)),
    "certificates": lambda run: runs.certificates(runs.Store.open(run), runs.Asked(), entries=False),
    "gather": lambda run: gather(runs.Store.open(run)),
    "terms": lambda run: runs.terms(runs.Store.open(run)),
    "merge into it": lambda run: runs.merge(runs.Store.open(run), []),
    "merge from it": lambda run: runs.merge(other_folder(run), [run]),
    "certify": lambda run: runs.certify(CONFIG, run),
}


def cells(run, **changes):
    """Change cells of the first row; its digest stays."""
    table = pq.read_table(run / PART)
    rows = table.to_pylist()
    rows[0].update({name.replace("__", "."): value for name, value in changes.items()})
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), run / PART)


def forge(run, arrays=(), **changes):
    """Change the first row, with a digest that is right for it."""
    (part,) = runs.Store.open(run).parts()
    first, *rest = part.rows()
    facts = {name: value for name, value in first.facts.items() if name != "digest"}
    facts.update({name.replace("__", "."): value for name, value in changes.items()})
    part.write([Row(facts, {**first.arrays, **dict(arrays)}), *rest])


def states(run, **settings):
    return {check.what: check.state for check in runs.verify(run, **{"sample": 0, **settings})}


@pytest.mark.parametrize("reader", READERS)
def test_a_raised_norm_with_its_old_digest_is_read_by_nobody(run, reader):
    cells(run, norm__lower=0.95)
    with pytest.raises(ac.IntegrityError, match=rf"{PART}: mnist:test:0: its digest is not"):
        READERS[reader](run)


@pytest.mark.parametrize("reader", READERS)
def test_maps_that_are_gone_are_said(run, reader):
    (run / MAPS).unlink()
    with pytest.raises(ac.IntegrityError, match=f"mnist:test:0: its maps are missing: .*{MAPS}"):
        READERS[reader](run)


@pytest.mark.parametrize("command", ["status", "certificates", "merge", "verify"])
def test_commands_say_it_in_a_line(run, command, capsys):
    cells(run, norm__lower=0.95)
    assert main([command, str(run)]) == (1 if command == "verify" else 2)
    out, err = capsys.readouterr()
    assert "mnist:test:0: its digest is not that of its row" in (out if command == "verify" else err)


def test_what_is_whole_beside_the_damage_is_still_read_by_verify(run):
    store = runs.Store.open(run)
    rows = gather(store)
    (run / PART).unlink()
    (run / MAPS).unlink()
    for i, row in enumerate(rows):
        store.append([row], f"{i:04d}-of-0003")
    assert set(states(run).values()) == {"passed"}
    (run / "parts" / "0001-of-0003-000000.parquet").write_bytes(b"PAR1")
    (run / "config.yaml").write_bytes(b"\xff")
    (run / "results.parquet").write_bytes(b"")
    problems, found = [], states(run)
    assert [row.facts["id"] for row in stream(store, problems=problems)] == ["mnist:test:0", "mnist:test:2"]
    assert len(problems) == 1
    assert {what for what, state in found.items() if state == "mismatch"} == {
        "config",
        "digests of rows",
        "every input has a row",
        "certificates from evidence",
    }
    assert set(found.values()) == {"mismatch", "passed"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm__lower": 1.5}, r"norm.lower=1.5: must be at most"),
        ({"norm__lower": float("nan")}, "Norm.lower=.*nan"),
        ({"norm__lower": None}, "norm"),
        ({"top_variance__upper": -1.0}, "TopVariance.upper"),
        ({"sampling__zeros": 10**9}, "sampling.zeros"),
        ({"outcome": "won"}, "outcome='won'"),
        ({"status": "perhaps"}, "must be certified or failed"),
        ({"status": "failed"}, "though it has failed"),
        ({"position": 3}, "be one of 3 inputs"),
        ({"position": 1}, "two rows at a position"),
        ({"input": "x"}, "must have the digest of an input"),
        ({"label": -2}, "and classes"),
        ({"terms": "{}"}, "not the terms of a certificate"),
        ({"terms": None}, "terms: a row has none"),
        ({"cone__along": [0.5]}, "cone"),
        ({"functionals__low": [float("nan")]}, "functionals"),
    ],
)
def test_rows_that_cannot_be_are_refused_whatever_their_digest(run, changes, message):
    forge(run, **changes)
    with pytest.raises(ac.IntegrityError, match=f"{PART}.*{message}"):
        runs.load(run)
    assert states(run)["digests of rows"] == "mismatch"


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("entries.low", np.full((1, 28, 28), 2.0), "entries.low"),
        ("entries.low", np.zeros((28, 28)), "do not go together|one shape"),
        ("entries.low", np.zeros((1, 28, 28), np.float32), "must be float64"),
        ("maps.mean", np.full((1, 28, 28), np.nan), "Maps.mean"),
        ("norm.lower", np.zeros((1, 28, 28)), "none of the maps of its part"),
    ],
)
def test_maps_that_cannot_be_are_refused_whatever_their_digest(run, name, array, message):
    forge(run, {name: array})
    with pytest.raises(ac.IntegrityError, match=message):
        runs.load(run)


def test_verify_finds_labels_that_are_not_the_datas(run):
    forge(run, label=3)
    assert states(run)["data"] == "mismatch"


@pytest.mark.parametrize(
    ("name", "value"), [("max_entry", 0.5), ("bound", "Normalize(max_entry=0.5)"), ("version", "9")]
)
def test_terms_must_be_those_of_the_manifest(run, name, value):
    terms = json.loads(gather(runs.Store.open(run))[0].facts["terms"])
    forge(run, terms=json.dumps({**terms, name: value}))
    with pytest.raises(ac.IntegrityError, match=f"its terms have {name}|different terms|must be"):
        runs.load(run)


def test_maps_of_nobody_are_refused(run):
    arrays = load_file(run / MAPS)
    for key in ("7.maps.mean", "-1.maps.mean", "00.maps.mean", "maps.mean"):
        save_file({**arrays, key: arrays["0.maps.mean"]}, run / MAPS)
        with pytest.raises(ac.IntegrityError, match=f"{MAPS}: {key} is none of the maps"):
            runs.load(run)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.drop_columns(["norm.lower"]),
        lambda t: t.append_column("luck", t["norm.lower"]),
        lambda t: t.append_column("id", t["id"]),
        lambda t: t.set_column(t.column_names.index("position"), "position", t["position"].cast(pa.int32())),
        lambda t: t.drop_columns(["cone.along"]),
        lambda t: pa.concat_tables([t, t]),
    ],
)
def test_tables_of_other_columns_are_refused(run, change):
    pq.write_table(change(pq.read_table(run / PART)), run / PART)
    with pytest.raises(ac.IntegrityError, match=PART):
        runs.load(run)


def test_a_piece_that_was_not_known_then_may_be_absent(run):
    table = pq.read_table(run / PART)
    pq.write_table(table.drop_columns([name for name in table.column_names if name.startswith("fourth.")]), run / PART)
    assert len(runs.load(run)) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": 0}, "inputs=0"),
        ({"inputs": "3"}, "inputs"),
        ({"data_sha256": "a"}, "data_sha256: must be 64"),
        ({"weights_sha256": 7}, "weights|string"),
        ({"code_sha256": None}, "code|string"),
        ({"version": 1}, "version=1"),
        ({"format": "attricert-run-9"}, "unknown format"),
        ({"more": 1}, "more"),
        ({"config": []}, "no mapping"),
        ({"config": {"model": "mnist-standard"}}, "data|sigma"),
    ],
)
def test_manifests_that_are_none_are_refused(run, change, message):
    path = run / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ac.IntegrityError, match=f"(?s)manifest.json: not the manifest of a run .*({message})"):
        runs.load(run)
    assert states(run) == {"manifest": "mismatch", "rows, data, code and model": "unchecked"}
    assert main(["verify", str(run)]) == 1
    assert main(["status", str(run)]) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("model", 5), ("data", None), ("n_samples", "many"), ("threads", 10**9), ("antithetic", 1), ("prove", "cone")],
)
def test_settings_of_other_types_are_refused(run, name, value):
    path = run / "manifest.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "config": {**values["config"], name: value}}))
    with pytest.raises(ac.IntegrityError, match=f"(?s)manifest.json: not the manifest of a run .*{name}"):
        runs.load(run)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[1",
        b"a: [*a]",
        b"a: &b [1]\nc: *b",
        b"\xff",
        b"[" * 5000,
        b"1: 2",
        b"a: !!int ''",
        b"eps: x",
        b"x" * 2**21,
    ],
)
def test_configs_that_are_none_are_refused(run, text):
    (run / "config.yaml").write_bytes(text)
    with pytest.raises(ac.IntegrityError, match=r"config\.yaml: "):
        runs.Store.open(run).asked()
    assert states(run)["config"] == "mismatch"
    assert main(["merge", str(run)]) == 2


# ---- links, pipes, devices


FILES = ("manifest.json", "config.yaml", PART, MAPS, "results.parquet")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["link", "device", "pipe", "folder"])
def test_links_and_special_files_are_not_opened(run, name, kind):
    path = run / name
    if kind == "link":
        path.rename(run.parent / "outside")
    else:
        path.unlink()
    {
        "link": lambda: path.symlink_to(run.parent / "outside"),
        "device": lambda: path.symlink_to("/dev/zero"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }[kind]()
    assert "mismatch" in states(run).values()
    if name in (PART, MAPS):
        with pytest.raises((ac.IntegrityError, OSError), match=r"link|regular|directory"):
            runs.load(run)


@pytest.mark.parametrize("name", ["parts", "maps"])
def test_folders_that_are_links_are_not_followed(run, name):
    (run / name).rename(run.parent / name)
    (run / name).symlink_to(run.parent / name)
    with pytest.raises(ac.IntegrityError, match="is a link, which is not followed"):
        runs.load(run)
    store = runs.Store.open(run)
    with pytest.raises(ac.IntegrityError, match="is a link, which is not followed"):
        store.append([Row.failed(0, "a", "b")], "0000-of-0002")
    assert len(list((run.parent / name).iterdir())) == 1
    assert states(run)["files of the folder"] == "mismatch"


def test_nothing_is_written_through_links(run):
    outside = run.parent / "outside"
    store = runs.Store.open(run)
    for name in ("log.jsonl", ".lock-0000-of-0001", "results.parquet"):
        (run / name).unlink(missing_ok=True)
        outside.write_text("theirs")
        (run / name).symlink_to(outside)
        store.log("event", {})
        if name.startswith(".lock"):
            for use in (store.working, lambda: store.writing("0000-of-0001").__enter__()):
                with pytest.raises(ac.IntegrityError, match="is a link"):
                    use()
            (run / name).unlink()
    runs.write_results(store, [])
    assert outside.read_text() == "theirs"
    (run / "log.jsonl").unlink()
    os.mkfifo(run / "log.jsonl")
    store.log("event", {})  # does not wait for a reader
    assert states(run)["files of the folder"] == "mismatch"


# ---- other code


MINE = """
from pathlib import Path
import helper
import attricert as ac
def model():
    Path("ran").write_text("x")
    return ac.models.load("mnist-standard")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A run of a user's own model, which says that it was run."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(MINE)
    Path("helper.py").write_text("VALUE = 1\n")
    runs.certify(dataclasses.replace(CONFIG, model="mine.py:model", data="mnist:sample[0:1]"), Path("own"))
    Path("ran").unlink()
    return Path("own")


def test_verify_runs_no_code_that_is_not_trusted(own, capsys):
    found = states(own)
    assert {what for what, state in found.items() if state == "skipped"} == {
        "model",
        "0 inputs sampled again, same seed",
        "0 inputs sampled again, other seeds",
    }
    assert set(found.values()) == {"passed", "skipped"}
    assert main(["verify", str(own), "--sample", "1"]) == 0
    assert "not checked: needs --trust-code (mine.py, SHA-256 " in capsys.readouterr().out
    assert not Path("ran").exists()
    assert set(states(own, sample=1, trust_code=True).values()) == {"passed"}
    assert Path("ran").exists()


def test_other_code_is_found_before_it_is_run(own):
    Path("helper.py").write_text("VALUE = 2\n")
    found = states(own, sample=1, trust_code=True)
    assert (found["code"], found["model"]) == ("mismatch", "unchecked")
    config = runs.Store.open(own).manifest.config
    with pytest.raises(ac.ArgumentError, match=r"holds a run of something else \(code_sha256: "):
        runs.certify(config, own)
    with pytest.raises(ac.ArgumentError, match=r"something else \(code_sha256: "):
        runs.certify(config, own, shard=runs.Shard(1, 2))
    assert not Path("ran").exists()


def test_what_is_not_here_is_unchecked(own):
    Path("mine.py").unlink()
    found = states(own, trust_code=True)
    assert (found["data"], found["code"], found["model"]) == ("passed", "unchecked", "unchecked")
    assert main(["verify", str(own), "--trust_code"]) == 1
