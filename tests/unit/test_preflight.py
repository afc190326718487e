"""What is found before the draws, and that everything is left as it was."""

import random
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import attricert as ac
from attricert import attacks
from attricert.attributions import modules_of

# Class 0 is explained, whichever is predicted.
pytestmark = pytest.mark.filterwarnings("ignore::attricert.errors.MeaningWarning")

X = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def net(*last):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), *last, nn.Linear(64, 4))
        return body.eval()


def certify(attribution, **settings):
    options = {name: settings.pop(name) for name in ("preflight",) if name in settings}
    smoothed = ac.SmoothedAttribution(attribution, ac.Gaussian(0.25), **settings)
    return smoothed.certify(X, 0, n_samples=120, seed=0, prove=[], **options)


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = net()

    def forward(self, x):
        return self.body(functional.dropout(x))


class Leaning(nn.Module):
    """In bfloat16; each row leans on the mean of the batch by a share."""

    def __init__(self, share):
        super().__init__()
        self.body, self.share = net(), share

    def forward(self, x):
        return self.body(x + self.share * x.mean(dim=0, keepdim=True))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_rows_that_mix_are_found_in_half_precision_too(share):
    """Rounding alone makes rows differ by percents beside others, which must not hide as much of their neighbours."""
    attribution = ac.Saliency(ac.Autocast(Leaning(share)).eval())
    with nullcontext() if share == 0 else pytest.raises(ac.ArgumentError, match="rows of a batch are mixed"):
        certify(attribution)


class State:
    """The same until it has been called so many times."""

    def __init__(self, calls):
        self.calls, self.left = calls, calls

    def __call__(self, x, target):
        self.left -= 1
        return x if self.left > 0 else -x


def seeded(x, target):
    return x + torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def with_numpy(x, target):
    return x + torch.from_numpy(np.random.standard_normal(x.shape)).float()


def with_python(x, target):
    return x * (1 + random.random())


def one_in_a_batch(x, target):
    return x + torch.randn(())  # shared by its rows


@pytest.mark.parametrize(
    ("attribution", "message"),
    {
        "functional dropout": (ac.Saliency(Dropping().eval()), "gives different maps of equal inputs"),
        "torch": (ac.wrap(lambda x, t: x + torch.randn_like(x)), "gives different maps of equal inputs"),
        "numpy": (ac.wrap(with_numpy), "gives different maps"),
        "python": (ac.wrap(with_python), "gives different maps"),
        "shared": (ac.wrap(one_in_a_batch), "gives different maps"),
        "seeded in the call": (ac.wrap(seeded), "rows of a batch are mixed, or treated by their place"),
        "place": (ac.wrap(lambda x, t: x * torch.arange(1, len(x) + 1.0)[:, None, None, None]), "by their place"),
        "mean": (ac.wrap(lambda x, t: x - x.mean(0)), "rows of a batch are mixed"),
        "largest": (ac.wrap(lambda x, t: x / x.abs().max()), "rows of a batch are mixed"),
        "smallest": (ac.wrap(lambda x, t: x / x.flatten(1).norm(dim=1).min()), "rows of a batch are mixed"),
        "above the mean": (ac.wrap(lambda x, t: torch.where(x > x.mean(0) + 1e-9, 1.0, -1.0)), "rows of a batch"),
        "largest fifth": (ac.wrap(lambda x, t: x * (x.abs() >= x.abs().quantile(0.8))), "rows of a batch are mixed"),
        "median": (ac.wrap(lambda x, t: (x - x.median()).sign()), "rows of a batch are mixed"),
        "sorted": (ac.wrap(lambda x, t: x.sort(dim=0).values), "rows of a batch are mixed"),
        "changes at once": (ac.wrap(State(3)), "gives different maps of equal inputs"),
        "changes in between": (ac.wrap(State(14)), "it changed while it was sampled"),
    }.values(),
)
def test_what_is_no_function_of_each_input_alone_is_refused(attribution, message):
    with pytest.raises(ac.ArgumentError, match=message):
        certify(attribution)


def test_batch_statistics_are_refused_and_one_at_a_time_they_are_a_function():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten(), nn.Linear(64, 4)
    )
    with pytest.raises(ac.ArgumentError, match="attribution='Saliency': gives an input another map"):
        certify(ac.Saliency(model.eval()))
    assert certify(ac.Saliency(model.eval()), batch_size=1).terms.preflight == ("mode", "inputs", "repeat", "rows")


