"""Equal weights, equal digest; other weights, another; and one line where there can be none."""

import collections
import copy
import dataclasses
import enum
import hashlib
import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import attricert as ac
from attricert.runs.code import factory
from attricert.runs.manifest import model_digest

# What torch says of its own tools.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings(
        "ignore:.*(beta state|prototype|quantization|quantized tensor|Sparse invariant|nested tensors|TypedStorage)"
    ),
]
X = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def net(seed=1):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 4)).eval()


def stated(model):
    """The digest as every run before this was given it, for models of dense tensors."""
    whole = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        array = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        whole.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode() + array.tobytes())
    return whole.hexdigest()


class Named(nn.Module):
    """Has submodules with the names that wrappers give to what they wrap."""

    def __init__(self):
        super().__init__()
        self.module, self._orig_mod, self.parametrizations = net(), nn.Linear(2, 2), nn.ModuleDict({"a": net()})


def test_plain_models_keep_their_digests(model):
    for one in (model, net(), Named(), nn.Sequential(), net().double(), net().bfloat16()):
        assert model_digest(one) == stated(one)


def eager(model):
    return torch.compile(model, backend="eager")


def inside(wrap):
    def wrapped():
        model = net()
        model[0] = wrap(model[0])
        return model

    return wrapped


@pytest.mark.parametrize(
    "again",
    [
        lambda: eager(net()),
        inside(eager),
        lambda: nn.DataParallel(net()),
        inside(nn.DataParallel),
        lambda: eager(nn.DataParallel(net())),
        lambda: nn.DataParallel(eager(net())),
        lambda: net().to(memory_format=torch.channels_last),
        lambda: torch.jit.script(net()),
        lambda: torch.jit.trace(net(), X),
        lambda: torch.export.export(net(), (X,)).module(),
        lambda: torch.fx.symbolic_trace(net()),
    ],
)
def test_wrapping_and_layout_leave_no_trace(again):
    assert model_digest(again()) == model_digest(net())


def test_a_module_of_that_name_is_no_wrapper():
    named = Named()
    assert model_digest(eager(named)) == model_digest(nn.DataParallel(named)) == stated(named)
    assert model_digest(named.module) != model_digest(nn.ModuleDict({"module": named.module}))


@pytest.mark.parametrize("way", ["weight_norm", "orthogonal", "spectral_norm"])
@pytest.mark.parametrize("training", [False, True])
def test_of_parametrized_weights_their_values_count(way, training):
    model = net().train(training)
    getattr(parametrizations, way)(model[3])
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    chance = torch.get_rng_state()
    digest = model_digest(model)
    # Nothing has changed: not the mode, not the vectors of the power iteration, not the state of chance.
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(chance, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    plain = copy.deepcopy(model).eval()
    parametrize.remove_parametrizations(plain[3], "weight", leave_parametrized=True)
    assert digest == stated(plain) == model_digest(eager(model))
    with torch.no_grad():
        next(model[3].parametrizations["weight"].parameters())[0] *= -1.5
    assert model_digest(model) != digest


def flipped(model):
    """With one bit of one weight flipped."""
    model[0].weight.data.view(torch.int32)[0, 0, 0, 0] ^= 1
    return model


def swapped(model):
    model[1].weight.data, model[1].bias.data = model[1].bias.data, model[1].weight.data
    return model


@pytest.mark.parametrize("change", [flipped, swapped, lambda m: m[:3], lambda m: m.double()])
def test_other_weights_have_other_digests(change):
    assert model_digest(change(net())) != model_digest(net())
    assert model_digest(eager(change(net()))) != model_digest(eager(net()))


def test_tied_weights():
    tied, apart = (nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)) for _ in range(2))
    tied[1].weight = tied[0].weight
    apart.load_state_dict(tied.state_dict())
    shared = nn.Linear(3, 3)
    twice = nn.Sequential(eager(shared), eager(shared))
    assert model_digest(tied) == model_digest(apart) == stated(tied)
    assert model_digest(twice) == stated(nn.Sequential(shared, shared))


