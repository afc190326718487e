"""The order of channels in memory: what is certified does not depend on it, and models that refuse it go without."""

import pytest
import torch
from torch import nn

import attricert as ac
from attricert.sampling import Sampler

X = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
TARGET = torch.tensor(1)


class Seen(nn.Module):
    """Notes how its inputs lie in memory."""

    def __init__(self, head):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head, self.last = nn.Conv2d(2, 4, 3, padding=1), head, nn.Linear(256, 3)
        self.seen = []

    def forward(self, x):
        self.seen.append(x.is_contiguous(memory_format=torch.channels_last))
        return self.last(self.head(self.body(x).relu()))


def refused(x):
    return x.view(len(x), -1)  # as strides of another order have no such view


def settled(model):
    return Sampler(ac.Saliency(model), ac.Gaussian(0.1), ac.Normalize()).settled(X, TARGET)


@pytest.mark.parametrize(("head", "last"), [(nn.Flatten(), True), (refused, False)])
def test_copies_have_channels_last_where_the_model_takes_that(head, last):
    model = Seen(head).eval()
    assert settled(model).channels_last is last
    model.seen.clear()
    ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.1)).attribute(X[None], 1, n_samples=64, seed=0)
    assert (sum(model.seen) > 2) is last  # one try, and the preflight's calls lie as they come


def test_maps_are_the_same_in_either_order():
    smooth = [
        ac.SmoothedAttribution(ac.Saliency(Seen(head).eval()), ac.Gaussian(0.1)).attribute(
            X[None], 1, n_samples=200, seed=0
        )
        for head in (nn.Flatten(), refused)
    ]
    assert torch.allclose(*smooth, atol=1e-6)
    assert smooth[0].norm() > 0.1


def test_a_single_channel_has_strides_of_that_order_too():
    x = X[:1]
    seen = []

    def forward(x):
        seen.append(x.stride())
        return model(x)

    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 3)).eval()
    attribution = ac.wrap(lambda inputs, target: forward(inputs).sum(1)[:, None, None, None] * inputs)
    smoothed = ac.SmoothedAttribution(attribution, ac.Gaussian(0.1))
    smoothed.attribute(x[None], n_samples=10, seed=0)
    assert (64, 1, 8, 1) in seen


@pytest.mark.parametrize("model", [nn.Sequential(nn.Flatten(), nn.Linear(128, 3)), nn.Conv2d(2, 3, 8)])
def test_only_convolutions_ask_for_it(model):
    whole = nn.Sequential(model, nn.Flatten()).eval()
    assert settled(whole).channels_last is isinstance(model, nn.Conv2d)


class ByMemory(nn.Module):
    """Reads memory as it lies, which is wrong."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 8)

    def forward(self, x):
        return self.conv(x.as_strided(x.shape, (128, 64, 8, 1)) ** 2).flatten(1)


class Viewed(nn.Module):
    """Of one copy the first view can be had in either order, of two it cannot."""

    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(2, 4, 3, stride=2), nn.Linear(36, 3)

    def forward(self, x):
        return self.last(self.conv(x.view(-1, 2, 8, 8)).view(len(x), -1))


def test_other_maps_in_that_order_are_no_reason_to_take_it():
    assert settled(ByMemory().eval()).channels_last is False


@pytest.mark.parametrize("model", [ByMemory, Viewed])
def test_what_is_asked_for_and_would_be_wrong_is_refused(model):
    smoothed = ac.SmoothedAttribution(
        ac.Saliency(model().eval()), ac.Gaussian(0.1), compute=ac.Compute(channels_last=True)
    )
    with pytest.raises(ac.ArgumentError, match="channels_last=True: must be left out"):
        smoothed.attribute(X[None], 1, n_samples=10, seed=0)


def test_views_that_a_batch_refuses_are_found_before_the_draws():
    smoothed = ac.SmoothedAttribution(ac.Saliency(Viewed().eval()), ac.Gaussian(0.1))
    assert smoothed.attribute(X[None], 1, n_samples=10, seed=0).shape == (1, 2, 8, 8)