@pytest.mark.parametrize(("scale", "threads"), [(1e-20, 1), (1.0, 2), (1e20, 1)])
def test_sound_functions_pass(scale, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for g in (lambda x, t: scale * x, ac.Saliency(net())):
            certify(g, bound=ac.Clip(scale))
        with pytest.warns(ac.ZeroMapsWarning, match="exactly zero"):
            certify(lambda x, t: torch.zeros_like(x), bound=ac.Clip(scale))
        with pytest.warns(ac.AttributionWarning):
            certify(lambda x, t: torch.where(x > 0.5, torch.nan, x))
    finally:
        torch.set_num_threads(before)


def test_terms_say_what_was_looked_at():
    g = ac.wrap(lambda x, t: x)
    assert certify(g).terms.preflight == ("mode", "inputs", "repeat", "rows")
    assert certify(g, preflight=False).terms.preflight == ()
    declared = certify(ac.wrap(one_in_a_batch, random=True)).terms
    assert declared.random
    assert declared.preflight == ("inputs",)
    assert not certify(g).terms.random


def everything(model):
    rng = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    settings = (torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_float32_matmul_precision())
    settings += (torch.backends.cuda.flash_sdp_enabled(), torch.backends.mha.get_fastpath_enabled())
    settings += (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(), np.geterr())
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = [None if p.grad is None else (p.grad, p.grad.clone()) for p in model.parameters()]
    flags = [p.requires_grad for p in model.parameters()] + [m.training for m in model.modules()]
    hooks = [len(m._forward_hooks) + len(m._backward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    return rng, settings, tensors, gradients, flags, hooks


def assert_same(one, other):
    for a, b in zip(one[0], other[0], strict=True):
        assert a == b if isinstance(a, tuple) else np.array_equal(np.asarray(a), np.asarray(b))
    assert one[1] == other[1]
    assert list(one[2]) == list(other[2])
    for a, b in zip(one[2].values(), other[2].values(), strict=True):
        assert a.dtype == b.dtype
        assert a.numpy().tobytes() == b.numpy().tobytes()  # the signs of zeros, too
    for a, b in zip(one[3], other[3], strict=True):
        assert (a is None) == (b is None)
        assert a is None or (a[0] is b[0] and torch.equal(a[1], b[1]))
    assert one[4:] == other[4:]


def vandal(model):
    """An attribution that leaves nothing as it was."""
    weight = model[-1].weight

    def attribute(x, target):
        model.float().train()
        model(torch.rand(5, 3, 6, 6, dtype=torch.float32))  # running statistics
        model.eval()
        model[0].register_forward_hook(lambda *_: None)
        with torch.enable_grad():
            model(x).sum().backward()
        with torch.no_grad():
            model[-1].bias.add_(0.25).sub_(0.25)
            model[0].weight.mul_(0.5)
            maps = model[0].weight.sum() * x
            model[0].weight.mul_(2.0)
        model[0].weight.requires_grad_(False)
        model[0].bias = nn.Parameter(torch.zeros(4, dtype=torch.float32))  # other parameters, buffers, parts, dtypes
        model[1].running_var = 0.5 * model[1].running_var
        model[2] = nn.Identity()
        weight.data = weight.data.half().float() * -0.0 + weight.data
        model[-1].half()
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.set_float32_matmul_precision("medium")
        torch.use_deterministic_algorithms(True)
        torch.backends.cuda.enable_flash_sdp(False)
        torch.backends.mha.set_fastpath_enabled(False)
        torch.manual_seed(3)
        np.random.seed(3)
        random.seed(3)
        np.seterr(all="ignore")
        return maps.float()

    return attribute


@pytest.mark.untyped  # the type checker draws from Python's generator
@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_left_as_it_was(trained, fails):
    model = net(nn.Dropout(0.5))
    if trained:
        model.train()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    inputs, target = X.clone(), torch.zeros(2, dtype=torch.long)
    function = vandal(model)

    def attribute(x, t):
        maps = function(x, t)
        if fails:
            raise RuntimeError("in the middle")
        return maps

    before = everything(model)
    smoothed = ac.SmoothedAttribution(attribute, ac.Gaussian(0.25), classifier=net())
    calls = [
        lambda: smoothed.certify(inputs, target, n_samples=120, seed=0, prove=[]),
        lambda: smoothed.attribute(inputs, target, n_samples=8, seed=0),
        lambda: smoothed.forecast(inputs, target, n_samples=60, seed=0),
        lambda: attacks.RandomNoise(trials=1).run(smoothed, inputs, target, eps=0.1, seed=0, n_samples=64),
        lambda: attacks.RandomNoise(trials=1).run(attribute, inputs, target, eps=0.1, seed=0, classifier=net()),
    ]
    for call in calls:
        if fails:
            with (
                pytest.raises(ac.errors.CallError, match="in the middle"),
                pytest.warns(ac.ModelModeWarning) if trained else nullcontext(),
            ):
                call()
        elif trained:
            with pytest.warns(ac.ModelModeWarning, match=r"1 \(BatchNorm2d\)"):
                call()
        else:
            call()
        assert_same(before, everything(model))
        assert torch.equal(inputs, X)
        assert torch.equal(target, torch.zeros(2, dtype=torch.long))


def test_train_mode_is_named_and_has_no_part_in_the_certificate():
    model = net(nn.Dropout(0.5))
    expected = certify(ac.Saliency(model)).norm
    model.train()
    before = model[1].running_mean.clone()
    with pytest.warns(ac.ModelModeWarning, match=r"in train mode \(.*Dropout.*called in eval mode, and left as it is"):
        maps = ac.Saliency(model)
    with pytest.warns(ac.ModelModeWarning):
        np.testing.assert_allclose(certify(maps).norm, expected)
    with pytest.warns(ac.ModelModeWarning):
        np.testing.assert_allclose(certify(lambda x, t: maps(x, t)).norm, expected)  # found in what it holds
    assert torch.equal(maps(X, 0), ac.Saliency(model.eval())(X, 0))
    assert torch.equal(model[1].running_mean, before)


def test_declared_randomness_may_be_a_layer_in_train_mode():
    model = nn.Sequential(*(part for part in net(nn.Dropout(0.5)) if not isinstance(part, nn.BatchNorm2d))).train()

    def gradient(x, target):
        with torch.enable_grad():
            leaf = x.clone().requires_grad_()
            return torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)[0]

    def certified(attribution):
        smoothed = ac.SmoothedAttribution(attribution, ac.Gaussian(0.01), classifier=model)
        return smoothed.certify(X, 0, n_samples=120, seed=0, prove=["prediction"])

    random_maps = certified(ac.wrap(gradient, random=True))
    with pytest.warns(ac.ModelModeWarning):
        fixed_maps = certified(ac.wrap(gradient))
    assert (random_maps.norm < 0.8 * fixed_maps.norm).all()  # means over dropout are smaller
    np.testing.assert_array_equal(random_maps.prediction, fixed_maps.prediction)  # the classifier has none
    # Running statistics that move while g is sampled are the classifier's, too.
    model.insert(1, nn.BatchNorm2d(4))
    with pytest.raises(ac.ArgumentError, match="classifier='Sequential'.*it changed while it was sampled"):
        certified(ac.wrap(gradient, random=True))
    assert float(model[1].running_mean.abs().max()) == 0


def test_modules_are_found_wherever_they_are_held():
    model = net()

    class Method:
        def __init__(self):
            self.settings = {"models": [model]}

        def attribute(self, x, target):
            return x

    class Slotted:
        __slots__ = ("inner",)

        def __init__(self):
            self.inner = model

    class Called:
        def __call__(self, x, target):
            return GLOBAL(x)

    assert modules_of(Slotted()) == [model]
    assert modules_of(Called()) == [GLOBAL]
    assert modules_of([list(range(10**6)), {"model": model}]) == [model]
    assert modules_of(ac.Saliency(model)) == [model]
    assert modules_of(lambda x, t: model(x)) == [model]
    assert modules_of(partial(lambda m, x, t: x, model)) == [model]
    assert modules_of(Method().attribute) == [model]
    assert modules_of(ac.wrap(Method())) == [model]
    assert modules_of(named_globally) == [GLOBAL]
    whole = nn.Sequential(model)
    assert modules_of(model[0], whole) == [whole]  # parts of another are not named twice


def test_threads_take_turns():
    """Each finds the model in train mode, and leaves it so; none samples while another has put it back."""
    model = net(nn.Dropout(0.5))
    expected = certify(ac.Saliency(model)).norm
    model.train()
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("ignore", ac.ModelModeWarning)
        found = list(pool.map(lambda _: certify(ac.Saliency(model)).norm, range(8)))
    np.testing.assert_allclose(found, [expected] * 8)
    assert all(part.training for part in model.modules())


GLOBAL = net()


def named_globally(x, target):
    return next(GLOBAL(x) for _ in range(1))