class Times(nn.Module):
    """Multiplies by a constant that is no parameter and no buffer."""

    def __init__(self, k):
        super().__init__()
        self.inner, self.k = nn.Linear(4, 4), torch.full((4,), float(k))
        nn.init.ones_(self.inner.weight)
        nn.init.zeros_(self.inner.bias)

    def forward(self, x):
        return self.inner(x) * self.k


class Recurrent(nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.inner = nn.LSTM(4, 4)


def quantized(model):
    return torch.ao.quantization.quantize_dynamic(model, {nn.Linear, nn.LSTM}, dtype=torch.qint8)


@pytest.mark.parametrize(
    "made",
    [
        lambda k: quantized(net(k)),
        lambda k: quantized(Recurrent(k)),
        lambda k: torch.jit.script(quantized(net(k))),
        lambda k: torch.jit.freeze(torch.jit.script(quantized(net(k)))),
        lambda k: torch.jit.freeze(torch.jit.script(net(k))),
        lambda k: nn.Sequential(torch.jit.freeze(torch.jit.script(net(k)))),
        lambda k: torch.jit.trace(Times(k), torch.ones(2, 4)),
        lambda k: torch.export.export(Times(k), (torch.ones(2, 4),)).module(),
    ],
)
def test_weights_that_no_state_names(made):
    """The counters of what was scripted before differ from one to the next."""
    assert model_digest(made(1)) == model_digest(made(1))
    assert model_digest(made(1)) != model_digest(made(2))


class Buffered(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.register_buffer("value", value)


def per_channel(k):
    return torch.quantize_per_channel(torch.ones(2, 3), torch.tensor([0.1, 0.1 * k]), torch.zeros(2), 0, torch.qint8)


@pytest.mark.parametrize(
    "value",
    [
        lambda k: (torch.eye(4) * k).to_sparse(),
        lambda k: (torch.eye(4) * k).to_sparse_csr(),
        lambda k: (torch.eye(4) * k).to_sparse_csc(),
        lambda k: (torch.eye(4) * k).to_sparse_bsr((2, 2)),
        lambda k: (torch.eye(4) * k).to_sparse_bsc((2, 2)),
        lambda k: (torch.eye(4) * k).to_mkldnn(),
        lambda k: torch.eye(4 + k).to_sparse(),
        lambda k: torch.quantize_per_tensor(torch.ones(3) / k, 0.1 / k, 0, torch.qint8),  # scales alone differ
        per_channel,
        lambda k: torch.ones(3).mul(k).to(torch.float8_e4m3fn),
        lambda k: torch.ones(3, dtype=torch.bfloat16) * k,
        lambda k: torch.full((3,), 1 + k * 1j).conj(),
        lambda k: torch.tensor([1 + k * 1j]).conj().imag,
        lambda k: torch.tensor([True, k == 1]),
        lambda k: torch.empty(0, k),
        lambda k: torch.nested.nested_tensor([torch.ones(2) * k, torch.ones(3)]),
        lambda k: torch.nested.nested_tensor([torch.ones(2) * k, torch.ones(3)], layout=torch.jagged),
    ],
)
def test_tensors_of_every_kind(value):
    assert model_digest(Buffered(value(1))) == model_digest(Buffered(value(1)))
    assert model_digest(Buffered(value(1))) != model_digest(Buffered(value(2)))


def test_sparse_tensors_are_told_by_their_sums():
    twice = torch.sparse_coo_tensor([[0, 0]], [1.0, 2.0], (2,))
    once = torch.sparse_coo_tensor([[0]], [3.0], (2,))
    assert model_digest(Buffered(twice)) == model_digest(Buffered(once))
    assert not twice.is_coalesced()


class Extra(nn.Module):
    def __init__(self, state):
        super().__init__()
        self.state = state

    def get_extra_state(self):
        if isinstance(self.state, Exception):
            raise self.state
        return self.state

    def set_extra_state(self, state):
        self.state = state


class Color(enum.Enum):
    RED = 1
    GREEN = 2


@dataclasses.dataclass
class Pair:
    one: object
    other: object


ITSELF = []
ITSELF.append(ITSELF)


def states():
    yield from (None, True, 1, 1.0, 1.5, "1", b"1", (1,), [1], {1}, frozenset({1}), {1: 2}, {1: 3}, [[1], 2], [[1, 2]])
    yield from ([], ITSELF, io.BytesIO(b"1"), len, Pair, torch.float32, torch.device("cpu"), np.float32(1))
    yield from (np.arange(3), np.arange(3.0), np.arange(3)[:, None], np.array([1, "a"], dtype=object))
    yield from (Color.RED, Color.GREEN, Pair(1, [2]), Pair([2], 1), collections.OrderedDict(a=1), net())
    yield from (torch.ones(2), [torch.ones(2)], {"de": {"ep": torch.ones(2)}}, per_channel(1), torch.eye(2).to_sparse())


def test_extra_states_of_every_kind():
    digests = [model_digest(Extra(state)) for state in states()]
    assert len(set(digests)) == len(digests) > 30
    assert digests == [model_digest(Extra(copy.deepcopy(state))) for state in states()]


def test_order_counts_where_it_means_something():
    one, other = {"a": 1, "b": {3, 2}}, {"b": {2, 3}, "a": 1}
    assert model_digest(Extra(one)) == model_digest(Extra(other))
    assert model_digest(Extra(list(one))) != model_digest(Extra(list(other)))
    columns = np.asfortranarray(np.arange(6).reshape(2, 3))
    assert model_digest(Extra(columns)) == model_digest(Extra(np.ascontiguousarray(columns)))


DEEP = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: nn.Sequential(nn.LazyLinear(3)), "0.bias: is not initialized; give the model an input before"),
        (lambda: Buffered(torch.empty(3, device="meta")), "value: is on the meta device, where it has no values"),
        (lambda: net().to("meta"), "0.bias: is on the meta device, where it has no values"),
        (
            lambda: Extra(lambda: 1),
            "_extra_state: <lambda>.<locals>.<lambda> has no name by which it could be told from others",
        ),
        (lambda: Extra(threading.Lock()), "_extra_state: TypeError: cannot pickle '_thread.lock' object"),
        (lambda: Extra(KeyError("no")), "state_dict: KeyError: 'no'"),
        (lambda: Extra(DEEP), "_extra_state: RecursionError: maximum recursion depth exceeded"),
        (
            lambda: torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.script(net()))),
            "state_dict: are hidden by optimize_for_inference; use the model as it was before",
        ),
    ],
)
def test_one_line_where_none_can_be_taken(made, why):
    with pytest.raises(ac.ArgumentError, match="^model='") as caught:
        model_digest(made())
    assert f"no fingerprint of its weights can be taken ({why}" in str(caught.value)
    assert "\n" not in str(caught.value)


