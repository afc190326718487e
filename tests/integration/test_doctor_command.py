"""The command that looks before anything is certified."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from attricert.cli.main import main

ZOO = ["doctor", "--model", "mnist-standard", "--data", "mnist:sample[0:4]"]
OWN = ["doctor", "--model", "mine.py:model", "--data", "data.npz", "--n_samples", "500"]
NAMES = [
    *("device", "threads", "dtype", "mode", "batch norm", "input range", "noise", "fixed entries", "calls", "output"),
    *("saturation", "map shape", "map values", "in place", "repeats", "rows", "memory", "time", "speed"),
]

MINE = """
import torch
from torch import nn
from torch.nn import functional


class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.last = nn.Linear(108, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = x.flatten(1)
        print("printed as it is called")
        {line}
        return self.last(self.drop(x))


def model():
    return Mine(){mode}
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def own(line="pass", mode=".eval()"):
    Path("mine.py").write_text(MINE.format(line=line, mode=mode))
    rng = np.random.default_rng(0)
    np.savez("data.npz", inputs=rng.random((3, 3, 6, 6), dtype=np.float32), labels=np.array([0, 1, 2]))
    return list(OWN)


def document(capsys, command):
    code = main([*command, "--json"])
    found = json.loads(capsys.readouterr().out)
    return code, {f["name"]: f for f in found["findings"]}, found


def test_a_healthy_model(capsys):
    code, findings, found = document(capsys, ZOO)
    assert code == 0
    assert list(findings) == NAMES
    assert {f["name"] for f in findings.values() if f["status"] != "ok"} <= {"threads", "device"}
    assert findings["noise"]["meaning"].startswith("chosen here")
    cost, takes = found["cost"], found["workload"]
    assert takes["inputs"] == 4
    assert takes["seconds"]["1"] == pytest.approx(4 * cost["seconds_an_input"])
    assert cost["n_samples"] == 10_000
    assert cost["seconds_an_input"] == pytest.approx(10_000 * cost["seconds_a_draw"])


def test_what_is_printed(capsys):
    assert main([*ZOO, "--radius", "3.5", "--n_samples", "700", "--total_inputs", "50000", "--workers", "1,2"]) == 0
    out = capsys.readouterr().out
    assert "UniformBall(radius=3.5)" in out.splitlines()[0]
    assert "chosen here" not in out
    assert "s for the 700 of an input" in out
    assert out.splitlines()[-1].startswith("no problems, ")
    assert re.match(r"50,000 inputs of 700 samples: \S+ \w+ on 1, \S+ \w+ on 2 workers, ", out.splitlines()[-2])


def test_all_troubles_are_told_at_once(capsys):
    line = "x = 60 * functional.dropout(x - 0.5 * x.mean(0), 0.1)"
    code, findings, _ = document(capsys, own(line, mode=".train()"))
    assert code == 1
    assert {name for name, f in findings.items() if f["status"] == "problem"} == {"repeats", "rows"}
    assert findings["mode"]["status"] == "note"
    assert findings["mode"]["seen"] == "Mine is in train mode (drop (Dropout))"
    assert main(own(line, mode=".train()")) == 1
    out = capsys.readouterr().out
    assert "PROBLEM rows" in out
    assert "-> batch_size=1" in out
    assert "2 problems, " in out.splitlines()[-1]


def test_one_that_raises_is_explained(capsys):
    code, findings, found = document(capsys, own("raise ValueError('odd \\x1b[31m')"))
    assert code == 1
    assert findings["calls"]["status"] == "problem"
    assert "ValueError: odd \\x1b[31m" in findings["calls"]["seen"]
    assert found["cost"]["seconds_a_draw"] is None
    assert [name for name in NAMES if name not in findings] == NAMES[9:]


def test_flags_of_certify_count(capsys):
    command = own("x = x - 0.5 * x.mean(0)")
    assert document(capsys, command)[0] == 1
    assert document(capsys, [*command, "--batch_size", "1"])[0] == 0
    _, findings, _ = document(capsys, [*own(), "--mean", "0.5,0.5,0.5", "--std", "0.2,0.2,0.2"])
    assert "declared: 0 to 1" in findings["input range"]["seen"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--inputs", "0"], "inputs=0"),
        (["--noise", "gausian"], "did you mean 'gaussian'"),
        (["--sigma", "-1"], "sigma=-1.0"),
        (["--data", "nowhere.npz"], "nowhere.npz"),
        (["--out", "run"], "--out: no such flag"),
    ],
)
def test_bad_input(capsys, more, message):
    assert main([*own(), *more]) == 2
    assert message in capsys.readouterr().err


def test_code_that_a_file_names_needs_trust(capsys):
    own()
    Path("doctor.yaml").write_text("model: mine.py:model\ndata: data.npz\nn_samples: 500\n")
    assert main(["doctor", "--config", "doctor.yaml"]) == 2
    assert "trust_code" in capsys.readouterr().err
    assert main(["doctor", "--config", "doctor.yaml", "--trust_code"]) == 0
