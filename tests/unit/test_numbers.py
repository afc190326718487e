"""NumPy's numbers are as good as Python's: what is made with them is equal, is saved and comes back."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import attricert as ac
from attricert.options import Options

PAIRS = {
    "gaussian": (lambda n: ac.Gaussian(n(0.25)), np.float32),
    "uniform": (lambda n: ac.UniformBall(n(2.0)), np.float64),
    "clip": (lambda n: ac.Clip(n(2)), np.float64),
    "normalize": (lambda n: ac.Normalize(max_entry=n(0.5)), np.float64),
    "claim": (lambda n: ac.Claim(eps=n(0.5), cosine=n(0.25)), np.float32),
    "observed": (lambda n: ac.Observed(n(5)), np.int64),
    "options": (lambda n: Options(n_samples=n(500), seed=n(3)), np.int32),
    "alpha": (lambda n: Options(alpha=n(0.125)), np.float32),
    "prove": (lambda n: Options(prove=[n("cone")], confidence=n("betting"), guarantee=n("observed")), np.str_),
}
# In a process of its own: here annotations are checked, and say int where any integer will do.
SCRIPT = """
import sys, numpy as np, attricert as ac
from attricert import attacks, runs
integer, number = np.int64, np.float32
for make in (
    lambda i, f: attacks.PGD(attacks.TopKLoss(i(5)), steps=i(3), restarts=i(2), step=f(0.5)),
    lambda i, f: attacks.Strong(budget=f(0.5)),
    lambda i, f: ac.Clip(i(2), f(0.5)),
    lambda i, f: runs.Asked((f(0.5),), (f(0.25),), i(5)),
    lambda i, f: runs.Config("mnist-standard", "mnist:sample[0:1]", noise="gaussian", parameters={"sigma": f(0.25)},
        n_samples=i(200), seed=i(3), alpha=f(0.0625), stop_eps=f(0.5), stop_cosine=f(0.5), threads=i(1)),
):
    one, other = make(integer, number), make(int, float)
    assert one == other and repr(one) == repr(other), one
data = ac.datasets.load("mnist", split="sample").slice(0, 1)
attribution = ac.IntegratedGradients(ac.models.load("mnist-standard"), n_steps=integer(3))
smoothed = ac.SmoothedAttribution(attribution, ac.Gaussian(number(0.25)), ac.Clip(integer(2)), batch_size=integer(64))
cert = smoothed.certify(data.images, data.labels, alpha=number(0.0625), n_samples=integer(200), seed=integer(1),
    guarantee=ac.Observed(integer(50)))
cert.save("cert.safetensors")
assert ac.Certificate.load("cert.safetensors").terms == cert.terms
config, asked = (make(integer, number) for make in (
    lambda i, f: runs.Config("mnist-standard", "mnist:sample[0:1]", noise="gaussian", parameters={"sigma": f(0.25)},
        n_samples=i(200), seed=i(3), alpha=f(0.0625), prove=(np.str_("cone"),)),
    lambda i, f: runs.Asked((f(0.5),), (f(0.25),), i(5)),
))
store = runs.certify(config, __import__("pathlib").Path("run"), asked=asked)
assert store.manifest.config == config
assert runs.Asked.of(store.settings()) == asked
"""


@pytest.mark.parametrize("name", PAIRS)
def test_they_stand_for_pythons_own(name):
    make, kind = PAIRS[name]
    one, other = make(kind), make(lambda value: value)
    assert one == other
    assert repr(one).replace("2.0", "2") == repr(other).replace("2.0", "2")


@pytest.mark.parametrize("bad", [np.array(0.25), torch.tensor(0.25), True, np.bool_(True), 1j, "0.25", np.nan])
def test_what_is_no_number_is_refused_in_one_line(bad):
    for make in (ac.Gaussian, lambda value: ac.Claim(eps=value, cosine=0.9), lambda value: Options(alpha=value)):
        with pytest.raises(ac.ArgumentError) as caught:
            make(bad)
        assert "\n" not in str(caught.value)


def test_certificates_and_runs_made_with_them_are_saved(tmp_path):
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, check=True)