OWN = """
import torch
class Kept:
    def __init__(self, value):
        self.value = value
class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(2, 2)
        torch.nn.init.ones_(self.inner.weight)
        torch.nn.init.ones_(self.inner.bias)
    def forward(self, x):
        return self.inner(x)
    def get_extra_state(self):
        return Kept([1])
    def set_extra_state(self, state):
        pass
def model():
    return Own()
def frozen():
    return torch.jit.freeze(torch.jit.trace(Own().eval(), torch.ones(1, 2)))
"""


@pytest.mark.parametrize("name", ["model", "frozen"])
def test_the_number_that_modules_of_own_code_have_does_not_count(tmp_path, name):
    (tmp_path / "own.py").write_text(OWN)
    first, second = (factory("model", f"{tmp_path}/own.py:{name}")() for _ in range(2))
    assert type(first) is not type(second) or name == "frozen"
    assert model_digest(first) == model_digest(second)


OTHER = """
import warnings
warnings.simplefilter("ignore")
import torch
from torch import nn
from attricert.runs.fingerprint import model_digest
class Extra(nn.Module):
    def get_extra_state(self):
        return {"a", "b", "c", frozenset("xyz")}
def digests(scripted_before):
    for _ in range(scripted_before):
        torch.jit.script(nn.Sequential(nn.ReLU()))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU()).eval()
    return model_digest(Extra()), model_digest(torch.jit.freeze(torch.jit.script(model)))
"""


def test_other_processes_agree():
    """With other hashes of text, and another count of what was scripted."""
    command, here = [sys.executable, "-c", f"{OTHER}\nprint(*digests(0))"], {"__name__": "other"}
    there = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "1"}
    )
    exec(OTHER, here)
    assert there.stdout.split() == list(here["digests"](3))
