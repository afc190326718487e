"""Smoothed maps in the form that Quantus asks for; the package itself never imports it."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import attricert as ac

NOISE = ac.Gaussian(0.25)


def make(model):
    return ac.SmoothedAttribution(ac.Saliency(model), NOISE)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Softplus(), nn.Linear(8, 3)).eval()


X = np.linspace(0, 1, 3 * 16, dtype=np.float32).reshape(3, 1, 4, 4)
Y = np.array([0, 2, 1])


def test_maps_are_those_of_attribute():
    explain = ac.adapters.quantus.explain_func(make, n_samples=50, seed=3)
    maps = explain(model=network(), inputs=X, targets=Y, device="cpu")
    assert isinstance(maps, np.ndarray)
    assert maps.shape == X.shape
    given = torch.as_tensor(X), torch.as_tensor(Y)
    theirs = make(network()).attribute(*given, n_samples=50, seed=3, sample_ids=["quantus"] * 3)
    assert np.array_equal(maps, theirs.numpy())


def test_all_inputs_get_the_same_noise():
    explain = ac.adapters.quantus.explain_func(make, n_samples=50)
    maps = explain(network(), X[[0, 1, 0]], Y[[0, 1, 0]])
    assert np.array_equal(maps[0], maps[2])
    assert np.array_equal(explain(network(), X[[1]], Y[[1]])[0], maps[1])
    # Of a small move the map moves a little, and not by what chance does.
    moved = explain(network(), X[:1] + np.float32(1e-4), Y[:1])
    alone = make(network()).attribute(torch.as_tensor(X[:1]) + 1e-4, 0, n_samples=50, seed=0).numpy()
    assert np.abs(moved - maps[0]).max() < 1e-3 < np.abs(alone - maps[0]).max()


def test_the_model_is_the_one_that_is_handed_over():
    explain = ac.adapters.quantus.explain_func(make, n_samples=20)
    assert not np.allclose(explain(network(0), X, Y), explain(network(1), X, Y))
    doubles = explain(network().double(), X.astype(np.float64), Y)
    assert doubles.dtype == np.float64
    np.testing.assert_allclose(doubles, explain(network(), X.astype(np.float64), Y), rtol=1e-3, atol=1e-4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ac.ArgumentError, match="make='SmoothedAttribution': must be a function of the model"):
        ac.adapters.quantus.explain_func(make(network()))
    with pytest.raises(ac.ArgumentError, match="n_samples=0"):
        ac.adapters.quantus.explain_func(make, n_samples=0)
    with pytest.raises(ac.ArgumentError, match="make='Saliency': must give a SmoothedAttribution"):
        ac.adapters.quantus.explain_func(ac.Saliency)(network(), X, Y)
    coarse = ac.adapters.quantus.explain_func(
        lambda model: ac.SmoothedAttribution(lambda z, target: z[..., :2, :2], NOISE), n_samples=20
    )
    with pytest.raises(ac.ArgumentError, match=r"attribution=\(1, 2, 2\): must be maps of the inputs' shape"):
        coarse(network(), X, Y)


def test_quantus_changes_weights_and_sees_other_maps():
    quantus = pytest.importorskip("quantus")
    metric = quantus.MPRT(disable_warnings=True, seed=1)
    found = metric(
        model=network(),
        x_batch=X,
        y_batch=Y,
        explain_func=ac.adapters.quantus.explain_func(make, n_samples=200),
        device="cpu",
    )
    scores = np.concatenate([np.ravel(values) for values in found.values()])
    assert len(scores) >= 6
    assert np.isfinite(scores).all()
    assert scores.min() < 0.9  # correlation of maps before and after


def test_the_package_never_imports_quantus():
    """Which is GPLv3."""
    for path in Path(ac.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            assert not [name for name in names if name.split(".")[0] == "quantus"], path
