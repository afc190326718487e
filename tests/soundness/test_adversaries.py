"""What is certified is what was asked: inputs changed in place, last bits of sums, numbers at the edge."""

import textwrap

import numpy as np
import pytest
import torch
from adversaries import SIGMA, D, as_numpy, blanking, broken_promises, false_claims, last_bits, signs_of_zeros
from PIL import Image
from torch import nn

import attricert as ac
from attricert import attacks, runs
from attricert.errors import ArgumentError, InPlaceWarning
from attricert.noise import samplers

# Last bits of x + a.


def test_the_last_bits_of_a_sum_tell_nothing():
    assert false_claims(range(60), last_bits, exact=True) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_the_lattice_they_tell_everything(dtype):
    assert false_claims(range(20), last_bits, exact=False, dtype=dtype) == 20


def test_nor_do_they_in_float64():
    assert false_claims(range(20), last_bits, exact=True, dtype=torch.float64) == 0


def test_no_zero_is_negative():
    """Zeros are common on a lattice: one in six hundred entries."""
    x = torch.full((1, D), -1e-4)
    for noise in (ac.Gaussian(SIGMA), ac.UniformBall(3.5)):
        sm = ac.SmoothedAttribution(signs_of_zeros(torch.eye(D)[0]), noise)
        assert (sm.attribute(torch.cat([x, -x]), n_samples=500, seed=0)[:, 0] == -1).all()


@pytest.mark.parametrize("noise", [ac.Gaussian(1e-3), ac.UniformBall(1e-3 * (D + 2) ** 0.5)])
def test_noise_that_is_lost_beside_the_input_is_refused(noise):
    x = torch.full((1, D), 1e6)
    sm = ac.SmoothedAttribution(lambda z, t: torch.sin(z * 1e3), noise)
    for call in (sm.certify, sm.attribute, sm.forecast):
        with pytest.raises(
            ArgumentError, match=r"noise=.*lost to rounding beside torch.float32 inputs of up to 1e\+06"
        ):
            call(x, n_samples=500)
    assert sm.certify(x.double(), n_samples=500, seed=0).evidence.norm.lower[0] < 0.9


def test_noise_that_overflows_is_refused():
    sm = ac.SmoothedAttribution(lambda z, t: z, ac.Gaussian(1e38))
    with pytest.raises(ArgumentError, match="overflows"):
        sm.certify(torch.zeros(1, 4), n_samples=500)


# Inputs changed in place.


def classifier(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(8, 3)).eval()


@pytest.mark.filterwarnings("ignore::attricert.MeaningWarning")  # some inputs lie near a boundary
@pytest.mark.parametrize("numpy", [False, True])
def test_an_attribution_that_spoils_its_inputs_spoils_no_prediction(numpy):
    """The class certified is that of the noisy copies, not of what the attribution leaves of them."""
    wrong = changed = 0
    for seed in range(100):
        model, x = classifier(seed), torch.rand(1, 8, generator=torch.Generator().manual_seed(seed))
        keep, target = x.clone(), model(x).argmax(dim=1)
        g = blanking(model, 8)
        sm = ac.SmoothedAttribution(
            ac.wrap(as_numpy(g) if numpy else g, numpy=numpy), ac.Gaussian(0.05), classifier=model
        )
        with pytest.warns(InPlaceWarning, match="attribution .* changes its inputs in place"):
            c = sm.certify(x, target, n_samples=200, seed=seed)
        truth = model(x + 0.05 * torch.randn(4_000, 8, generator=torch.Generator().manual_seed(1))).argmax(dim=1)
        wrong += int(c.prediction[0]) != int(truth.mode().values) and c.prediction_radius()[0] > 0
        changed += not torch.equal(x, keep)
    assert (wrong, changed) == (0, 0)


def test_what_is_attacked_stays_as_it_is():
    model, x = classifier(0), torch.rand(2, 8)
    keep, target, eps = x.clone(), model(x).argmax(dim=1), torch.full((2,), 0.1)
    before = target.clone()
    for what in (ac.wrap(blanking(model, 8)), ac.SmoothedAttribution(ac.wrap(blanking(model, 8)), ac.Gaussian(0.1))):
        attack = attacks.RandomNoise(trials=2)
        with pytest.warns(InPlaceWarning, match="changes its inputs in place"):
            found = attack.run(what, x, target, eps=eps, classifier=model, data_range=None, n_samples=50, seed=0)
        assert torch.equal(x, keep)
        assert torch.equal(target, before)
        np.testing.assert_allclose((found.inputs - x).flatten(1).norm(dim=1), 0.1, rtol=1e-3)


