"""What attacks must obey whatever they propose, and how good they are where the best answer is known."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from functions import rotor, rotor_norm
from torch import nn
from torch.nn import functional

import attricert as ac
from attricert import attacks
from attricert.attacks.attacked_map import PlainMap, SmoothedMap
from attricert.attacks.base import _jackknife
from attricert.attacks.surrogate import Softened
from attricert.streams import Stream

CPU = torch.device("cpu")


def small_net(seed=0, d=6, activation=nn.ReLU):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(d, 16), activation(), nn.Linear(16, 3)).double().eval()


def inputs(n=4, d=6, seed=0):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def closed(function):
    """A map in closed form, differentiable."""
    return ac.wrap(lambda x, target: function(x))


def turning(k):
    k = torch.as_tensor(k, dtype=torch.float64)
    return closed(lambda x: torch.stack([(x @ k).cos(), (x @ k).sin()], dim=1) @ torch.eye(2, len(k), dtype=x.dtype))


# The surrogate.


@pytest.mark.parametrize(
    ("hard", "soft"),
    [
        (nn.ReLU(), lambda z, b: functional.softplus(z, b)),
        (nn.ReLU(inplace=True), lambda z, b: functional.softplus(z, b)),
        (torch.relu, lambda z, b: functional.softplus(z, b)),
        (lambda z: z.relu(), lambda z, b: functional.softplus(z, b)),
        (nn.ReLU6(), lambda z, b: functional.softplus(z, b) - functional.softplus(z - 6, b)),
        (functional.relu6, lambda z, b: functional.softplus(z, b) - functional.softplus(z - 6, b)),
        (nn.Hardtanh(-2, 3), lambda z, b: -2 + functional.softplus(z + 2, b) - functional.softplus(z - 3, b)),
        (nn.LeakyReLU(0.2), lambda z, b: 0.2 * z + 0.8 * functional.softplus(z, b)),
    ],
)
def test_rectifiers_are_softened_while_entered(hard, soft):
    z = torch.linspace(-8, 8, 101, dtype=torch.float64)
    before = hard(z.clone())
    with Softened(3.0):
        softened = hard(z.clone())
    torch.testing.assert_close(softened, soft(z, 3.0))
    torch.testing.assert_close(hard(z.clone()), before)
    with Softened(1e4):
        torch.testing.assert_close(hard(z.clone()), before, atol=1e-3, rtol=0)


# Losses, by hand.

CLEAN = torch.tensor([[[0.0, 3.0], [1.0, -4.0]]])
OTHER = torch.tensor([[[2.0, 0.0], [1.0, 2.0]]])


def test_losses_by_hand():
    assert float(attacks.CosineLoss()(OTHER, CLEAN)) == pytest.approx((1 - 8) / 3 / math.sqrt(26))
    assert float(attacks.TopKLoss(2, mass=True)(OTHER, CLEAN)) == pytest.approx((0 + 1) / 3)
    assert float(attacks.TopKLoss(2, absolute=True, mass=True)(OTHER, CLEAN)) == pytest.approx((0 + 2) / 5)
    # The top two of 2, 0, 1, 2 are twos; around the second lie 2 and 1. Clean: 3 and 1, which are now 0 and 1.
    logistic = [1 / (1 + math.exp(-(value - 1.5) / 0.2)) for value in (0, 1)]
    assert float(attacks.TopKLoss(2)(OTHER, CLEAN)) == pytest.approx(sum(logistic) / 2)
    assert float(attacks.TopKLoss(2).score(OTHER, CLEAN)) == 0.0
    # Centers (row, column): clean (5/8, 7/8), other (3/5, 2/5).
    distance = math.hypot(5 / 8 - 3 / 5, 7 / 8 - 2 / 5)
    assert float(attacks.MassCenterLoss()(OTHER, CLEAN)) == pytest.approx(-distance, abs=1e-6)
    target = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    for shaped in (target, target[None]):
        assert float(attacks.TargetMapLoss(shaped)(OTHER, CLEAN)) == pytest.approx(-2 / 3)


@pytest.mark.parametrize(
    "loss",
    [
        attacks.CosineLoss(),
        attacks.TopKLoss(2, mass=True),
        attacks.TopKLoss(2, absolute=True, mass=True),
        attacks.MassCenterLoss(),
    ],
    ids=repr,
)
def test_losses_are_differentiable_and_smallest_for_the_clean_map_is_no_attack(loss):
    maps = (CLEAN + 0.1 * OTHER).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda m: loss(m, CLEAN.double()), (maps,))
    far = loss.score(OTHER, CLEAN)
    assert far < loss.score(CLEAN, CLEAN)


def test_a_center_needs_an_image():
    with pytest.raises(ac.ArgumentError, match="MassCenter"):
        attacks.MassCenterLoss()(torch.ones(2, 4), torch.ones(2, 4))


# Derivatives.


@pytest.mark.parametrize("noise", [ac.Gaussian(0.6), ac.UniformBall(1.1)], ids=repr)
def test_the_noise_gives_the_derivative_of_what_is_smoothed(noise):
    """Of the rotor: h = c (cos k.x, sin k.x), so its Jacobian is known."""
    k, x = np.array([0.9, -0.5, 0.4]), torch.tensor([0.2, 0.1, -0.3], dtype=torch.float64)
    shifts, weights = noise.derivative(Stream(0, "x", "d").rows(0, 200_000, torch.float64, CPU), 3)
    estimate = rotor(k)(x + shifts, None).T @ weights / len(shifts)
    phase = float(x @ torch.from_numpy(k))
    true = rotor_norm(k, noise) * np.outer([-math.sin(phase), math.cos(phase), 0.0], k)
    np.testing.assert_allclose(estimate, true, atol=0.02)
    wrong = rotor(k)(x + 0.5 * shifts, None).T @ weights / len(shifts)
    assert np.abs(wrong.numpy() - true).max() > 0.05


@pytest.mark.parametrize("noise", [ac.Gaussian(0.3), ac.UniformBall(0.7)], ids=repr)
def test_both_derivatives_of_a_smoothed_map_agree(noise):
    """Autograd and score function, with smooth activations, where autograd is exact."""
    g = ac.Saliency(small_net(activation=nn.Tanh))
    smoothed = SmoothedMap(g, noise, ac.Clip(0.2))
    x, target = inputs(1), torch.tensor([1])
    assert smoothed.methods(x, target) == ("autograd", "score")
    weights = torch.randn(1, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    slopes = [
        smoothed.with_fixed_noise(x[0], Stream(0, "x", "vjp"), draws, method).vjp(x, target, weights, 50.0)
        for method, draws in (("autograd", 5_000), ("score", 100_000))
    ]
    np.testing.assert_allclose(slopes[1], slopes[0], atol=0.06 * float(slopes[0].norm()))


@pytest.mark.parametrize(
    "make", [ac.Saliency, ac.InputXGradient, lambda m: ac.IntegratedGradients(m, n_steps=8)], ids=["s", "ixg", "ig"]
)
def test_the_derivative_of_a_plain_map_is_that_of_finite_differences(make):
    g, x, target = make(small_net(activation=nn.Softplus)), inputs(3), torch.tensor([0, 2, 1])
    weights = torch.randn(3, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fixed_map = PlainMap(g).with_fixed_noise(x[0], Stream(0, "x", "vjp"), 1, "autograd")
    slope, t = fixed_map.vjp(x, target, weights, 10.0), 1e-6
    for j in range(6):
        step = torch.zeros_like(x)
        step[:, j] = t
        numeric = ((g(x + step, target) - g(x - step, target)) / (2 * t) * weights).sum(dim=1)
        np.testing.assert_allclose(slope[:, j], numeric, atol=1e-7)


def test_a_black_box_has_no_derivative_but_its_smoothed_map_has():
    box = ac.wrap(lambda x, target: x.detach().numpy() ** 2)
    assert PlainMap(box).methods(inputs(), None) == ()
    assert SmoothedMap(box, ac.Gaussian(0.1), ac.Normalize()).methods(inputs(), None) == ("score",)
    with pytest.raises(ac.ArgumentError, match="values only"):
        attacks.PGD(steps=1).run(box, inputs(), eps=0.1, keep_label=False)
    found = attacks.Strong(budget=0.01).run(box, inputs(), eps=0.3, keep_label=False, seed=0)
    assert (found.cosine < 1).all()


# What the template holds attacks to.


@dataclass(frozen=True)
class Lawless(attacks.Attack):
    """Proposes what it must not."""

    loss: attacks.Loss = field(default_factory=attacks.CosineLoss)
    proposals = 20

    def candidates(self, problem):
        x = problem.inputs
        huge = x + 100 * torch.sign(x - 0.5)
        torn = x.clone()
        torn[:, 0] = torch.nan
        best = yield huge
        best = yield torn
        best = yield torch.full_like(x, torch.inf)
        for step in torch.eye(x.shape[1], dtype=x.dtype):
            for size in (-30.0, 30.0):
                best = yield x + size * step
        return best


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("eps", [1e-7, 0.03, 0.5, [0.0, 0.01, 0.1, 1.0]], ids=str)
def test_whatever_is_proposed_ball_range_and_label_hold(dtype, eps):
    model = small_net().to(dtype)
    x = inputs().to(dtype)
    x[0, :3] = torch.tensor([0.0, 1.0, 0.5])
    with torch.no_grad():
        labels = model(x).argmax(dim=1)
    found = Lawless().run(ac.Saliency(model), x, labels, eps=eps, seed=0)
    sizes = (found.inputs.double() - x.double()).norm(dim=1)
    assert (sizes <= torch.as_tensor(eps, dtype=torch.float64)).all()
    torch.testing.assert_close(found.size, sizes)
    assert ((found.inputs >= 0) & (found.inputs <= 1)).all()
    with torch.no_grad():
        assert torch.equal(model(found.inputs).argmax(dim=1), labels)
    torch.testing.assert_close(found.cosine, ac.metrics.cosine_similarity(found.maps, found.clean))


def test_without_the_limits_more_is_found():
    """The control: labels do change, and values leave the range, when that is allowed."""
    model, x = small_net(), inputs(40)
    with torch.no_grad():
        labels = model(x).argmax(dim=1)
    g, attack = ac.Saliency(model), Lawless()
    free = attack.run(g, x, labels, eps=3.0, keep_label=False, data_range=None, seed=0)
    with torch.no_grad():
        assert (model(free.inputs).argmax(dim=1) != labels).any()
    assert ((free.inputs < 0) | (free.inputs > 1)).any()
    bound = attack.run(g, x, labels, eps=3.0, seed=0)
    assert free.cosine.mean() < bound.cosine.mean()


def test_what_makes_nothing_worse_is_not_taken():
    """A constant map cannot be attacked: the clean input comes back."""
    g, x = closed(lambda x: torch.ones_like(x) + 0 * x), inputs()
    found = attacks.Strong().run(g, x, eps=0.5, keep_label=False, seed=0)
    assert torch.equal(found.inputs, x)
    assert (found.size == 0).all()
    assert found.cosine.tolist() == pytest.approx([1.0] * 4)


def test_a_start_is_tried():
    g, x = turning([2.0, 0.0, 0.0]), inputs(2, 3)
    start = x + torch.tensor([0.1, 0.0, 0.0])
    none = attacks.RandomNoise()
    found = none.run(g, x, eps=0.1, start=start, keep_label=False, data_range=None, seed=0)
    assert found.cosine.tolist() == pytest.approx([math.cos(0.2)] * 2, abs=1e-6)


def test_results_do_not_depend_on_neighbours():
    model, x = small_net(), inputs(5)
    target = torch.tensor([0, 1, 2, 0, 1])
    sm = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.2))
    attack = attacks.Strong(budget=0.05)
    settings = {"eps": 0.3, "keep_label": False, "n_samples": 200, "seed": 0}
    whole = attack.run(sm, x, target, **settings)
    for i in range(5):
        alone = attack.run(sm, x[i : i + 1], target[i : i + 1], **settings)
        torch.testing.assert_close(alone.inputs[0], whole.inputs[i])


@pytest.mark.parametrize(
    "attack",
    [
        attacks.RandomNoise(trials=3),
        attacks.Linear(directions=2, rounds=1),
        attacks.PGD(steps=7, restarts=2, every=3),
        attacks.Strong(),
    ],
    ids=repr,
)
def test_progress_counts_candidates(attack):
    ticks = []
    attack.run(
        turning([1.0, 0.5, 0.2]), inputs(1, 3), eps=0.1, keep_label=False, data_range=None, progress=ticks.append
    )
    assert sum(ticks) == attack.proposals


def test_restarts_differ():
    @dataclass(frozen=True)
    class Spy(attacks.Loss):
        seen: list = field(default_factory=list)

        def __call__(self, maps, clean):
            return ac.metrics.cosine_similarity(maps, clean)

        def score(self, maps, clean):
            self.seen.append(maps.detach().clone())
            return self(maps, clean)

    spy, x = Spy(), inputs(1)
    attacks.PGD(spy, steps=1, restarts=6, every=1).run(
        closed(lambda x: x + 1), x, eps=0.3, keep_label=False, data_range=None, seed=0
    )
    starts = torch.cat(spy.seen[1:7])
    distances = torch.cdist(starts, starts)[~torch.eye(6, dtype=torch.bool)]
    assert distances.min() > 0.01


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eps": -0.1}, "eps="),
        ({"eps": [0.1, 0.2]}, "eps="),
        ({"eps": math.nan}, "eps="),
        ({"data_range": (0.4, 0.6)}, "data_range="),
        ({"n_samples": 1}, "n_samples="),
        ({"seed": -1}, "seed="),
        ({"target": 0.5}, "target="),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    settings = {"target": 1, "eps": 0.1, "seed": 0, **changes}
    with pytest.raises(ac.ArgumentError, match=message):
        attacks.RandomNoise().run(ac.Saliency(small_net()), inputs(), settings.pop("target"), **settings)


def test_a_label_needs_a_classifier():
    with pytest.raises(ac.ArgumentError, match="keep_label"):
        attacks.RandomNoise().run(turning([1.0, 0.0, 0.0]), inputs(2, 3), eps=0.1)


def test_a_model_with_a_single_output_has_no_label():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Softplus(), nn.Linear(8, 1), nn.Flatten(0)).double().eval()
    with pytest.raises(ac.ArgumentError, match="keep_label"):
        attacks.Linear().run(ac.Saliency(model), inputs(), eps=0.1)
    found = attacks.Linear().run(ac.Saliency(model), inputs(), eps=0.1, keep_label=False, seed=0)
    assert (found.cosine < 1).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: attacks.PGD(steps=0),
        lambda: attacks.PGD(step=0.0),
        lambda: attacks.PGD(momentum=1.0),
        lambda: attacks.PGD(method="magic"),
        lambda: attacks.PGD(beta=(0.0, 1.0)),
        lambda: attacks.Linear(directions=0),
        lambda: attacks.RandomNoise(trials=0),
        lambda: attacks.Strong(budget=0.0),
        lambda: attacks.TopKLoss(0),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ac.AttricertError):
        make()


# How strong they are.


@pytest.mark.parametrize("attack", [attacks.PGD(steps=40, restarts=2), attacks.Linear(), attacks.Strong()], ids=repr)
def test_a_rotor_is_turned_as_far_as_it_goes(attack):
    """The map turns by k.delta, so the best is eps |k|, along k."""
    k, eps = [1.2, -0.5, 0.3, 0.8], 0.4
    found = attack.run(turning(k), inputs(3, 4), eps=eps, keep_label=False, data_range=None, seed=0)
    assert found.cosine.tolist() == pytest.approx([math.cos(eps * np.linalg.norm(k))] * 3, abs=2e-4)
    random = attacks.RandomNoise().run(turning(k), inputs(3, 4), eps=eps, keep_label=False, data_range=None, seed=0)
    assert (random.cosine > found.cosine + 0.01).all()


def test_the_linear_attack_finds_the_top_singular_direction():
    """A linear map of a large constant: the move across it is all that turns it."""
    generator = torch.Generator().manual_seed(2)
    matrix = torch.randn(8, 8, generator=generator, dtype=torch.float64)
    constant = 100 * torch.eye(8, dtype=torch.float64)[0]
    x = torch.zeros(1, 8, dtype=torch.float64)
    found = attacks.Linear(rounds=60).run(
        closed(lambda x: x @ matrix.T + constant), x, eps=0.01, keep_label=False, data_range=None, seed=0
    )
    across = matrix.clone()
    across[0] = 0.0
    best = torch.linalg.svd(across)[2][0]
    assert abs(float(found.inputs[0] @ best)) / 0.01 > 0.999


@pytest.mark.parametrize("method", ["autograd", "score"])
def test_descent_on_a_smoothed_map(method):
    """The rotor again: smoothing shortens the map, and turns with the input as before."""
    k, eps = [1.2, -0.5, 0.3], 0.5
    sm = ac.SmoothedAttribution(turning(k), ac.Gaussian(0.4))
    attack = attacks.PGD(steps=30, restarts=1, draws=400, method=method)
    found = attack.run(sm, inputs(1, 3), eps=eps, keep_label=False, data_range=None, n_samples=20_000, seed=0)
    best = math.cos(eps * np.linalg.norm(k))
    assert float(found.cosine) == pytest.approx(best, abs=5 * float(found.cosine_error) + 0.02)
    assert 0 < float(found.cosine_error) < 0.01


def test_gradients_beat_random_noise_on_a_network():
    model, x = small_net(), inputs(10)
    with torch.no_grad():
        target = model(x).argmax(dim=1)
    runs = [
        attack.run(ac.Saliency(model), x, target, eps=0.3, seed=0)
        for attack in (attacks.RandomNoise(), attacks.PGD(steps=50, restarts=3), attacks.Strong())
    ]
    means = [float(found.cosine.mean()) for found in runs]
    assert means[1] < means[0] - 0.01
    assert means[2] < means[0] - 0.01


def test_the_jackknife_knows_its_error_and_has_less_bias():
    """Two noisy means of known cosine, many times over; the plain estimate is too small."""
    generator = torch.Generator().manual_seed(0)
    d, groups = 50, 20
    a, b = torch.zeros(d, dtype=torch.float64), torch.zeros(d, dtype=torch.float64)
    a[0], b[:2] = 1.0, math.sqrt(0.5)
    noise = torch.randn(2, 2_000, groups, d, generator=generator, dtype=torch.float64)
    here, there = a + 0.15 * noise[0], b + 0.15 * noise[1]
    cosine, error = _jackknife(here, there)
    true = math.sqrt(0.5)
    plain = ac.metrics.cosine_similarity(here.mean(dim=1), there.mean(dim=1)).mean()
    assert abs(float(cosine.mean()) - true) < 0.1 * abs(float(plain) - true)
    assert float(error.mean()) == pytest.approx(float(cosine.std()), rel=0.15)


# Both sides.


@dataclass(frozen=True)
class Claim:
    """A certificate that says: the map turns by at most ``speed`` * eps."""

    speed: float
    n: int

    def cosine(self, eps):
        return np.tile(np.cos(np.minimum(self.speed * np.atleast_1d(eps), math.pi)), (self.n, 1))

    def max_eps(self, cosine):
        return np.full(self.n, math.acos(cosine) / self.speed)


def test_a_sandwich_closes_on_the_truth():
    k, n = [1.2, -0.5, 0.3], 2
    speed = float(np.linalg.norm(k))
    both = attacks.sandwich(Claim(2 * speed, n), turning(k), inputs(n, 3), cosine=0.9, eps=[0.05], steps=4, seed=0)
    truth = math.acos(0.9) / speed
    assert both.broken_eps.tolist() == pytest.approx([truth] * n, rel=0.05)
    assert (both.broken_eps >= truth * (1 - 1e-6)).all()
    assert both.ratio.tolist() == pytest.approx([0.5] * n, rel=0.05)
    assert not both.crossings.any()
    assert (np.nanmin(both.eps, axis=1) == 0.05).all()
    assert (both.certified <= both.attacked + 1e-9)[np.isfinite(both.eps)].all()
    moved = (both.inputs - inputs(n, 3)).norm(dim=1)
    np.testing.assert_allclose(moved, both.broken_eps, rtol=1e-6)


def test_a_false_claim_is_seen_to_fail():
    k, n = [1.2, -0.5, 0.3], 2
    speed = float(np.linalg.norm(k))
    both = attacks.sandwich(Claim(0.8 * speed, n), turning(k), inputs(n, 3), cosine=0.9, steps=3, seed=0)
    assert both.crossings.any(axis=1).all()
    assert (both.ratio > 1).all()


def test_what_is_never_broken_has_an_infinite_size():
    constant = closed(lambda x: torch.ones_like(x) + 0 * x)
    both = attacks.sandwich(
        Claim(1.0, 1), constant, inputs(1, 3), attack=attacks.Linear(rounds=1, directions=1), seed=0
    )
    assert both.broken_eps.tolist() == [math.inf]
    assert both.ratio.tolist() == [0.0]
    assert torch.equal(both.inputs, inputs(1, 3))


def test_a_sandwich_keeps_the_label_of_a_classifier_that_is_given():
    """A half-space just beside the input: without the label the map turns either way, with it away from the edge."""
    k, x = [1.0, 0.0, 0.0], inputs(1, 3)

    def classify(at):
        edge = at[:, 0] - x[0, 0] - 0.01
        return torch.stack([-edge, edge], dim=1)

    both = attacks.sandwich(Claim(2.0, 1), turning(k), x, classifier=classify, keep_label=True, steps=1, seed=0)
    assert both.broken_eps[0] < math.inf
    assert torch.equal(classify(both.inputs).argmax(dim=1), classify(x).argmax(dim=1))


def test_a_sandwich_of_other_inputs_is_refused():
    with pytest.raises(ac.ArgumentError, match="certificate="):
        attacks.sandwich(Claim(1.0, 2), turning([1.0, 0.0, 0.0]), inputs(3, 3))


@pytest.mark.parametrize(
    ("noise", "bound", "name"),
    [(ac.UniformBall(0.1), ac.Normalize(), "noise"), (ac.Gaussian(0.1), ac.Clip(1.0), "bound")],
)
def test_a_sandwich_of_another_function_is_refused(noise, bound, name):
    g, x = turning([1.0, 0.0, 0.0]), inputs(1, 3)
    certificate = ac.SmoothedAttribution(g, ac.Gaussian(0.1)).certify(x, n_samples=100, seed=0, prove=[])
    with pytest.raises(ac.ArgumentError, match=f"certificate=.*whose {name} is"):
        attacks.sandwich(certificate, ac.SmoothedAttribution(g, noise, bound), x)
