"""What importing takes: nothing heavy before it is asked for."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import attricert as ac
from attricert import plots, report

HEAVY = ("torch", "matplotlib", "pyarrow", "jsonargparse", "jinja2")


def imported(code, *arguments):
    """The heavy ones that a fresh interpreter has imported after running some code."""
    code = f"import sys\n{code}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return run.stdout.split()


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import attricert", []),
        ("from attricert import Certificate, Gaussian, LowerBound, NOISES, ArgumentError", []),
        ("from attricert.certificates import Certificate", []),
        ("import attricert.confidence, attricert.noise, attricert.registry", []),
        ("import attricert.report", []),
        ("import attricert.plots", []),
        ("from attricert.plots import attribution, bars, certified, compare, curves, maps", ["matplotlib"]),
        ("import attricert; attricert.SmoothedAttribution", ["torch"]),
        ("from attricert import ATTRIBUTIONS, BOUNDS, Clip, IntegratedGradients, Saliency", []),
        ("from attricert import runs; runs.Config", []),
        ("from attricert.cli.parsing import parsers; parsers()", ["jsonargparse"]),
    ],
)
def test_what_is_imported(code, heavy):
    assert imported(code) == heavy


def test_a_certificate_is_read_without_torch(tmp_path):
    noisy = ac.wrap(lambda x, target: torch.sin(x) + 0.5)
    certificate = ac.SmoothedAttribution(noisy, ac.Gaussian(0.2)).certify(torch.ones(1, 6), n_samples=200, seed=0)
    path = tmp_path / "evidence.safetensors"
    certificate.evidence.save(path)
    code = "from attricert import Certificate\nprint(*Certificate.load(sys.argv[1]).max_eps(0.9))"
    value, *heavy = imported(code, str(path))
    assert heavy == []
    np.testing.assert_allclose(float(value), certificate.max_eps(0.9)[0], rtol=1e-12)
    code = "from attricert import Certificate\nc = Certificate.load(sys.argv[1])\nprint(len(repr(c)))"
    assert imported(code, str(path)) == [str(len(repr(certificate)))]
    code = "from attricert import Certificate\nc = Certificate.load(sys.argv[1])\nprint('<table' in c._repr_html_())"
    assert imported(code, str(path)) == ["True", "pyarrow", "jinja2"]


@pytest.mark.parametrize("package", [ac, plots, report], ids=lambda package: package.__name__)
def test_all_that_is_offered_is_there(package):
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing
