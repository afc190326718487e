"""A run's report: from its folder, with what is at hand."""

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import attricert as ac
from attricert import runs
from attricert.cli.main import main
from attricert.report import rendering

MODEL = """
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 12), nn.Softplus(), nn.Linear(12, 10))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    (folder / "mine.py").write_text(MODEL)
    arguments = ["--data", "mnist:sample[0:3]", "--noise", "gaussian", "--sigma", "0.3", "--n_samples", "400"]
    arguments += ["--seed", "1", "--eps", "0.05", "9", "--model", f"{folder / 'mine.py'}:model"]
    assert main(["certify", *arguments, "--out", str(folder / "run")]) == 0
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "x")
    monkeypatch.chdir(tmp_path / "x")
    # The manifest names the code where it was.
    for name in ("manifest.json", "config.yaml"):
        path = tmp_path / "x" / "run" / name
        assert str(made) in path.read_text()
    return tmp_path / "x"


def test_a_run_becomes_a_page(here, made, capsys):
    assert main(["report", "run", "--trust-code"]) == 0
    out = capsys.readouterr().out
    text = (here / "run" / "report.html").read_text(encoding="utf-8")
    assert re.search(r"written to run/report.html \(0\.\d MB\)", out)
    assert "mnist:test:0" in text
    assert "map without noise" in text
    assert "not shown" not in text
    manifest = json.loads((here / "run" / "manifest.json").read_text())
    for digest in ("weights_sha256", "data_sha256", "code_sha256"):
        assert manifest[digest] in text
    assert "mine.py:model" in text
    assert str(made) not in text  # nobody else's affair
    assert f"The seed, {manifest['config']['seed']}, is in this report" in text
    assert "At eps 9.0 nothing is certified of 3 of 3 inputs (mnist:test:0: eps=9 may move the map by" in text


def test_code_of_the_folder_is_not_run_unasked(here, made):
    marker = here / "ran"
    (made / "mine.py").write_text(f"open({str(marker)!r}, 'w').close()\n" + MODEL)
    try:
        assert main(["report", "run", "--out", "page.html"]) == 0
        assert not marker.exists()
        text = (here / "page.html").read_text(encoding="utf-8")
        assert "Maps without noise are not shown: they need the run&#39;s own code" in text
        assert "map without noise</span>" not in text
        # Even if trusted: it is not what the run was made with.
        assert main(["report", "run", "--out", "other.html", "--trust-code"]) == 0
        assert not marker.exists()
        assert "Maps without noise are not shown: " in (here / "other.html").read_text(encoding="utf-8")
    finally:
        (made / "mine.py").write_text(MODEL)


def test_attacks_are_told(here):
    table = pa.table(
        {
            "id": ["mnist:test:1"],
            "eps": [[0.1, 0.2]],
            "cosine_attacked": [[0.98, 0.75]],
            "broken_eps": [0.1875],
            "cosine_error": [[0.0, 0.0]],
        }
    )
    pq.write_table(table, here / "run" / "attack.parquet")
    assert main(["report", "run"]) == 0
    text = (here / "run" / "report.html").read_text(encoding="utf-8")
    said = "got the cosine down to 0.980 at eps 0.1, 0.750 at eps 0.2; it fell below the threshold at eps 0.1875."
    assert re.findall("attack.parquet is not shown[^<]*", text) == []
    assert text.count(said) == 1
    pq.write_table(table.set_column(1, "eps", pa.array(["<b>"])), here / "run" / "attack.parquet")
    assert main(["report", "run"]) == 0
    assert "attack.parquet is not shown" in (here / "run" / "report.html").read_text(encoding="utf-8")


def listed(text):
    """The heading of the table of inputs, and its number of rows."""
    table = text.split('id="all"')[1].split("</table>")[0]
    return table[1:].split("<")[0], len(re.findall('<th scope="row">', table))


def test_failed_and_missing_inputs_count(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = ac.datasets.load("mnist", split="sample")
    (tmp_path / "images").mkdir()
    for i in range(3):
        Image.fromarray((data.images[i, 0] * 255).byte().numpy()).save(tmp_path / "images" / f"{i}.png")
    (tmp_path / "images" / "<b>broken.png").write_bytes(b"not an image")
    arguments = ["--data", "images", "--model", "mnist-standard", "--sigma", "0.15", "--n_samples", "400"]
    assert main(["certify", *arguments, "--out", "run"]) == 1
    assert main(["report", "run", "--eps", "0.01", "--cosine", "0.5", "--inputs", "2"]) == 0
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<b>broken" not in text
    assert "&lt;b&gt;broken.png failed: " in text
    assert "The inputs: 2 of 4 in full" in text
    share = runs.load("run").certified_share(0.01, 0.5, inputs=4)
    assert f"<td>3 of 4</td><td>{ac.report.shown(float(share.at_least), 3)}</td>" in text
    assert listed(text) == ("All inputs in a table", 4)
    monkeypatch.setattr(rendering, "_LISTED", 3)
    assert main(["report", "run", "--eps", "0.01", "--cosine", "0.5", "--inputs", "1"]) == 0
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert listed(text) == ("The first 3 of 4 inputs in a table", 3)
    assert f"<td>3 of 4</td><td>{ac.report.shown(float(share.at_least), 3)}</td>" in text  # all of them count


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "run='nowhere'"),
        (["run", "--inputs", "0"], "inputs=0"),
        (["run", "--out", "."], "out='.'"),
        (["run", "--out", "mine.py"], "out='mine.py': must end in .html"),
        (["run", "--out", "run/manifest.json"], "must end in .html"),
        (["run", "--out", "other.html"], "out='other.html': exists, and is not a report"),
        (["run", "--eps", *(["0.1"] * 61)], "eps='61 values'"),
        (["run", "--cosine", "2"], "cosine"),
        (["run", "--top_k", "785"], "top_k=785"),
    ],
)
def test_bad_arguments_are_one_line_and_nothing_is_written(here, capsys, arguments, said):
    Path("other.html").write_text("<p>mine</p>")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert main(["report", *arguments]) == 2
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not (here / "run" / "report.html").exists()


def test_the_papers_formula_has_no_report(tmp_path, capsys):
    arguments = ["--data", "mnist:sample[0:1]", "--model", "mnist-standard", "--radius", "3.5", "--n_samples", "200"]
    assert main(["certify", *arguments, "--method", "printed", "--out", str(tmp_path / "run")]) == 0
    assert main(["report", str(tmp_path / "run")]) == 2
    assert "proves nothing to report" in capsys.readouterr().err


def test_data_that_are_gone_or_changed_are_said_to_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "secret" / "images"
    folder.mkdir(parents=True)
    data = ac.datasets.load("mnist", split="sample")
    for i in range(2):
        Image.fromarray((data.images[i, 0] * 255).byte().numpy()).save(folder / f"{i}.png")
    arguments = ["--data", str(folder), "--model", "mnist-standard", "--sigma", "0.15", "--n_samples", "300"]
    assert main(["certify", *arguments, "--out", "run"]) == 0
    assert main(["report", "run"]) == 0
    whole = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "secret" not in whole
    assert '"panels":["image","plain","smoothed","signs","top"]' in whole
    Image.fromarray((data.images[5, 0] * 255).byte().numpy()).save(folder / "1.png")
    assert main(["report", "run"]) == 0
    changed = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "are not shown: they are not what the run was made with." in changed
    assert '"panels":["smoothed","signs","top"]' in changed
    shutil.rmtree(folder)
    assert main(["report", "run"]) == 0
    gone = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Inputs, and maps without noise, are not shown: " in gone
    assert "secret" not in gone


@pytest.mark.parametrize("word", ["no", 1, None])
def test_trust_is_true_or_false(here, word):
    with pytest.raises(ac.ArgumentError, match="^trust_code"):
        runs.report("run", trust_code=word)
    with pytest.raises(ac.ArgumentError, match="^trust_code"):
        runs.verify("run", trust_code=word)


def test_a_damaged_attack_names_no_folder(here):
    (here / "run" / "attack.parquet").write_bytes(b"damaged")
    path = runs.report(here / "run")
    text = path.read_text(encoding="utf-8")
    assert "attack.parquet is not shown: attack.parquet: not a readable" in text
    assert str(here) not in text


def test_what_proves_nothing_is_never_called_sound(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["--data", "mnist:sample[0:1]", "--model", "mnist-standard", "--radius", "3.5", "--n_samples", "300"]
    assert main(["certify", *arguments, "--confidence", "asymptotic", "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert "NOT lower bounds" in " ".join(out.split())
    assert "sound" not in out
    assert main(["status", "run"]) == 0
    assert "NOTHING IS PROVEN HERE" in capsys.readouterr().out
