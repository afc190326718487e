"""A user's own tables, arrays, code and objects: certified, shown, verified, reported."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

import attricert as ac
from attricert import runs
from attricert.cli.main import main
from attricert.runs.results import gather
from attricert.streams import sample_key

MINE = """
from pathlib import Path
import numpy as np
import torch
def table():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2).eval()
def series():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv1d(2, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(28, 3))
def double():
    return table().double()
"""
DATA = """
from pathlib import Path
import numpy as np
Path("marker").write_text("this was run")
def data():
    values = np.random.default_rng(0).normal(size=(4, 3))
    return values, [0, 1, 0, 1], ["one", "two", "three", "four"]
"""
X = np.random.default_rng(1).normal(size=(6, 3)) * [1.0, 10.0, 0.1]
NOISE = ["--noise", "gaussian", "--sigma", "0.5", "--n_samples", "200", "--seed", "1"]
NOISE += ["--prove", "top_variance,entries"]  # what takes no time to show


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "own.py").write_text(DATA)
    rows = ["who,age,dose,rate,outcome"]
    rows += [f"p{i},{','.join(map(repr, x))},{'sick' if i % 2 else 'well'}" for i, x in enumerate(X.tolist())]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    series = np.random.default_rng(2).normal(size=(5, 2, 9)).astype(np.float32)
    np.savez(tmp_path / "series.npz", x=series, y=np.array([0, 1, 2, 1, 0]), channels=np.array(["ecg", "ppg"]))
    return tmp_path


def outcome(capsys, *arguments):
    try:
        code = main(list(arguments))
    except SystemExit as error:
        code = error.code
    return (code, *capsys.readouterr())


def test_a_table_from_the_file_to_the_report(place, capsys):
    command = ["certify", "--model", "mine.py:table", "--data", "table.csv[0:5]", "--label_column", "outcome"]
    command += ["--id_column", "who", "--target", "label", *NOISE, "--out", "run"]
    code, out, err = outcome(capsys, *command)
    assert code == 0, err
    assert "data: 3 columns as they are: 5; given to the model in float32: 5" in err
    deviations = X.std(axis=0)
    shift = 0.25 / np.sqrt(3) * np.sqrt(np.mean(deviations**-2.0))
    told = re.search(r"eps 0.25 = ([\d.]+) standard deviations in every column", out)
    assert float(told[1]) == pytest.approx(shift, rel=1e-2)
    store = runs.Store.open(place / "run")
    form = store.manifest.data_form
    assert (form.kind, form.names, form.classes) == ("columns", ("age", "dose", "rate"), ("sick", "well"))
    rows = gather(store)
    assert [row.facts["id"] for row in rows] == ["p0", "p1", "p2", "p3", "p4"]
    assert [row.facts["target"] for row in rows] == [1, 0, 1, 0, 1]
    for row, x in zip(rows, X, strict=False):
        assert row.facts["input"] == sample_key(torch.tensor(x, dtype=torch.float32))
    assert outcome(capsys, *command)[0] == 0  # gone on with
    code, out, _ = outcome(capsys, "certificates", "run", "--eps", "0.01", "--json")
    assert code == 0
    code, out, _ = outcome(capsys, "status", "run")
    assert code == 0
    assert "5 certified" in out
    code, out, err = outcome(capsys, "verify", "run", "--sample", "1", "--trust-code")
    assert code == 0, out
    assert "MISMATCH" not in out + err
    assert outcome(capsys, "report", "run", "--trust-code", "--inputs", "1", "--eps", "0.1")[0] == 0
    page = (place / "run" / "report.html").read_text()
    for text in ("standard deviations", '"age"', '"dose"', '"rate"', "0 sick, 1 well"):
        assert text in page
    text = (place / "table.csv").read_text()
    (place / "table.csv").write_text(text.replace("p3,", "p3,1"))
    code, out, _ = outcome(capsys, "verify", "run", "--sample", "0")
    assert code == 1
    assert "p3: is another" in out


def test_a_table_that_is_in_doubt_is_one_line(place, capsys):
    code, _, err = outcome(capsys, "certify", "--model", "mine.py:table", "--data", "table.csv", *NOISE)
    assert code == 2
    assert "columns that are not numbers" in err
    assert "who (string), outcome (string)" in err


def test_series_from_the_file_to_the_report(place, capsys):
    command = ["certify", "--model", "mine.py:series", "--data", "series.npz", *NOISE, "--out", "run"]
    code, out, err = outcome(capsys, *command)
    assert code == 0, err
    assert "input units in every value" in out
    rows = gather(runs.Store.open(place / "run"))
    assert [row.facts["id"] for row in rows] == [f"series.npz:{i}" for i in range(5)]
    assert runs.load("run").maps.shape == (5, 2, 9)
    assert outcome(capsys, "certificates", "run", "--eps", "0.01")[0] == 0
    code, out, err = outcome(capsys, "verify", "run", "--sample", "1", "--trust-code")
    assert code == 0, out
    assert outcome(capsys, "report", "run", "--trust-code", "--inputs", "1", "--eps", "0.1")[0] == 0
    page = (place / "run" / "report.html").read_text()
    assert '"ecg"' in page
    assert '"ppg"' in page
    (place / "mine.py").write_text(MINE + "\n")
    code, out, _ = outcome(capsys, "verify", "run", "--sample", "1", "--trust-code")
    assert code == 1
    assert "code_sha256" in out


def test_own_code_makes_the_data_and_needs_trust(place, capsys):
    command = ["certify", "--model", "mine.py:double", "--data", "own.py:data[1:4]", *NOISE, "--out", "run"]
    code, _, err = outcome(capsys, *command)
    assert code == 0, err
    store = runs.Store.open(place / "run")
    assert [row.facts["id"] for row in gather(store)] == ["two", "three", "four"]
    assert store.manifest.data_form.dtype is None  # the model takes float64, and so are the data
    assert (place / "run" / "pictures.png").exists()
    (place / "marker").unlink()
    for look in (["verify", "run"], ["report", "run"], ["certify", "--out", "run"], ["status", "run"]):
        code, out, err = outcome(capsys, *look)
        assert code == 0, out + err
        assert not (place / "marker").exists()
    code, _, err = outcome(capsys, "attack", "--run", "run")
    assert (code, "own.py, SHA-256" in err, (place / "marker").exists()) == (2, True, False)
    (place / "run.yaml").write_text("model: mnist-standard\ndata: own.py:data\nsigma: 0.5\n")
    code, _, err = outcome(capsys, "certify", "--config", "run.yaml")
    assert (code, "the --config file names code" in err, (place / "marker").exists()) == (2, True, False)
    code, out, _ = outcome(capsys, "verify", "run", "--sample", "1", "--trust-code")
    assert code == 0, out
    assert (place / "marker").exists()
    (place / "marker").unlink()
    (place / "own.py").write_text(DATA.replace("normal(", "uniform("))
    code, out, _ = outcome(capsys, "verify", "run", "--trust-code")
    assert code == 1
    assert "the code is not the run's" in out
    code, _, err = outcome(capsys, *command)
    assert (code, "code_sha256" in err) == (2, True)
    assert not (place / "marker").exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 7", "must be inputs .*, not int"),
        ("raise ValueError('no')", "own.py raised ValueError: no"),
        ("import numpy; return numpy.zeros((0, 3))", "not empty"),
        ("return None", "must be inputs .*, not NoneType"),
    ],
)
def test_a_factory_of_something_else_is_one_line(place, capsys, body, said):
    (place / "own.py").write_text(f"def data():\n    {body}\n")
    code, _, err = outcome(capsys, "certify", "--model", "mine.py:table", "--data", "own.py:data", *NOISE)
    assert code == 2
    assert re.search(said, err.replace("\n", " ")), err


def test_a_pilot_reads_tables_too(place, capsys):
    command = ["plan", "--model", "mine.py:table", "--data", "table.csv", "--skip_columns", "who", "outcome"]
    code, out, err = outcome(capsys, *command, "--eps", "0.01", "--cosine", "0.5", "--n_pilot", "150", "--inputs", "2")
    assert code in (0, 1), err
    assert "standard deviations in every column" in out


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2)).eval()


SETTINGS = {"noise": "gaussian", "sigma": 0.5, "n_samples": 200, "seed": 1, "prove": ["top_variance", "entries"]}


def test_objects_are_certified_gone_on_with_and_verified(place, capsys):
    model, data = net(), (X, [0, 1, 0, 1, 0, 1], [f"p{i}" for i in range(6)])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    half = runs.certify(SETTINGS, "run", model=model, data=data, shard=runs.Shard(0, 2))
    assert (half.manifest.config.model, half.manifest.config.data) == ("object:Sequential", "object:tuple")
    assert [row.facts["id"] for row in gather(half)] == ["p0", "p2", "p4"]
    whole = runs.certify(half.manifest.config, "run", model=model, data=data)
    assert "6 inputs certified, 0 failed, of 6" in " ".join((place / "run" / "claim.txt").read_text().split())
    assert "not all there yet" not in (place / "run" / "claim.txt").read_text()
    alone = runs.certify(SETTINGS, "alone", model=model, data=data)
    assert [row.facts["norm.lower"] for row in gather(whole)] == [row.facts["norm.lower"] for row in gather(alone)]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    checks = runs.verify("run", model=model, data=data, sample=2)
    assert all(check.passed for check in checks), checks
    states = {check.what: check.state for check in runs.verify("run", sample=1)}
    assert (states["data"], states["model"]) == ("unchecked", "unchecked")
    other = net()
    with torch.no_grad():
        other[0].bias += 1
    page = runs.report("alone", model=model, data=data).read_text()
    assert "are not shown" not in page
    assert "map without noise" in page
    assert "are not shown: data='object:tuple': is an object" in runs.report("alone").read_text().replace("&#39;", "'")
    assert {c.what: c.state for c in runs.verify("run", model=other, data=data, sample=0)}["model"] == "mismatch"
    found = {c.what: c.problems for c in runs.verify("run", model=model, data=(X + 1, *data[1:]), sample=0)}
    assert any("p0: is another" in problem for problem in found["data"])
    with pytest.raises(ac.ArgumentError, match="something else"):
        runs.certify(SETTINGS, "run", model=other, data=data)
    (place / "run" / "parts" / sorted(p.name for p in (place / "run" / "parts").iterdir())[-1]).unlink()
    code, _, err = outcome(capsys, "certify", "--out", "run")
    assert code == 2
    assert "is an object that a Python program gave" in err
    assert err.count("error:") == 1
    assert outcome(capsys, "status", "run")[0] == 0


def test_objects_stay_in_this_process(place):
    model = net()
    for elsewhere in ({"executor": runs.Processes(2)}, {"input_timeout": 5.0}):
        with pytest.raises(ac.ArgumentError, match="stays in this one"):
            runs.certify(SETTINGS, "run", model=model, data=X, **elsewhere)
    with pytest.raises(ac.ArgumentError, match="is named, and given as an object too"):
        runs.certify({**SETTINGS, "model": "mnist-standard"}, "run", model=model, data=X)
    with pytest.raises(ac.ArgumentError, match="must be a torch.nn.Module, .*not int"):
        runs.certify(SETTINGS, "run", model=7, data=X)
    with pytest.raises(ac.ArgumentError, match="must be inputs"):
        runs.certify(SETTINGS, "run", model=model, data=object())
    assert not (place / "run").exists()


def test_data_that_are_given_go_to_workers_elsewhere_too(place):
    here = runs.certify(SETTINGS, "here", model="mine.py:table", data=(X, [0, 1] * 3))
    there = runs.certify(SETTINGS, "there", model="mine.py:table", data=(X, [0, 1] * 3), executor=runs.Processes(1))
    assert [row.facts["norm.lower"] for row in gather(here)] == [row.facts["norm.lower"] for row in gather(there)]
    assert here.manifest.config.data == "object:tuple"
    named = {"label_column": "outcome", "id_column": "who"}
    table = runs.certify({**SETTINGS, **named}, "table", model="mine.py:table", data=place / "table.csv")
    assert table.manifest.config.data == str(place / "table.csv")


def test_a_forged_form_is_found(place):
    runs.certify(SETTINGS, "run", model=net(), data=X)
    path = place / "run" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["data_form"]["deviations"][0] *= 1.001
    path.write_text(json.dumps(manifest))
    found = {check.what: check for check in runs.verify("run", model=net(), data=X, sample=0)}
    assert "data_form" in found["data"].problems[0]
    assert found["digests of rows"].state == "mismatch"  # which are of the manifest, too
    del manifest["data_form"]
    path.write_text(json.dumps({**manifest, "data_form": {"kind": "columns", "names": 7}}))
    with pytest.raises(ac.IntegrityError, match="not the manifest of a run"):
        runs.Store.open(place / "run")


def test_attributions_and_data_frames_are_objects_too(place):
    frame = pytest.importorskip("pandas").DataFrame(X, columns=["a", "b", "c"])
    frame["y"] = ["u", "v"] * 3
    model = net()

    def twice(inputs, target):
        inputs = inputs.detach().requires_grad_(True)
        (found,) = torch.autograd.grad(model(inputs).gather(1, target[:, None]).sum(), inputs)
        return 2 * found

    settings = {**SETTINGS, "label_column": "y", "target": "label"}
    store = runs.certify(settings, "run", model=model, data=frame, attribution=twice)
    assert store.manifest.config.attribution == "object:twice"
    assert store.manifest.data_form.classes == ("u", "v")
    rows = gather(store)
    assert [row.facts["target"] for row in rows] == [0, 1] * 3
    plain = gather(runs.certify(settings, "plain", model=model, data=frame))
    np.testing.assert_allclose(  # the direction is what is certified: maps are normalized
        [row.facts["norm.lower"] for row in rows], [row.facts["norm.lower"] for row in plain], rtol=1e-5
    )
    assert all(c.passed for c in runs.verify("run", model=model, data=frame, attribution=twice, sample=1))
    assert json.loads((place / "run" / "manifest.json").read_text())["data_form"]["dtype"] == "float32"


def test_a_regression_has_no_class(place, capsys):
    (place / "own.py").write_text(DATA.replace(", [0, 1, 0, 1], [", ", None, ["))
    (place / "mine.py").write_text(
        MINE + "def number():\n    return torch.nn.Sequential(table(), torch.nn.Linear(2, 1))\n"
    )
    asked = ["--model", "mine.py:number", "--data", "own.py:data", *NOISE]
    code, _, said = outcome(capsys, "certify", *asked, "--target", "nothing")
    assert (code, "must be predicted, label, none, or a class number" in said) == (2, True)
    code, text, _ = outcome(capsys, "certify", *asked, "--target", "none", "--out", "run")
    assert code == 0
    assert "certain to stay: signs, ranks, top set" in text
    store = runs.Store.open(place / "run")
    assert {(row["prediction"], row["target"]) for row in runs.certificates(store, store.asked())} == {(-1, -1)}
    certificate = runs.load(place / "run")
    assert certificate.evidence.prediction is None
    assert outcome(capsys, "verify", "run", "--trust-code", "--sample", "1")[0] == 0
    assert outcome(capsys, "status", "run")[0] == 0
    assert outcome(capsys, "report", "run", "--trust-code", "--inputs", "1", "--eps", "0.1")[0] == 0
    page = (place / "run" / "report.html").read_text()
    assert "explained -1" not in page
    assert "predicted -1" not in page
    assert (
        outcome(capsys, "attack", "--run", "run", "--trust-code", "--inputs", "1", "--budget", "0.01", "--steps", "0")[
            0
        ]
        == 0
    )
    assert (
        outcome(
            capsys, "plan", *asked[:4], "--target", "none", "--inputs", "1", "--n_pilot", "60", "--scales", "0.3", "0.6"
        )[0]
        == 0
    )  # its maps are all alike
