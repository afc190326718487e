"""What a command's exit code says, whatever models, folders and file systems do."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from attricert import files, runs, yaml_text
from attricert.cli.main import main

CERTIFY = ["certify", "--data", "mnist:sample[0:2]", "--noise", "gaussian", "--sigma", "0.25", "--n_samples", "100"]
CERTIFY += ["--seed", "1", "--maps", "drop", "--prove", "top_variance"]
ZOO = [*CERTIFY, "--model", "mnist-standard"]
MINE = """
import ctypes, os, sys
import attricert as ac, torch
print("printed as it is loaded")
class Loud(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = ac.models.load("mnist-standard")
    def forward(self, x):
        print("printed as it is called")
        {line}
        return self.inner(x)
def model():
    return Loud().eval()
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def own(line="pass"):
    Path("mine.py").write_text(MINE.format(line=line))
    return [*CERTIFY, "--model", "mine.py:model"]


def test_some_inputs_failed(capsys):
    Path("images").mkdir()
    Image.fromarray(np.eye(28, dtype=np.uint8) * 200).save("images/a.png")
    Path("images/b.png").write_text("no image")
    command = ["certify", "--model", "mnist-standard", "--data", "images", "--sigma", "0.25", "--n_samples", "100"]
    command += ["--maps", "drop", "--prove", "top_variance"]
    for arguments in ([*command, "--out", "run"], ["certify", "--out", "run"], ["merge", "run"], [*command, "--json"]):
        assert main(arguments) == 1
        assert (
            "attricert: 1 of 2 inputs failed; attricert certify --out FOLDER --retry_failed" in capsys.readouterr().err
        )
    assert main(["certificates", "run"]) == 0  # the question is answered
    assert main(["status", "run"]) == 0
    Image.fromarray(np.eye(28, dtype=np.uint8) * 100).save("images/b.png")
    assert main([*command, "--out", "again"]) == 0


def test_every_input_failed(capsys):
    assert main([*own("raise ValueError('no')"), "--out", "run"]) == 1
    assert "attricert: every input failed" in capsys.readouterr().err
    assert main(["status", "run"]) == 0
    assert re.search("failed on 2: classifier Loud failed on inputs .*: ValueError: no\n", capsys.readouterr().out)


@pytest.mark.parametrize("setting", ["model", "data", "attribution"])
def test_a_factory_that_raises_is_bad_input(setting, capsys):
    arguments = own()
    Path("raising.py").write_text("def factory(*given):\n    raise RuntimeError('no')\n")
    assert main([*arguments, f"--{setting}", "raising.py:factory", "--out", "run"]) == 2
    assert f"{setting}='raising.py:factory': raising.py raised RuntimeError: no" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["sys.exit(0)", "os._exit(0)"])
def test_a_model_that_leaves_does_not_take_the_command_along(capsys, line):
    """In process, and without an exit code of its own."""
    before = os._exit
    assert main([*own(line), "--out", "run"]) == 1
    assert os._exit is before
    assert f"called {line}" in capsys.readouterr().err
    plan = ["plan", "--model", "mine.py:model", "--data", "mnist:sample[0:1]", "--eps", "0.1", "--cosine", "0.5"]
    assert main(plan) in (2, 3)
    err = capsys.readouterr().err
    assert f"called {line}" in err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_a_model_prints_does_not_spoil_the_document(workers):
    """Nor what its libraries in C do, which is seen by a real process alone."""
    command = [*own("ctypes.CDLL(None).puts(b'printed by C')"), "--json", "--out", "run", "--workers", workers]
    found = subprocess.run([sys.executable, "-m", "attricert", *command], capture_output=True, check=False)
    assert found.returncode == 0, found.stderr
    assert len(json.loads(found.stdout)["rows"]) == 2
    for text in (b"printed as it is loaded", b"printed as it is called", b"printed by C"):
        assert text in found.stderr


def test_a_fault_of_the_users_code_is_told_from_a_claim_that_fails(capsys):
    own()
    Path("mine.py").write_text("def model():\n    raise ValueError('odd \\x1b[31m')\n")
    assert main([*CERTIFY, "--model", "mine.py:model"]) == 2
    err = capsys.readouterr().err
    assert "mine.py" in err
    assert r"ValueError: odd \x1b[31m" in err


@pytest.mark.parametrize(
    "arguments",
    [
        [*ZOO, "--out", ""],
        [*ZOO, "--out="],
        ["certify", "--out", ""],
        ["status", ""],
        ["merge", "run", "--sources", ""],
        ["certificates", ""],
        ["data", ""],
        [*CERTIFY, "--model", ""],
        ["certify", "--config", "empty.yaml"],
    ],
)
def test_what_is_empty_is_refused(capsys, arguments):
    Path("empty.yaml").write_text("out: ''\n")
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "must not be empty" in line
    assert [path.name for path in Path().iterdir()] == ["empty.yaml"]


def test_a_folder_that_cannot_be_written_to_is_looked_at(capsys, monkeypatch):
    assert main([*ZOO, "--out", "run"]) == 0
    Path("run/.lock-0000-of-0001").touch()
    before = sorted(Path("run").rglob("*"))
    really = os.open

    def reading(path, flags, *more, **others):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and "run" in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return really(path, flags, *more, **others)

    monkeypatch.setattr(os, "open", reading)
    for command in (["status", "run"], ["status", "run", "--json"], ["certificates", "run"]):
        assert main(command) == 0
    assert main(["verify", "run", "--sample", "1", "--seed", "0"]) == 0
    assert sorted(Path("run").rglob("*")) == before


def test_file_systems_without_hard_links_or_permissions(monkeypatch):
    def refused(*_, **__):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    for name in ("link", "chmod", "fchmod"):
        monkeypatch.setattr(os, name, refused)
    assert files.create(Path("new/a"), b"first")
    assert not files.create(Path("new/a"), b"second")
    assert Path("new/a").read_bytes() == b"first"
    files.write_atomically(Path("new/a"), b"third")
    assert [path.name for path in Path("new").iterdir()] == ["a"]
    assert main([*ZOO, "--out", "run"]) == 0
    monkeypatch.setattr(files, "_put", lambda file, content: refused())
    with pytest.raises(OSError, match="not supported"):
        files.create(Path("new/b"), b"x")
    assert [path.name for path in Path("new").iterdir()] == ["a"]


def test_files_have_the_permissions_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_atomically(tmp_path / "a", b"")
        files.create(tmp_path / "b", b"")
    finally:
        os.umask(before)
    assert {oct((tmp_path / name).stat().st_mode & 0o777) for name in "ab"} == {"0o640"}


def test_arrays_from_others_are_looked_at_before_they_are_made(capsys):
    def header(shape, dtype="<f8"):
        text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
        text += " " * (63 - (len(text) + 10) % 64) + "\n"
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()

    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez("many.npz", a=np.ones(3))
    shutil.move("many.npz", "zip.npy")
    Path("large.npy").write_bytes(header((10**9, 10**6)))
    Path("negative.npy").write_bytes(header((-1,)))
    Path("text.npy").write_text("no array")
    os.mkfifo("pipe.npy")
    for name in ("objects", "zip", "large", "negative", "text", "pipe", "none"):
        assert main([*ZOO, "--functionals", f"{name}.npy"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"functionals='{name}.npy': must be a readable .npy file" in line


def test_config_is_read_back_whatever_its_words_are():
    config = runs.Config.of({"model": "mnist-standard", "data": "1e5", "sigma": 0.25, "seed": 2**63})
    text = yaml_text.parse(yaml.safe_dump(config.to_dict()), "here")
    assert runs.Config.of(text) == config