def test_targets_are_copies_too():
    def greedy(inputs, target):
        target.zero_()
        return inputs**2

    target = torch.tensor([2, 1])
    with pytest.warns(InPlaceWarning, match="changes its target in place"):
        ac.SmoothedAttribution(greedy, ac.Gaussian(0.1)).certify(torch.rand(2, 4), target, n_samples=100, seed=0)
    assert target.tolist() == [2, 1]


@pytest.mark.filterwarnings("ignore::attricert.MeaningWarning")  # any target will do
def test_an_attribution_may_reuse_its_memory():
    """It returns the same tensor at each call, and its classifier writes to that as well."""
    memory = torch.empty(0)

    def g(inputs, target):
        nonlocal memory
        memory = memory if len(memory) == len(inputs) else torch.empty_like(inputs)
        return memory.copy_(inputs)

    def scores(inputs):
        memory.fill_(float("nan"))
        return inputs[:, :2]

    x, target = torch.rand(1, 4), torch.zeros(1, dtype=torch.long)
    one, two = (
        ac.SmoothedAttribution(f, ac.Gaussian(0.1), classifier=scores).certify(x, target, n_samples=300, seed=0)
        for f in (g, lambda inputs, target: inputs)
    )
    assert np.array_equal(one.maps, two.maps)


MINE = """
    import torch
    from torch import nn

    class InPlace(nn.Module):
        def forward(self, x):
            return x.{verb}(0.5).flatten(1)[:, :3].tanh()

    def model():
        return InPlace().eval()

    def attribution(model):
        def g(inputs, target):
            # One map for images as they are, another one for images that have been normalized already.
            dark = inputs.flatten(1).mean(dim=1) < 0.2
            with torch.no_grad():
                model(inputs)
            out = torch.zeros_like(inputs)
            out[:, 0, 0, 0] = torch.where(dark, -1.0, 1.0)
            return out
        return g
"""


