"""Somebody else's folder: looked at, shown and checked without running its code, which --trust-code alone permits."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import attricert as ac
from attricert import runs
from attricert.cli.main import main

MINE = """
from pathlib import Path
Path("marker").write_text("this was run")
import attricert as ac
def model():
    return ac.models.load("mnist-standard")
def attribution(model):
    return ac.Saliency(model)
"""
CERTIFY = ["certify", "--data", "mnist:sample[0:3]", "--noise", "gaussian", "--sigma", "0.25", "--n_samples", "100"]
CERTIFY += ["--seed", "1", "--maps", "drop", "--prove", "top_variance"]
OWN = [*CERTIFY, "--model", "mine.py:model", "--attribution", "mine.py:attribution"]
DIGEST = hashlib.sha256(MINE.encode()).hexdigest()


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A whole run and one that lacks an input, with the code that they name, made by somebody else."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "mine.py").write_text(MINE)
    for name, extra in (("whole", []), ("part", ["--shard", "0/2"])):
        command = [sys.executable, "-m", "attricert", *OWN, "--out", name, *extra]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (folder / "marker").unlink()
    return folder


@pytest.fixture
def folder(theirs, tmp_path, monkeypatch, capsys):
    shutil.copytree(theirs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outcome(capsys, *arguments):
    try:
        code = main(list(arguments))
    except SystemExit as error:
        code = error.code
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "whole"],
        ["certificates", "whole", "--eps", "0.01"],
        ["verify", "whole"],
        ["certify", "--out", "whole"],
        ["certify", "--out", "whole", "--cosine", "0.5", "--json"],
        ["merge", "part", "--sources", "whole"],
        ["certificates", "part"],
        ["status", "part"],
    ],
)
def test_evidence_needs_no_code(folder, capsys, arguments):
    code, _, err = outcome(capsys, *arguments)
    assert code == 0, err
    assert not Path("marker").exists()


def test_what_is_shown_from_evidence_is_what_was_written(folder, capsys):
    Path("whole/results.parquet").unlink()
    code, out, err = outcome(capsys, "certify", "--out", "whole", "--json")
    assert code == 0
    assert len(json.loads(out)["rows"]) == 3
    assert "all inputs of whole are done: shown from the evidence, its code is not run" in err
    assert Path("whole/results.parquet").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["certify", "--out", "part"],
        ["certify", "--out", "whole", "--retry_failed"],
        ["certify", "--out", "whole", "--n_samples", "200"],
        ["certify", "--config", "whole/config.yaml", "--out", "again"],
        ["certify", "--config", "whole/config.yaml"],
        ["certify", "--config=whole/config.yaml", "--out", "whole"],
        ["attack", "--run", "whole", "--inputs", "1", "--budget", "0.01"],
        ["plan", "--config", "plan.yaml"],
        ["plan", "--config", "sneaky.yaml"],
        ["reproduce", "--config", "table.yaml", "table5"],
    ],
)
def test_code_that_a_file_names_is_shown_and_not_run(folder, capsys, arguments):
    plan = {"model": "mine.py:model", "data": "mnist:sample[0:1]", "eps": 0.1, "cosine": 0.5, "n_pilot": 50}
    Path("plan.yaml").write_text(yaml.safe_dump(plan))
    Path("sneaky.yaml").write_text(yaml.safe_dump({**plan, "trust_code": True}))
    Path("table.yaml").write_text(yaml.safe_dump({"models": ["mine.py:model"]}))
    code, out, err = outcome(capsys, *arguments)
    assert code == 2
    assert out == ""
    (line,) = err.splitlines()
    assert "trust_code" in line
    if arguments[-1] != "sneaky.yaml":
        assert f"mine.py, SHA-256 {DIGEST}" in line
        assert "look at it, then give --trust-code" in line
    assert not Path("marker").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["certify", "--out", "part", "--trust-code"],
        ["certify", "--config", "whole/config.yaml", "--out", "again", "--trust-code"],
        ["verify", "whole", "--sample", "1", "--seed", "0", "--trust-code"],
        [
            "attack",
            "--run",
            "whole",
            "--inputs",
            "1",
            "--budget",
            "0.001",
            "--steps",
            "0",
            "--n_samples",
            "50",
            "--trust-code",
        ],
    ],
)
def test_trusted_code_is_named_and_run(folder, capsys, arguments):
    code, _, err = outcome(capsys, *arguments)
    assert code == 0, err
    assert f"mine.py, SHA-256 {DIGEST}" in err
    assert Path("marker").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["certify", "--out", "part", "--trust-code"],
        ["certify", "--config", "whole/config.yaml", "--out", "part", "--trust-code"],
        [*OWN, "--out", "part"],
        ["attack", "--run", "whole", "--trust-code"],
        ["verify", "whole", "--trust-code"],
    ],
)
def test_other_code_than_the_runs_is_not_run_however_much_it_is_trusted(folder, capsys, arguments):
    Path("mine.py").write_text(MINE + "# another\n")
    code, out, err = outcome(capsys, *arguments)
    assert code in (1, 2)
    assert "code_sha256" in out + err
    assert not Path("marker").exists()
    config = runs.Store.open(Path("part")).manifest.config
    with pytest.raises(ac.ArgumentError, match="code_sha256"):
        runs.certify(config, Path("part"))
    assert not Path("marker").exists()


def test_what_is_compiled_beside_the_file_is_not_run_either(folder, capsys):
    """Its digest is not looked at: a compiled file may say that it goes with any source."""
    import py_compile

    Path("evil.py").write_text(MINE.replace("marker", "evil-marker"))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    cached = Path("__pycache__") / f"mine.{sys.implementation.cache_tag}.pyc"
    py_compile.compile("evil.py", cfile=str(cached), dfile="mine.py", invalidation_mode=mode)
    assert outcome(capsys, "certify", "--out", "part", "--trust-code")[0] == 0
    assert Path("marker").exists()
    assert not Path("evil-marker").exists()


def test_evidence_needs_not_even_the_file(folder, capsys):
    Path("mine.py").unlink()
    for command in (["verify", "whole"], ["certify", "--out", "whole"], ["status", "part"], ["certificates", "part"]):
        assert outcome(capsys, *command)[0] == 0
    code, _, err = outcome(capsys, "certify", "--out", "part")
    assert code == 2
    assert "mine.py" in err


def test_trusted_code_is_named_under_json_too(folder, capsys):
    code, out, err = outcome(capsys, "verify", "whole", "--sample", "0", "--trust-code", "--json")
    assert code == 0
    assert json.loads(out)["passed"]
    assert f"code named by whole: mine.py, SHA-256 {DIGEST}" in err


def test_code_that_is_typed_needs_no_trust_nor_do_models_of_the_zoo(folder, capsys):
    assert outcome(capsys, *OWN, "--out", "typed")[0] == 0
    assert Path("marker").exists()
    typed = ["--model", "mine.py:model", "--attribution=mine.py:attribution", "--out", "typed-too"]
    assert outcome(capsys, "certify", "--config", "whole/config.yaml", *typed)[0] == 0
    assert outcome(capsys, *CERTIFY, "--model", "mnist-standard", "--out", "zoo")[0] == 0
    for arguments in (["certify", "--out", "zoo"], ["certify", "--config", "zoo/config.yaml", "--out", "b"]):
        assert outcome(capsys, *arguments)[0] == 0


def test_what_config_files_may_hold_is_limited(folder, capsys):
    """As for every YAML file; values on the command line are read as before."""
    bomb = "a: &a [x,x,x]\ndata: [*a,*a,*a]\n"
    for name, text, reason in (
        ("bomb.yaml", bomb, "aliases are not read"),
        ("large.yaml", "# " + "x" * 2**18, "must have at most 262144 bytes"),
        ("twice.yaml", "n_samples: 100\nn_samples: 200\n", "is there twice"),
        ("digits.yaml", f"n_samples: {'9' * 6000}\n", "a number of 6000 characters"),
        ("code.yaml", "data: !!python/object/apply:os.system ['touch marker']\n", "could not determine a constructor"),
    ):
        Path(name).write_text(text)
        code, _, err = outcome(capsys, "certify", "--config", name)
        assert code == 2
        (line,) = err.splitlines()
        assert reason in line
    assert not Path("marker").exists()
    Path("fine.yaml").write_text("alpha: 1e-3\nmodel: mnist-standard\ndata: mnist:sample[0:1]\nsigma: 0.25\n")
    for out in ("x:", "{y}", "2024-01-01", "1e5", "null.d"):
        arguments = ["--config", "fine.yaml", *CERTIFY[-8:], "--out", out]
        code, _, err = outcome(capsys, "certify", *arguments)
        assert code == 0, err
        assert Path(out, "manifest.json").exists()
        assert runs.Store.open(Path(out)).manifest.config.alpha == 1e-3


ODD = "a\x1b[31m\u202e[bold]$x$ \udcff.png"


def test_names_are_shown_without_effect(folder, capsys):
    """In tables, notes, errors, JSON, pictures and files; the broken image's name and reason too."""
    images = Path("images\x1b[31m x[")
    images.mkdir()
    for name in (ODD, "b].png"):
        Image.fromarray(np.eye(28, dtype=np.uint8) * 200).save(images / name)
    (images / ("broken" + ODD)).write_bytes(b"no image")
    run = ["certify", "--model", "mnist-standard", "--data", str(images), "--noise", "gaussian", "--sigma", "0.25"]
    run += ["--n_samples", "100", "--maps", "drop", "--prove", "top_variance", "--out", "odd\x1b"]
    printed = []
    for arguments, expected in (
        (run, 1),
        ([*run, "--json"], 1),
        (["status", "odd\x1b"], 0),
        (["certificates", "odd\x1b"], 0),
        (["certify", "--out", "odd\x1b"], 1),
        (["attack", "--run", "odd\x1b", "--inputs", "1", "--budget", "0.001", "--steps", "0", "--n_samples", "50"], 0),
        (["verify", "odd\x1b", "--sample", "0"], 0),
        (["certificates", "no\x1bwhere"], 2),
        (["certify", "--model", "no\x1b", "--data", "x"], 2),
        (["no\x1bcommand"], 2),
        (["certify", "--\x1bx"], 2),
    ):
        code, out, err = outcome(capsys, *arguments)
        assert code == expected, err
        printed.append(out + err)
        if "--json" in arguments:
            ids = [row["id"] for row in json.loads(out)["rows"]]
            assert len(ids) == 3
    everything = "".join(printed)
    everything.encode()
    assert "\x1b" not in everything
    assert "\u202e" not in everything
    assert r"a\x1b[31m\u202e[bold]$x$ \udcff.png" in everything
    assert "broken" in everything
    for name in ("config.yaml", "manifest.json", "log.jsonl"):
        assert b"\x1b" not in (Path("odd\x1b") / name).read_bytes()


def test_a_terminal_of_few_letters_shows_the_rest_escaped(folder):
    images = Path("bilder")
    images.mkdir()
    Image.fromarray(np.eye(28, dtype=np.uint8) * 200).save(images / "ä漢.png")
    command = [sys.executable, "-m", "attricert", "certify", "--model", "mnist-standard", "--data", "bilder"]
    command += ["--sigma", "0.25", "--n_samples", "100"]
    found = subprocess.run(
        command,
        capture_output=True,
        check=False,
        env={**__import__("os").environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert found.returncode == 0, found.stderr
    assert rb"\xe4\u6f22.png" in found.stdout
