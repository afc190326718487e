"""Integrated gradients at random nodes, and random attributions that take their random numbers from the stream."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import attricert as ac
from attricert import attacks, runs
from attricert.attacks.attacked_map import SmoothedMap
from attricert.cli.main import main
from attricert.sampling import BatchSize, Sampler
from attricert.streams import Stream

STREAM = Stream(0, "sample", "main")
NEVER = ac.Clip(1e3)  # no map here is that large


class Quadratic(nn.Module):
    """x.A x / 2 + b.x, whose gradient A x + b integrates in closed form."""

    def __init__(self, d=5):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        square = torch.randn(d, d, generator=generator, dtype=torch.float64)
        self.a, self.b = nn.Parameter(square + square.T), nn.Parameter(square[0].clone())

    def forward(self, x):
        return ((x @ self.a) * x).sum(dim=1) / 2 + x @ self.b

    def smoothed(self, x, baseline, sigma):
        """E (x + a - x') (A (x + a + x') / 2 + b) over Gaussian noise a."""
        a, b = self.a.detach(), self.b.detach()
        return (x - baseline) * ((x + baseline) @ a / 2 + b) + sigma**2 * a.diagonal() / 2


def small_cnn():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)).double().eval()
    for parameter in net.parameters():
        parameter.data *= 7.0  # so that gradients change along the path
    return net


def at_node(g, node):
    """The control: the same node in every draw."""
    return g.at(torch.tensor(node))


X = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


# What is smoothed.


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("n_steps", [1, 3])
def test_the_smoothed_map_of_a_quadratic_model_is_the_closed_form(n_steps, antithetic):
    model, sigma, n = Quadratic().eval(), 0.4, 5_000
    x, baseline = torch.linspace(-1, 1, 5, dtype=torch.float64), torch.full((5,), 0.3, dtype=torch.float64)
    g = ac.StochasticIntegratedGradients(model, baselines=baseline, n_steps=n_steps)
    truth = model.smoothed(x, baseline, sigma)

    def away(attribution):
        """Largest distance of an entry's mean from the truth, in standard errors."""
        s = Sampler(attribution, ac.Gaussian(sigma), NEVER, antithetic=antithetic)
        draws = torch.cat([d.values for d in s.draws(x, None, STREAM, 0, n)])
        return float(((draws.mean(dim=0) - truth) / (draws.std(dim=0) / n**0.5)).abs().max())

    assert away(g) < 4.5  # of 5 entries
    assert away(at_node(g, 0.2)) > 8


def test_it_is_certified_about_the_closed_form():
    model, sigma = Quadratic().eval(), 0.4
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)
    g, truth = ac.StochasticIntegratedGradients(model), model.smoothed(x, 0.0, sigma).numpy()
    smoothed = ac.SmoothedAttribution(g, ac.Gaussian(sigma), ac.Clip(200.0))
    for seed in range(8):
        certificate = smoothed.certify(x[None], n_samples=400, alpha=0.001, seed=seed)
        low, high = certificate.intervals(0.0)
        assert ((low <= truth) & (truth <= high)).all()
        assert certificate.norm[0] <= np.linalg.norm(truth)
    assert certificate.terms.random
    assert certificate.terms.preflight == ("mode", "inputs", "repeat", "rows")


def test_the_smoothed_map_of_a_network_is_that_of_many_nodes():
    model, n, target = small_cnn(), 1_500, torch.tensor(1)
    random = ac.StochasticIntegratedGradients(model)

    def draws(attribution, sample):
        s = Sampler(attribution, ac.Gaussian(0.2), NEVER)
        return torch.cat([d.values for d in s.draws(X[0], target, Stream(0, sample, "main"), 0, n)])

    many = draws(ac.IntegratedGradients(model, n_steps=30), "many")

    def away(attribution):
        """Squared distance of the two means, in terms of what is expected of it."""
        found = draws(attribution, "other")
        expected = (found.var(dim=0).sum() + many.var(dim=0).sum()) / n
        return float((found.mean(dim=0) - many.mean(dim=0)).square().sum() / expected)

    assert away(random) < 2
    assert away(at_node(random, 0.5)) > 6


def test_more_nodes_vary_less():
    def spread(n_steps):
        g = ac.StochasticIntegratedGradients(small_cnn(), n_steps=n_steps)
        maps = torch.stack([g.at(torch.tensor(u))(X, 1) for u in np.linspace(0, 1, 40)])
        return float(maps.var(dim=0).sum())

    assert spread(4) < spread(2) / 2 < spread(1) / 4


def test_called_plainly_it_draws_from_torchs_generator():
    g = ac.StochasticIntegratedGradients(small_cnn())
    torch.manual_seed(7)
    first, second = g(X, 1), g(X, 1)
    torch.manual_seed(7)
    assert torch.equal(g(X, 1), first)
    assert not torch.allclose(first, second)
    torch.manual_seed(7)
    torch.testing.assert_close(g.at(torch.rand(2))(X, 1), first)


