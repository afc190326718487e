"""NumPy's numbers are as good as Python's: what is made with them is equal, is saved and comes back."""

import numpy as np
import pytest
import torch

import attricert as ac
from attricert import attacks, runs
from attricert.options import Options

PAIRS = {
    "gaussian": (lambda n: ac.Gaussian(n(0.25)), np.float32),
    "uniform": (lambda n: ac.UniformBall(n(2.0)), np.float64),
    "clip": (lambda n: ac.Clip(n(2)), np.int64),
    "normalize": (lambda n: ac.Normalize(max_entry=n(0.5)), np.float64),
    "claim": (lambda n: ac.Claim(eps=n(0.5), cosine=n(0.25)), np.float32),
    "observed": (lambda n: ac.Observed(n(5)), np.int64),
    "options": (lambda n: Options(n_samples=n(500), seed=n(3)), np.int32),
    "alpha": (lambda n: Options(alpha=n(0.125)), np.float32),
    "prove": (lambda n: Options(prove=[n("cone")], confidence=n("betting"), guarantee=n("observed")), np.str_),
    "asked": (lambda n: runs.Asked((n(0.5),), (n(0.25),)), np.float32),
    "top": (lambda n: runs.Asked(top_k=n(3)), np.int64),
    "pgd": (lambda n: attacks.PGD(attacks.TopKLoss(n(5)), steps=n(3), restarts=n(2)), np.int64),
    "strong": (lambda n: attacks.Strong(budget=n(0.5)), np.float64),
    "integrated": (lambda n: ac.IntegratedGradients(torch.nn.Identity(), n_steps=n(4)).n_steps, np.int64),
    "config": (
        lambda n: runs.Config(
            "mnist-standard", "mnist:sample", noise="gaussian", parameters={"sigma": n(2)}, n_samples=n(500), seed=n(1)
        ),
        np.int64,
    ),
}


@pytest.mark.filterwarnings("ignore::attricert.errors.ModelModeWarning")
@pytest.mark.parametrize("name", PAIRS)
def test_they_stand_for_pythons_own(name):
    make, kind = PAIRS[name]
    one, other = make(kind), make(lambda value: value)
    assert one == other
    assert repr(one) == repr(other)


@pytest.mark.parametrize("bad", [np.array(0.25), torch.tensor(0.25), True, np.bool_(True), 1j, "0.25", np.nan])
def test_what_is_no_number_is_refused_in_one_line(bad):
    for make in (ac.Gaussian, ac.Clip, lambda value: ac.Claim(eps=value, cosine=0.9), lambda v: Options(alpha=v)):
        with pytest.raises(ac.ArgumentError) as caught:
            make(bad)
        assert "\n" not in str(caught.value)


def test_certificates_and_runs_made_with_them_are_saved(tmp_path, digits):
    model = ac.models.load("mnist-standard")
    smoothed = ac.SmoothedAttribution(
        ac.Saliency(model), ac.Gaussian(np.float32(0.25)), ac.Clip(np.float64(2)), batch_size=np.int64(64)
    )
    data = ac.datasets.load("mnist", split="sample").slice(0, 1)
    cert = smoothed.certify(
        data.images,
        data.labels,
        alpha=np.float64(1e-3),
        n_samples=np.int64(200),
        seed=np.int64(1),
        guarantee=ac.Observed(np.int64(50)),
    )
    cert.save(tmp_path / "cert.safetensors")
    again = ac.Certificate.load(tmp_path / "cert.safetensors")
    assert again.terms == cert.terms
    config = runs.Config(
        "mnist-standard",
        "mnist:sample[0:1]",
        noise="gaussian",
        parameters={"sigma": np.float64(0.25)},
        n_samples=np.int64(200),
        alpha=np.float32(0.0625),
        seed=np.int64(3),
        threads=np.int64(1),
    )
    asked = runs.Asked((np.float64(0.1),), (np.float32(0.5),), np.int64(5))
    store = runs.certify(config, tmp_path / "run", asked=asked)
    assert runs.Store.open(tmp_path / "run").manifest.config == config
    assert runs.Asked.of(store.settings()) == asked
