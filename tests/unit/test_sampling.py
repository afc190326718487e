import pytest
import torch

import attricert as ac
from attricert.errors import CallError
from attricert.sampling import BatchSize, Sampler
from attricert.streams import Stream

STREAM = Stream(0, "sample", "main")


def sampler(g=lambda x, t: x, batch=None, **settings):
    return Sampler(g, ac.Gaussian(0.5), ac.Normalize(), batch=BatchSize(batch), **settings)


def values(s, x, start, stop):
    return torch.cat([draws.values for draws in s.draws(x, None, STREAM, start, stop)])


@pytest.mark.parametrize("batch", [1, 7, 16, 33, 1000])
@pytest.mark.parametrize("antithetic", [False, True])
def test_draws_do_not_depend_on_the_batch_size(batch, antithetic):
    x = torch.rand(2, 5)
    reference = values(sampler(batch=64, antithetic=antithetic), x, 0, 100)
    assert torch.equal(values(sampler(batch=batch, antithetic=antithetic), x, 0, 100), reference)
    assert reference.shape == (100, 10)


def test_a_stream_can_be_resumed_anywhere():
    x, s = torch.rand(6), sampler()
    whole = values(s, x, 0, 90)
    assert torch.equal(torch.cat([values(s, x, 0, 41), values(s, x, 41, 90)]), whole)


def test_the_real_model_gives_the_same_map_at_two_batch_sizes(model, digits):
    maps = [
        ac.SmoothedAttribution(ac.Saliency(model), ac.UniformBall(3.5), batch_size=size).attribute(
            digits.images[:2], digits.labels[:2], n_samples=200, seed=1
        )
        for size in (13, 200)
    ]
    assert torch.allclose(maps[0], maps[1], atol=1e-6, rtol=0)


def test_an_antithetic_pair_is_one_draw():
    def g(x, t):
        return torch.stack([x[:, 0], torch.ones(len(x))], dim=1)

    s = Sampler(g, ac.Gaussian(1.0), ac.Clip(1e6), antithetic=True, batch=BatchSize(10))
    draws = list(s.draws(torch.tensor([2.0, 0.0]), None, STREAM, 0, 20))
    assert sum(d.calls for d in draws) == 40
    assert torch.allclose(torch.cat([d.values for d in draws]), torch.tensor([[2.0, 1.0]], dtype=torch.float64))


def test_out_of_memory_halves_the_batch_and_loses_nothing():
    sizes = []

    def hungry(x, t):
        sizes.append(len(x))
        if len(x) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x

    x = torch.rand(6)
    s = sampler(hungry, batch=64)
    assert torch.equal(values(s, x, 0, 100), values(sampler(), x, 0, 100))
    assert sizes[:3] == [64, 32, 16]
    assert max(sizes[3:]) == 16


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_out_of_memory_at_one_draw_is_an_error(error):
    def hopeless(x, t):
        raise error

    with pytest.raises(type(error)):
        values(sampler(hopeless, batch=4), torch.rand(3), 0, 10)


def test_other_errors_are_told_of_whose_they_are():
    def broken(x, t):
        raise RuntimeError("boom")

    with pytest.raises(CallError, match="^attribution broken failed on .*: RuntimeError: boom$") as caught:
        values(sampler(broken, batch=4), torch.rand(3), 0, 10)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_the_batch_fits_the_memory_budget(model, digits):
    sizes = []

    def g(x, t):
        sizes.append(len(x))
        return ac.Saliency(model)(x, t)

    def largest(budget):
        sizes.clear()
        s = Sampler(g, ac.Gaussian(0.1), ac.Normalize(), batch=BatchSize(memory_budget=budget))
        list(s.draws(digits.images[0], digits.labels[0], STREAM, 0, 600))
        return max(sizes)

    assert largest(2**23) < largest(2**26) <= 256
    assert largest(1) == 2  # the probe's own two; then one at a time


def test_zero_and_nonfinite_attributions_are_counted():
    def g(x, t):
        out = x.clone()
        out[0::4] = 0
        out[1::4] = float("nan")
        return out

    s = Sampler(g, ac.Gaussian(1.0), ac.Normalize(), batch=BatchSize(40))
    (draws,) = s.draws(torch.rand(3), None, STREAM, 0, 40)
    assert (int((draws.norms == 0).sum()), draws.nonfinite) == (10, 10)
    assert torch.isfinite(draws.values).all()
    assert (draws.values.norm(dim=1) > 0.5).sum() == 20


def test_attributions_too_small_to_normalize_count_as_zero():
    s = Sampler(lambda x, t: 1e-150 * x, ac.Gaussian(1.0), ac.Normalize(), batch=BatchSize(40))
    (draws,) = s.draws(torch.rand(3, dtype=torch.float64), None, STREAM, 0, 40)
    assert (int((draws.norms == 0).sum()), draws.nonfinite) == (40, 0)


def test_a_broken_promise_of_nonnegativity_is_found():
    assert values(sampler(ac.wrap(lambda x, t: x.abs(), nonnegative=True)), torch.rand(3), 0, 10).min() >= 0
    with pytest.raises(ac.ArgumentError, match="nonnegative=True: the attribution returned -"):
        values(sampler(ac.wrap(lambda x, t: x - 1, nonnegative=True)), torch.rand(3), 0, 10)


def test_attributions_of_another_shape_are_refused():
    with pytest.raises(ac.ArgumentError, match=r"attribution=\(2,\): must return maps of one shape, here \(3,\)"):
        values(sampler(lambda x, t: x[:, :2], batch=8), torch.rand(3), 0, 10)
