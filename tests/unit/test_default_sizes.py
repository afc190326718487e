"""At which eps results are told where nobody said."""

import numpy as np
import pytest

import attricert as ac
from attricert import runs
from attricert.noise import telling_sizes
from attricert.report import COSINE


def test_they_are_tenth_quarter_and_half_of_sigma_whatever_the_dimension():
    for d in (1, 784, 150_528):
        assert telling_sizes(ac.Gaussian(0.4), d) == (0.04, 0.1, 0.2)
    assert telling_sizes(ac.Gaussian(3.21e-5), 10) == (3.2e-6, 8e-6, 1.6e-5)


def test_those_of_the_ball_lose_as_much_of_its_mass():
    # P(|N(0, 1)| < f / 2): what a shift by f sigma loses of a Gaussian; by simulation in the ball.
    rng, d, radius = np.random.default_rng(0), 20, 3.0
    inside = rng.standard_normal((400_000, d))
    inside *= (radius * rng.random(len(inside)) ** (1 / d) / np.linalg.norm(inside, axis=1))[:, None]
    for size, lost in zip(telling_sizes(ac.UniformBall(radius), d), (0.0399, 0.0995, 0.1974), strict=True):
        moved = inside + np.eye(d)[0] * size
        assert np.mean(np.linalg.norm(moved, axis=1) > radius) == pytest.approx(lost, abs=0.005)


def test_what_is_asked_wins_and_nothing_asked_is_stored_as_nothing(model, digits):
    found = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.2)).certify(
        digits.images[:1], digits.labels[:1], n_samples=200, seed=0
    )
    assert runs.Asked().sizes(found.terms) == (0.02, 0.05, 0.1)
    assert runs.Asked(eps=(0.3,)).sizes(found.terms) == (0.3,)
    assert runs.Asked(eps=()).sizes(found.terms) == () == runs.Asked().sizes(None)
    assert runs.Asked.of(runs.Asked().to_dict()) == runs.Asked()


def test_runs_tell_their_results_there(tmp_path):
    config = runs.Config.of(
        {"model": "mnist-standard", "data": "mnist:test[0:1]", "sigma": 0.5, "n_samples": 300, "seed": 0}
    )
    store = runs.certify(config, tmp_path / "run")
    (row,) = runs.certificates(store, store.asked())
    assert [float(name[len(COSINE) :]) for name in row if name.startswith(COSINE)] == [0.05, 0.12, 0.25]
    assert list(runs.summary(store, [row], store.asked()).abstentions) == [0.05, 0.12, 0.25]