def test_one_number_is_that_of_all_inputs():
    g = ac.StochasticIntegratedGradients(small_cnn(), n_steps=2)
    for u in (0, 0.3, 1.0, np.float64(0.7)):
        assert torch.equal(g.at(u)(X, 1), g.at(torch.tensor(float(u), dtype=torch.float64))(X, 1))
    assert not torch.allclose(g.at(0.3)(X, 1), g.at(0.7)(X, 1))


@pytest.mark.parametrize("bad", [-1e-9, 1.01, float("nan"), float("inf")])
def test_numbers_out_of_range_are_refused(bad):
    with pytest.raises(ac.ArgumentError, match="^uniforms=.*: must be a number from 0 to 1, or a tensor of such"):
        ac.StochasticIntegratedGradients(small_cnn()).at(bad)


@pytest.mark.untyped
@pytest.mark.parametrize("bad", ["a", None, True, [0.5], np.array([0.5])])
def test_what_is_no_number_is_refused(bad):
    with pytest.raises(ac.ArgumentError, match="^uniforms=.*: must be a number from 0 to 1, or a tensor of such"):
        ac.StochasticIntegratedGradients(small_cnn()).at(bad)


def test_each_input_has_a_number_and_numbers_of_another_shape_are_refused():
    g = ac.StochasticIntegratedGradients(small_cnn(), n_steps=2)
    both = g.at(torch.tensor([0.1, 0.9]))(X, 1)
    for i, u in enumerate((0.1, 0.9)):
        torch.testing.assert_close(both[i : i + 1], at_node(g, u)(X[i : i + 1], 1))
    with pytest.raises(ac.ArgumentError, match=r"uniforms=\(3,\): must be one an input, of shape \(2,\)"):
        g.at(torch.rand(3))(X, 1)
    with pytest.raises(ac.ArgumentError, match="n_steps=0: must be"):
        ac.StochasticIntegratedGradients(small_cnn(), n_steps=0)


# How random numbers reach an attribution.


@dataclass
class Recorder:
    """An attribution of somebody else's that takes numbers; it keeps what it was given."""

    random = True
    inputs: list = field(default_factory=list)
    uniforms: list = field(default_factory=list)

    def __call__(self, inputs, target):
        return inputs + torch.rand(len(inputs), 1)

    def at(self, uniforms):
        def g(inputs, target):
            self.inputs.append(inputs)
            self.uniforms.append(uniforms)
            return inputs + uniforms.reshape(-1, 1)

        return g

    @property
    def seen(self):
        return torch.cat(self.inputs), torch.cat(self.uniforms)


def drawn(recorder, n, *, batch=None, antithetic=False, start=0):
    s = Sampler(recorder, ac.Gaussian(0.5), NEVER, antithetic=antithetic, batch=BatchSize(batch))
    return torch.cat([d.rows for d in s.draws(torch.zeros(6), None, STREAM, start, n)])


@pytest.mark.parametrize("antithetic", [False, True])
def test_draws_depend_neither_on_the_batch_size_nor_on_where_they_were_resumed(antithetic):
    whole = drawn(Recorder(), 100, batch=1000, antithetic=antithetic)
    for batch in (1, 7, 64):
        assert torch.equal(drawn(Recorder(), 100, batch=batch, antithetic=antithetic), whole)
    parts = [drawn(Recorder(), 41, antithetic=antithetic), drawn(Recorder(), 100, start=41, antithetic=antithetic)]
    assert torch.equal(torch.cat(parts), whole)


def test_rows_come_together_with_numbers_beside_the_noise():
    recorder, plain = Recorder(), []
    drawn(recorder, 3000, batch=1000)
    drawn(lambda x, t: plain.append(x) or x, 3000, batch=1000)
    inputs, uniforms = recorder.seen
    assert len(recorder.inputs) == 3
    assert torch.equal(inputs, torch.cat(plain))  # the noise is as it would be without
    assert stats.kstest(uniforms.numpy(), "uniform").pvalue > 1e-3
    ranks = [stats.spearmanr(uniforms, column).pvalue for column in (*inputs.T, inputs.norm(dim=1))]
    assert min(ranks) > 1e-3
    assert abs(np.corrcoef(uniforms[:-1], uniforms[1:])[0, 1]) < 0.07
    assert len(set(uniforms.tolist())) > 2990


def test_the_two_of_a_pair_lie_in_both_halves():
    recorder = Recorder()
    drawn(recorder, 500, batch=33, antithetic=True)
    first, second = recorder.seen[1].reshape(-1, 2).T
    torch.testing.assert_close((second - first).abs(), torch.full((500,), 0.5), atol=1e-6, rtol=0)
    assert ((first < 0.5) ^ (second < 0.5)).all()


