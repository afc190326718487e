"""How draws are computed: memory format, compiled models, threads; results do not depend on it."""

import dataclasses
import functools
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import attricert as ac
from attricert.errors import ComputeWarning
from attricert.runs import Config
from attricert.runs.loaded import LoadedConfig
from attricert.sampling import BatchSize, Sampler, compiling

X = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
REAL = torch.compile


def network():
    torch.manual_seed(1)
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(144, 5))
    return body.eval()


MODEL = network()


class Recorder(nn.Module):
    """Notes the shapes and strides that it is given, and the threads that there are."""

    def __init__(self):
        super().__init__()
        self.body, self.seen, self.threads = network(), [], set()

    def forward(self, x):
        self.seen.append((len(x), x.stride(1)))
        self.threads.add(torch.get_num_threads())
        return self.body(x)


class Viewing(nn.Module):
    """Refuses channels last."""

    def __init__(self):
        super().__init__()
        self.conv, self.line = nn.Conv2d(3, 4, 3), nn.Linear(192, 5)

    def forward(self, x):
        return self.line(x.view(len(x), -1)) + self.conv(x).mean()


def certificate(attribution, batch_size=64, **settings):
    compute = ac.Compute(**settings)
    smoothed = ac.SmoothedAttribution(attribution, ac.Gaussian(0.2), batch_size=batch_size, compute=compute)
    return smoothed.certify_with(ac.Options(n_samples=300, seed=4), X, 1)


@pytest.fixture(scope="module")
def plain():
    return certificate(ac.Saliency(MODEL), channels_last=False)


@pytest.fixture
def traced(monkeypatch):
    """Torch's compiler without its slow last step; counts what is compiled."""
    made = []

    def backend(graph, _):
        made.append(graph)
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(REAL, backend=backend))
    monkeypatch.setattr(compiling, "_failed", type(compiling._failed)())
    yield made
    torch._dynamo.reset()


def assert_same(one, other):
    assert one.terms == other.terms
    np.testing.assert_allclose(one.norm, other.norm, rtol=1e-5)
    np.testing.assert_allclose(one.maps, other.maps, atol=1e-6)


@pytest.mark.parametrize(("asked", "last"), [(None, True), (True, True), (False, False)])
def test_channels_come_last_where_that_is_asked_for_or_of_use(plain, asked, last):
    model = Recorder().eval()
    assert_same(certificate(ac.Saliency(model), channels_last=asked), plain)
    assert {stride == 1 for n, stride in model.seen if n == 64} == {last}


def test_what_refuses_channels_last_is_given_copies_as_they_come():
    model = Viewing().eval()
    sampler = ac.SmoothedAttribution(ac.Saliency(network()), ac.Gaussian(0.2), classifier=model)._sampler(model)
    assert not sampler.settled(X[0], torch.tensor(1)).channels_last
    assert dataclasses.replace(sampler, classifier=None).settled(X[0], torch.tensor(1)).channels_last
    assert ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.2)).attribute(X, 1, n_samples=10).shape == X.shape


def test_what_can_not_be_is_refused():
    line, compute = ac.Saliency(nn.Linear(4, 2).eval()), ac.Compute(channels_last=True)
    smoothed = ac.SmoothedAttribution(line, ac.Gaussian(1.0), compute=compute)
    with pytest.raises(ac.ArgumentError, match=r"channels_last=True: goes with inputs of shape \(channels, rows"):
        smoothed.attribute(torch.ones(1, 4), 1, n_samples=10)
    for name, value in (("channels_last", 1), ("compile", None), ("threads", 0)):
        with pytest.raises(ac.ArgumentError, match=f"{name}={value}"):
            ac.Compute(**{name: value})
    with pytest.raises(ac.ArgumentError, match="must be a Compute"):
        ac.SmoothedAttribution(ac.Saliency(MODEL), ac.Gaussian(1.0), compute="fast")


def test_threads_are_set_while_draws_are_made_and_restored():
    before, model = torch.get_num_threads(), Recorder().eval()
    compute = ac.Compute(threads=before + 1)
    ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.2), compute=compute).attribute(X[:1], 1, n_samples=4)
    assert model.threads == {before + 1}
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="in between"), compute.in_threads():
        raise ValueError("in between")
    assert torch.get_num_threads() == before


def test_a_compiled_model_gives_the_same_and_is_compiled_once(plain, traced):
    for _ in range(2):  # 300 draws are no multiple of 64, and pilot and main have other remainders
        assert_same(certificate(ac.Saliency(MODEL), compile=True), plain)
    assert len(traced) == 1
    certificate(ac.Saliency(network()), batch_size=32, compile=True)
    assert len(traced) == 2  # the control: another model, another size


def test_the_classifier_is_the_compiled_model_where_scores_come_with_maps(traced):
    def settled(attribution):
        compute = ac.Compute(compile=True)
        sampler = Sampler(
            attribution, ac.Gaussian(0.2), ac.Normalize(), classifier=MODEL, batch=BatchSize(8), compute=compute
        )
        return sampler.settled(X[0], torch.tensor(1))

    both, apart = settled(ac.Saliency(MODEL)), settled(ac.IntegratedGradients(MODEL, n_steps=2))
    assert both.classifier is both.attribution.model is not MODEL
    assert apart.classifier is MODEL is not apart.attribution.model


def test_whatever_cannot_be_compiled_goes_on_as_it_is_after_one_warning(plain, traced, monkeypatch):
    def failing(*_, **__):
        raise AssertionError("no compiler")

    monkeypatch.setattr(torch, "compile", functools.partial(REAL, backend=failing))
    with pytest.warns(ComputeWarning, match=r"Sequential cannot be compiled here, .* as it is \(.*no compiler"):
        assert_same(certificate(ac.Saliency(MODEL), compile=True), plain)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(certificate(ac.Saliency(MODEL), compile=True), plain)


def test_a_compiled_model_that_gives_other_maps_is_not_used(plain, traced, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model, **_: nn.Sequential(model, nn.Tanh()).eval())
    with pytest.warns(ComputeWarning, match="other maps"):
        assert_same(certificate(ac.Saliency(MODEL), compile=True), plain)


def test_attributions_without_a_model_of_their_own_are_not_compiled(plain, traced):
    wrapped = ac.wrap(lambda x, t: ac.Saliency(MODEL)(x, t))
    np.testing.assert_allclose(certificate(wrapped, compile=True).norm, plain.norm, rtol=1e-5)
    assert not traced


def test_runs_take_them_as_settings():
    what = {
        "model": "mnist-standard",
        "data": "mnist:sample[0:1]",
        "sigma": 0.2,
        "channels_last": False,
        "compile": True,
    }
    compute = LoadedConfig.load(Config.of(what)).smoothed().compute
    assert compute == ac.Compute(channels_last=False, compile=True)
    with pytest.raises(ac.ArgumentError, match="channels_last"):
        Config.of({**what, "channels_last": "yes"})


def test_scripted_models_are_used_as_they_are():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch's own
        net = torch.jit.script(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)).eval())
    smoothed = ac.SmoothedAttribution(ac.InputXGradient(net), ac.Gaussian(0.1), compute=ac.Compute(compile=True))
    with pytest.warns(ac.ComputeWarning, match="cannot be compiled here"):
        smoothed.attribute(torch.ones(1, 3, 4), 0, n_samples=10, seed=0)
