"""How often an accelerator would be waited for: at most once a chunk of draws, however many batches that has.

Counted by the operations that give a tensor's value to Python; on the CPU one more asks whether all maps are usable.
"""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import attricert as ac
from attricert.proving import spread
from attricert.proving.pilot import Source
from attricert.sampling import Centered, ahead

WAITING = {"aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal", "aten::nonzero", "aten::masked_select"}
CHUNK = 8 * 16


class Waits(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count["waits"] += function._schema.name in WAITING
        self.count["batches"] += function._schema.name == "aten::convolution"
        return function(*args, **(kwargs or {}))


@pytest.fixture
def fetched(monkeypatch):
    """How many chunks were brought to the host."""
    count, of = Counter(), Centered.of

    def counted(*arguments):
        count["chunks"] += 1
        return of(*arguments)

    monkeypatch.setattr(Centered, "of", counted)
    return count


def seen(n, fetched, prove):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 3)).eval()
    smoothed = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.1), batch_size=16)
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    fetched.clear()
    with Waits() as waits:
        smoothed.certify(x, int(model(x).argmax()), n_samples=n, seed=0, prove=prove)
    return waits.count, fetched["chunks"]


@pytest.mark.parametrize("prove", [(), None])
def test_a_chunk_is_waited_for_once(fetched, prove):
    # Targets are looked at in each batch of a first chunk, which is a full one of both pilots and streams.
    (few, chunks), (many, more) = (seen(n, fetched, prove) for n in (40 * CHUNK, 60 * CHUNK))
    further = more - chunks
    assert further >= 18
    assert many["batches"] - few["batches"] >= 8 * 18
    # What is seen here is the CPU's question; an accelerator is waited for by `Centered` alone. The pilot has two more
    # levels of masses at the most.
    assert many["waits"] - few["waits"] <= further + 3


def test_the_next_chunk_is_asked_for_before_one_is_looked_at():
    asked = []

    def chunks(n):
        for i in range(n):
            asked.append(i)
            yield i

    found = ahead(chunks(3))
    assert asked == []
    assert next(found) == 0
    assert asked == [0, 1]
    assert list(found) == [1, 2]
    assert [list(ahead(chunks(n))) for n in (0, 1)] == [[], [0]]


@pytest.mark.parametrize("prove", [(), ("top_variance", "cone", "entries", "prediction")])
def test_looking_ahead_changes_nothing(monkeypatch, prove):
    """As on a GPU; chunks of a few rows, and second moments in chunks."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3), torch.nn.Tanh()).eval()
    x = torch.rand(1, 1, 6, 8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(spread, "_EXACT_UP_TO", 10)
    monkeypatch.setattr(spread, "_CHUNK", 70)
    smoothed = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.3), batch_size=16)

    def certified():
        found = smoothed.certify(x, int(model(x).argmax()), n_samples=2_000, seed=0, prove=prove)
        numbers = [found.cosine([0.01, 0.05]), found.norm, found.max_eps(0.9), found.evidence.maps.mean]
        return [value.tolist() for value in numbers]

    plain = certified()
    about = Source.about
    monkeypatch.setattr(Source, "about", lambda self, *arguments: ahead(about(self, *arguments)))
    assert certified() == plain