def certify(attribution, **settings):
    smoothed = ac.SmoothedAttribution(attribution, ac.Gaussian(0.25), NEVER, **settings)
    return smoothed.certify(torch.rand(2, 6, generator=torch.Generator().manual_seed(0)), n_samples=120, prove=[])


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (lambda u: lambda x, t: x + torch.rand_like(x), "gives different maps of equal inputs"),
        (lambda u: lambda x, t: x / x.abs().max(), "beside other inputs than alone"),
    ],
    ids=["random", "mixed"],
)
def test_what_is_random_or_mixes_rows_all_the_same_is_refused(at, message):
    recorder = Recorder()
    assert certify(recorder).terms.random
    recorder.at = at
    with pytest.raises(ac.ArgumentError, match=message):
        certify(recorder)


def test_an_error_in_at_is_told_in_one_line():
    recorder = Recorder()
    recorder.at = lambda u: 1 / 0
    with pytest.raises(ac.CallError, match="attribution Recorder failed"):
        certify(recorder)


def test_the_doctor_looks_at_it_as_at_others():
    g = ac.StochasticIntegratedGradients(small_cnn())
    told = {finding.name: finding for finding in ac.doctor(g, X, 1).findings}
    assert (told["repeats"].status, told["repeats"].seen) == ("ok", "declared random")
    assert told["rows"].status == "ok"


# Attacks.


def test_with_noise_and_nodes_fixed_the_derivative_is_that_of_finite_differences():
    g, weights = ac.StochasticIntegratedGradients(small_cnn(), n_steps=2), torch.ones(1, 36, dtype=torch.float64)
    smoothed, target, x = SmoothedMap(g, ac.Gaussian(0.2), NEVER), torch.tensor([1]), X[:1]
    fixed = smoothed.with_fixed_noise(X[0], Stream(0, "x", "vjp"), 300, "autograd")
    assert torch.equal(fixed.maps(x, target), fixed.maps(x, target))
    slope, t = fixed.vjp(x, target, weights, 1e3), 1e-5
    for i in (0, 14, 35):
        step = torch.zeros(36, dtype=torch.float64)
        step[i] = t
        ahead, behind = (fixed.maps(x + s * step.reshape(1, 1, 6, 6), target).sum() for s in (1, -1))
        assert float(slope.flatten()[i]) == pytest.approx(float(ahead - behind) / (2 * t), rel=1e-4, abs=1e-6)


def test_attacks_do_not_break_its_certificates():
    g, eps = ac.StochasticIntegratedGradients(small_cnn()), 0.1
    smoothed = ac.SmoothedAttribution(g, ac.Gaussian(0.4))
    target = torch.tensor([0, 1])
    certified = smoothed.certify(X, target, n_samples=1500, seed=0, prove=["cone"]).cosine(eps)
    assert (certified > 0.2).all()
    for attack in (attacks.PGD(steps=4, restarts=1, step=0.5), attacks.Linear(directions=1, rounds=1)):
        found = attack.run(smoothed, X, target, eps=eps, keep_label=False, data_range=None, seed=0, n_samples=500)
        assert (found.cosine.numpy() + 6 * found.cosine_error.numpy() >= certified).all()
        assert (found.cosine < 1 - 1e-4).all()  # they do find something


# Runs and the command.


def test_what_the_command_certifies_is_what_shards_make(tmp_path, capsys):
    word, whole = "stochastic-integrated-gradients", tmp_path / "whole"
    command = ["certify", "--model", "mnist-standard", "--data", "mnist:sample[0:2]", "--attribution", word]
    own = ["--n_steps", "2", "--noise", "gaussian", "--sigma", "0.0635", "--prove", "top_variance", "--seed", "1"]
    assert main([*command, *own, "--n_samples", "100", "--out", str(whole)]) == 0
    capsys.readouterr()
    config = runs.Config(
        "mnist-standard",
        "mnist:sample[0:2]",
        attribution=word,
        noise="gaussian",
        parameters={"sigma": 0.0635, "n_steps": 2},
        n_samples=100,
        seed=1,
        prove=("top_variance",),
    )
    for i in range(2):
        runs.certify(config, tmp_path / f"part{i}", shard=runs.Shard(i, 2))
    merged = runs.Store.open(tmp_path / "part0")
    runs.merge(merged, [tmp_path / "part1"])
    one, other = runs.load(whole), runs.load(merged.folder)
    np.testing.assert_array_equal(one.maps, other.maps)
    np.testing.assert_array_equal(one.norm, other.norm)
    assert one.terms.random


@pytest.mark.parametrize("mixed", [lambda u: u.mean(), lambda u: u.roll(1)])
def test_rows_that_are_mixed_by_their_uniforms_are_found(mixed):
    class Mixing:
        random = True

        def at(self, uniforms):
            u = mixed(uniforms)
            return lambda inputs, target: inputs * (u.reshape(-1, 1, 1, 1) - 0.5) + 0.05

        def __call__(self, inputs, target):
            return self.at(torch.rand(len(inputs)))(inputs, target)

    smoothed = ac.SmoothedAttribution(Mixing(), ac.Gaussian(0.1), ac.Clip(5.0))
    with pytest.raises(ac.ArgumentError, match="beside other inputs than alone"):
        smoothed.certify(torch.rand(1, 1, 6, 6), None, n_samples=200, seed=0)
