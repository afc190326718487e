"""docs/extending.md, followed to the letter: its code is put where it says into a copy of the package, and used."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import attricert

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
PACKAGE = Path(attricert.__file__).parent

FILES = {
    "A noise": 2,
    "Evidence, with the guarantee that it feeds": 4,
    "An attribution, with a parameter of its own": 2,
    "A structural bound": 2,
    "A confidence bound": 2,
    "A column of results": 1,
}

# Where a block of code goes: a file, and above or in place of which line, or at its end.
PLACE = re.compile(
    r"(?:At the end of|In a new file|In) `([\w/]+\.py)`(?:, (below|in place of) `([^`]+)`)?:\n\n```python\n(.*?)```",
    re.DOTALL,
)

# What each recipe must have made possible, run with the extended package; the name of a recipe to True.
USES = r"""
import json, sys
import numpy as np
import torch
import attricert as ac

model = ac.models.load("mnist-standard")
data = ac.datasets.load("mnist", split="sample")
x, y = data.images[:2], data.labels[:2]
done = {}

def again(certificate):
    certificate.save("c.safetensors")
    return ac.Certificate.load("c.safetensors")

def smoothed(attribution=None, noise=None, bound=None):
    return ac.SmoothedAttribution(
        attribution or ac.Saliency(model), noise or ac.Gaussian(0.2), bound or ac.Normalize()
    )

# A noise.
noise = ac.NOISES.build("ball-by-deviation", {"deviation_of_entry": 0.125})
ball = ac.UniformBall(0.125 * 786**0.5)
a = again(smoothed(noise=noise).certify(x, y, n_samples=400, seed=0, prove=[]))
b = smoothed(noise=ball).certify(x, y, n_samples=400, seed=0, prove=[])
assert a.terms.noise == noise
np.testing.assert_allclose(a.max_eps(0.9), b.max_eps(0.9), rtol=0.1)
assert (a.max_eps(0.9) != b.max_eps(0.9)).all()  # other draws of the same law
done["A noise"] = True

# Evidence: the peak of a map that always points to one entry, and of one that is all noise.
def pointing(inputs, target):
    out = torch.zeros_like(inputs)
    out[:, 3] = 1.0
    return out

def noisy(inputs, target):
    return inputs

z = torch.zeros(1, 8)
certain = again(smoothed(pointing).certify(z, n_samples=1_000, seed=0, prove=["peak"]))
assert certain.evidence.peak.entry.tolist() == [3]
assert dict(certain.terms.ledger.shares).keys() == {"norm", "peak"}
np.testing.assert_allclose(certain.peak_radius(), 0.2 * 2.45, rtol=0.1)  # sigma times the normal quantile of p_lower
assert smoothed(noisy).certify(z, n_samples=1_000, seed=0, prove=["peak"]).peak_radius().tolist() == [0.0]
try:
    smoothed(noisy).certify(z, n_samples=1_000, prove=["peak"], stop_at=ac.Claim(eps=0.1, cosine=0.9))
except ac.ArgumentError as error:
    assert "fixed number of draws" in str(error)
else:
    raise AssertionError("it is not valid at any time")
assert smoothed(pointing).certify(z, n_samples=100, seed=0).evidence.peak is None  # as before, where not asked for
done["Evidence, with the guarantee that it feeds"] = True

# An attribution.
g = ac.ATTRIBUTIONS.build("powered-saliency", {"exponent": 3.0}, model)
torch.testing.assert_close(g(x, y), ac.Saliency(model)(x, y).abs() ** 3)
assert "exponent" in ac.ATTRIBUTIONS.parameters()
c = smoothed(g).certify(x, y, n_samples=200, seed=0, prove=[])
assert c.terms.nonnegative
from attricert.cli.main import main
command = ["certify", "--model", "mnist-standard", "--data", "mnist:sample[0:1]", "--sigma", "0.2", "--out", "run"]
assert main([*command, "--attribution", "powered-saliency", "--exponent", "3", "--n_samples", "100"]) == 0
done["An attribution, with a parameter of its own"] = True

# A structural bound.
bound = ac.SoftClip(2.0)
rows = torch.tensor([[3.0, 4.0], [1e-150, 0.0], [1e120, 1e120], [float("nan"), 0.0]], dtype=torch.float64)
assert (bound(rows).norm(dim=1) <= 2.0 * (1 + 1e-12)).all()
torch.testing.assert_close(bound(rows)[0].norm(), torch.tensor(2 * 5 / 7, dtype=torch.float64))
assert "SoftClip" in again(smoothed(bound=bound).certify(x, y, n_samples=200, seed=0, prove=[])).terms.bound
done["A structural bound"] = True

# A confidence bound: valid at any time, and looser than betting.
claim = ac.Claim(eps=0.01, cosine=0.9)
stopped = again(smoothed().certify(x, y, n_samples=4_000, seed=0, confidence="hoeffding-union", stop_at=claim))
assert stopped.evidence.outcome == ("proven", "proven")
whole = [smoothed().certify(x, y, n_samples=400, seed=0, confidence=name, prove=[]).norm
         for name in ("hoeffding-union", "hoeffding", "betting")]
assert (whole[0] < whole[1]).all() and (whole[1] < whole[2]).all()
done["A confidence bound"] = True

# A column.
from attricert.report import rows_of
from attricert.report.results import columns_as_markdown
(row,) = rows_of(certain, {}, [], [])
assert row["norm_share"] == certain.norm[0] > 0.9
assert "`norm_share`" in columns_as_markdown()
done["A column of results"] = True

print("USED", json.dumps(done))
"""


def recipes():
    """Title to its files as said, its blocks (file, how, line, code), and how many blocks there are."""
    found = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        if title in FILES:
            (files,) = re.findall(r"^Files: (.*)$", body, flags=re.MULTILINE)
            found[title] = (re.findall(r"`([^`]+)`", files), PLACE.findall(body), body.count("```python"))
    return found


RECIPES = recipes()


@pytest.mark.parametrize("title", FILES)
def test_each_recipe_touches_few_files_and_is_short(title):
    files, blocks, count = RECIPES[title]
    assert len(files) == FILES[title]
    assert {path for path, *_ in blocks} == set(files)
    assert len(blocks) == count  # no code without a place
    lines = [line for *_, code in blocks for line in code.splitlines() if line.strip()]
    assert len([line for line in lines if not line.strip().startswith(("import", "from"))]) < 30


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """The recipes that work, all of them put into one copy of the package."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(PACKAGE, folder / "attricert", ignore=shutil.ignore_patterns("__pycache__"))
    for _, blocks, _ in RECIPES.values():
        for path, how, line, code in blocks:
            follow(folder / "attricert" / path, how, line, code)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    run = [sys.executable, "-W", "ignore", "-c", USES]
    result = subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.split("USED")[1])


def follow(path, how, line, code):
    """Put code below or in place of a line and indented like it, or at the end of a file, which may be new."""
    code = textwrap.indent(textwrap.dedent(code), " " * (len(line) - len(line.lstrip())))
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if line:
        assert text.count(f"{line}\n") == 1, f"{path.name}: {line}"
        kept = f"{line}\n" if how == "below" else ""
        path.write_text(text.replace(f"{line}\n", kept + code), encoding="utf-8")
    else:
        path.write_text(f"{text}\n\n{code}" if text else code, encoding="utf-8")


@pytest.mark.parametrize("title", FILES)
def test_each_recipe_does_what_it_says(used, title):
    assert used[title]