def test_a_model_that_normalizes_in_place_does_not_change_what_a_run_certifies(tmp_path):
    """30 images: their maps are +e, those of normalized images -e; with alpha = 1e-6 none may be wrong."""
    images, rng = tmp_path / "images", np.random.default_rng(0)
    images.mkdir()
    for i in range(30):
        pixels = rng.integers(140, 190, (4, 4), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{i:03d}.png")
    found = {}
    for verb in ("sub_", "sub"):
        mine = tmp_path / f"{verb}.py"
        mine.write_text(textwrap.dedent(MINE.format(verb=verb)))
        config = runs.Config.of(
            {
                "model": f"{mine}:model",
                "attribution": f"{mine}:attribution",
                "data": str(images),
                "sigma": 0.05,
                "n_samples": 200,
                "alpha": 1e-6,
                "seed": 0,
            }
        )
        if verb == "sub_":
            with pytest.warns(InPlaceWarning) as told:
                runs.certify(config, tmp_path / f"run-{verb}")
            who = {str(warning.message).partition(" changes ")[0] for warning in told}
            assert who == {"the attribution g", "the classifier InPlace"}
        else:
            runs.certify(config, tmp_path / f"run-{verb}")
        found[verb] = runs.load(tmp_path / f"run-{verb}")
    spoiled, clean = found["sub_"], found["sub"]
    assert (spoiled.norm > 0.8).all()
    assert int((spoiled.maps[:, 0, 0, 0] < 0).sum()) == 0  # maps of another image
    assert np.array_equal(spoiled.maps, clean.maps)
    assert np.array_equal(spoiled.prediction, clean.prediction)


# Numbers at the edge.


@pytest.mark.parametrize("size", [1e-158, 1e-70, 1e70, 1e160])
def test_functionals_of_sizes_beyond_float64s_squares_are_refused(size):
    sm = ac.SmoothedAttribution(lambda z, t: torch.sin(z), ac.Gaussian(0.5))
    with pytest.raises(ArgumentError, match=r"functionals=.*1e-60 to 1e\+60; rescale"):
        sm.certify(torch.rand(1, 4), functionals=size * np.eye(4), n_samples=200)


@pytest.mark.parametrize("size", [1e-55, 1.0, 1e55])
def test_functionals_of_any_other_size_hold(size):
    """sin(k.x) has a known smoothed value; 100 seeds, and the intervals scale with the weights."""
    x, weights = torch.tensor([[0.3, -0.2]], dtype=torch.float64), np.array([[1.0, 0.0], [0.6, -0.8]])
    sm = ac.SmoothedAttribution(lambda z, t: torch.sin(z), ac.Gaussian(0.5), ac.Clip(2.0))
    truth = np.sin(x.numpy()[0]) * np.exp(-(0.5**2) / 2) @ weights.T
    outside = 0
    for seed in range(100):
        c = sm.certify(x, functionals=size * weights, n_samples=300, alpha=1e-3, seed=seed, prove=())
        low, high = (v[0] / size for v in c.functionals(0.0))
        outside += int(((truth < low) | (truth > high)).any())
        assert (high - low < 1.5).all()
    assert outside == 0


@pytest.mark.parametrize("name", ["max_norm", "max_entry"])
@pytest.mark.parametrize("size", [1e-200, 1e-61, 1e61])
def test_bounds_of_such_sizes_are_refused(name, size):
    with pytest.raises(ArgumentError, match=rf"{name}=.*must be from 1e-60 to 1e\+60"):
        ac.Clip(**{"max_norm": 1.0, name: size})


def test_a_promise_broken_too_rarely_to_be_seen():
    seen, false, of_g = broken_promises(range(40))
    assert seen < 10
    assert false == 0
    assert of_g == 40 - seen  # what would be claimed of g itself


class Zeros:
    """Random numbers whose normals are all zero, as float32's are in one row of a hundred million."""

    def normal(self, d):
        return torch.zeros(3, d)

    def uniform(self):
        return torch.full((3,), 0.5, dtype=torch.float64)


@pytest.mark.parametrize("d", [1, 2])
def test_ball_noise_is_a_number(d):
    for found in (samplers.ball(Zeros(), d, 2.0), *samplers.ball_derivative(Zeros(), d, 2.0)):
        assert torch.isfinite(found).all()
        assert (found.norm(dim=1) <= 2.0 * (1 + 1e-6)).all()


# What the caller, or anybody else, does to the caller's memory while it is sampled.


@pytest.mark.parametrize("who", ["attribution", "progress"])
def test_what_was_given_is_certified_whatever_becomes_of_it(who):
    x, target = torch.full((1, 8), 0.5), np.array([0])
    functionals, eps, calls = np.eye(8)[:1].copy(), torch.tensor([0.1]), []

    def spoil(*_):
        calls.append(1)
        if len(calls) > 1:
            x.fill_(5.0)
            target.fill(1)
            functionals.fill(-1.0)
            eps.fill_(7.0)

    def g(inputs, index):
        if who == "attribution":
            spoil()
        return inputs * torch.where(index == 0, 1.0, -1.0)[:, None]

    sm = ac.SmoothedAttribution(g, ac.Gaussian(0.25))
    settings = {"n_samples": 500, "seed": 0, "functionals": functionals, "sample_ids": ["a"]}
    found = sm.certify(x, target, progress=spoil if who == "progress" else False, **settings)
    assert float(x[0, 0]) == 5.0
    plain = ac.SmoothedAttribution(lambda inputs, index: inputs, ac.Gaussian(0.25))
    true = plain.certify(torch.full((1, 8), 0.5), [0], **{**settings, "functionals": np.eye(8)[:1]})
    for name, array in true.evidence.arrays().items():
        np.testing.assert_array_equal(found.evidence.arrays()[name], array, err_msg=name)
    x.fill_(0.5)
    eps.fill_(0.1)
    calls.clear()
    attacked = attacks.RandomNoise().run(
        g, x, torch.tensor([0]), eps=eps, keep_label=False, data_range=None, seed=0, n_samples=50
    )
    assert float(attacked.size) <= 0.1 + 1e-6


@pytest.mark.parametrize("rows", [1, 5])
def test_a_classifier_must_give_a_row_for_each_input(rows):
    """One row for all of them, an average say, would be the vote of every draw."""

    def scores(inputs):
        return inputs[:, :2].mean(0).expand(rows, 2)

    sm = ac.SmoothedAttribution(lambda z, t: z, ac.Gaussian(0.25), classifier=scores)
    with pytest.raises(ArgumentError, match=r"classifier=.*(must give a row for each|gives an input another score)"):
        sm.certify(torch.zeros(1, 8), target=0, n_samples=200)
    with pytest.raises(ArgumentError, match=r"classifier=.*(must give a row for each|gives an input another score)"):
        attacks.RandomNoise().run(sm, torch.zeros(2, 8), 0, eps=0.1, data_range=None)
