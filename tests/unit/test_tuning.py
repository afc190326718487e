"""Which way of computing is fastest: of clocks that the test sets, not of this machine's."""

import dataclasses
import types

import pytest
import torch
from torch import nn

import attricert as ac
from attricert.diagnosis import tuning

X = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(144, 5)).eval()


@pytest.fixture
def costs(monkeypatch):
    """What a batch and a draw take, in seconds, in each way; each call that is timed takes that long."""
    clock, made = [0.0], []
    price = {"batch": 0.05, "draw": 0.01, "last": 0.5, "thread": 1.0}

    def seconds(self, sampler, draws):
        made.append((sampler.channels_last, sampler.batch.size, torch.get_num_threads()))
        took = draws * price["draw"] + draws / sampler.batch.size * price["batch"]
        took *= price["last"] if sampler.channels_last else 1.0
        took *= price["thread"] if sampler.compute.threads == 1 else 1.0
        clock[0] += took
        return took

    monkeypatch.setattr(tuning._Timed, "_seconds", seconds)
    monkeypatch.setattr(tuning, "time", types.SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(tuning, "processors", lambda: 2)
    price["made"] = made
    return price


def tuned(model, **settings):
    return ac.tune(ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.2), batch_size=8, **settings), X, 1)


def test_the_fastest_way_is_chosen_and_told_by_its_rate(model, costs):
    found = tuned(model)
    assert found.batch_size == 32  # a batch has a price of its own
    assert found.compute.channels_last is None  # as it was: channels came last
    assert found.gain == pytest.approx((0.01 + 0.05 / 8) / (0.01 + 0.05 / 32))
    first = next(rate for rate in found.rates if rate.compute.channels_last is False)
    assert first.draws_a_second / found.rates[0].draws_a_second == pytest.approx(0.5)
    text = str(found)
    assert "0.50 x  batches of 8, channels first (spread 0%)" in text
    assert text.splitlines()[-2].startswith("to choose: Compute(")


def test_what_is_not_clearly_faster_changes_nothing(model, costs):
    costs.update(batch=0.0, last=0.99)
    found = tuned(model)
    assert (found.compute, found.batch_size, found.gain) == (ac.Compute(), 8, 1.0)
    costs.update(last=2.0)
    assert tuned(model).compute == ac.Compute(channels_last=False)
    costs.update(last=0.5)
    assert tuned(model, compute=ac.Compute(channels_last=False)).compute == ac.Compute()


@pytest.mark.parametrize(("alone", "workers", "gain"), [(1.0, 2, 2.0), (1.5, 2, 2 / 1.5), (2.0, 1, 1.0)])
def test_processes_of_one_thread_pay_where_threads_gain_little(model, costs, alone, workers, gain):
    costs["thread"] = alone
    found = tuned(model, compute=ac.Compute(threads=2))
    assert found.workers == workers
    assert found.workers_gain == pytest.approx(gain)


def test_ways_are_timed_in_turn(model, costs):
    tuned(model)
    first = [last for last, size, _ in costs["made"] if size == 8]
    assert first[2:6] == [True, False, True, False]


def test_batches_keep_to_the_memory_budget(model, costs):
    sampler = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.2))._sampler().settled(X[0], torch.tensor(1))
    a_draw = sampler.bytes_per_draw(X[0], torch.tensor(1), tuning._STREAM)
    found = tuned(model, memory_budget=20 * a_draw)
    assert found.batch_size == 20
    assert max(rate.batch_size for rate in found.rates) == 20


def test_a_batch_that_did_not_fit_is_told_by_what_was_measured(model, costs, monkeypatch):
    measured = tuning._Timed._seconds

    def tight(self, sampler, draws):
        while sampler.batch.size > 16:
            sampler.batch.halve()  # as on lack of memory
        return measured(self, sampler, draws)

    monkeypatch.setattr(tuning._Timed, "_seconds", tight)
    assert tuned(model).batch_size == 16


def test_what_is_faster_by_chance_is_not_chosen(model, costs, monkeypatch):
    """By the median, but not in four of five rounds."""
    seconds, calls = tuning._Timed._seconds, [0]

    def noisy(self, sampler, draws):
        calls[0] += 1
        swing = 3.0 if not sampler.channels_last and (calls[0] // 2) % 2 else 0.5
        return seconds(self, sampler, draws) * (1.0 if sampler.channels_last else swing)

    costs.update(batch=0.0, last=1.0)
    monkeypatch.setattr(tuning._Timed, "_seconds", noisy)
    found = tuned(model)
    assert found.gain == 1.0
    assert any(0 < rate.faster < 0.8 for rate in found.rates)


def test_channels_last_is_tried_where_it_is_not_the_rule(costs):
    """No convolution on a CPU, or a GPU: the present way is the plain one."""
    plain = nn.Sequential(nn.Flatten(), nn.Linear(192, 5)).eval()
    assert tuned(plain).compute == ac.Compute(channels_last=True)
    flat = ac.SmoothedAttribution(ac.Saliency(plain), ac.Gaussian(0.2), batch_size=8)
    assert all(rate.compute.channels_last is None for rate in ac.tune(flat, X.flatten(1), 1).rates)


def test_compiling_is_tried_only_where_it_is_asked_for(model, costs, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda model, **_: asked.append(model) or model)
    tuned(model)
    assert not asked
    found = ac.tune(ac.Saliency(model), X, 1, compile=True)
    assert asked
    assert any(rate.compute.compile for rate in found.rates)
    monkeypatch.setattr(torch, "compile", lambda model, **_: (_ for _ in ()).throw(RuntimeError("no compiler")))
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5)).eval()
    with pytest.warns(ac.errors.ComputeWarning, match="cannot be compiled here"):
        failed = ac.tune(ac.Saliency(other), X, 1, compile=True)
    assert not any(rate.compute.compile for rate in failed.rates)  # it would be the plain model again


def test_real_draws_are_timed_and_nothing_else_is_changed(model):
    before, smoothed = torch.get_num_threads(), ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.2))
    found = ac.tune(smoothed, X, 1, seconds=0.1)
    assert torch.get_num_threads() == before
    assert all(rate.draws_a_second > 0 for rate in found.rates)
    chosen = dataclasses.replace(smoothed, compute=found.compute, batch_size=found.batch_size)
    one, other = (which.attribute(X, 1, n_samples=50, seed=3) for which in (smoothed, chosen))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_bad_arguments(model):
    with pytest.raises(ac.ArgumentError, match="seconds"):
        ac.tune(ac.Saliency(model), X, 1, seconds=0.0)
    with pytest.raises(ac.ArgumentError, match="compile"):
        ac.tune(ac.Saliency(model), X, 1, compile=None)


def test_the_doctor_tells(model):
    found = ac.doctor(ac.Saliency(model), X, 1)["speed"]
    assert found.status == "ok"
    assert found.seen.startswith("channels last in memory: ")
    assert "channels first" in found.seen


def test_what_takes_one_input_at_a_time_is_timed_so(model):
    def single(x, target):
        if len(x) > 1:
            raise RuntimeError("one at a time")
        return ac.Saliency(model)(x, target)

    smoothed = ac.SmoothedAttribution(ac.wrap(single), ac.Gaussian(0.2), batch_size=1)
    assert ac.tune(smoothed, X, 1, seconds=0.1).rates[0].batch_size == 1
