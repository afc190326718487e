"""Models, outputs, attributions, dtypes, shapes, arguments at random: it works, or one line says why not.

    PYTHONPATH=tests python tests/fuzz/kinds.py [combinations] [seed]

A fault is any exception that is not the library's own, an error of more than one line or without the argument's name,
a result that is not finite, and anything of the caller's that is not as it was.
"""

import collections
import dataclasses
import itertools
import random
import sys
import time
import warnings

import captum.attr
import numpy as np
import torch
from torch import nn
from torch.nn import functional

import attricert as ac
from attricert import attacks

NOISE = ac.Gaussian(0.25)
Pair = collections.namedtuple("Pair", "logits aux")


@dataclasses.dataclass
class Output:
    logits: object


class Holder:
    def __init__(self, logits):
        self.logits = logits


class Model(nn.Module):
    """A body for inputs of one shape, and what becomes of its scores."""

    def __init__(self, shape, classes, form, kind):
        super().__init__()
        torch.manual_seed(1)
        image = len(shape) == 3 and shape[1] > 2
        first = [nn.Conv2d(shape[0], 2, 3), *KINDS[kind](2)] if image else []
        size = 2 * (shape[1] - 2) * (shape[2] - 2) if image else int(np.prod(shape))
        self.body = nn.Sequential(*first, nn.Flatten(), nn.Linear(size, classes))
        self.form = form

    def forward(self, x):
        return self.form(self.body(x))


KINDS = {
    "tanh": lambda c: [nn.Tanh()],
    "relu": lambda c: [nn.ReLU(inplace=True)],
    "norm": lambda c: [nn.BatchNorm2d(c)],
    "batch statistics": lambda c: [nn.BatchNorm2d(c, track_running_stats=False)],
    "dropout": lambda c: [nn.Dropout(0.5)],
    "lazy": lambda c: [nn.LazyBatchNorm2d()],
    "group": lambda c: [nn.GroupNorm(1, c), nn.GELU()],
}

FORMS = {
    "scores": lambda o: o,
    "dict": lambda o: {"logits": o},
    "dict of two": lambda o: {"a": o, "b": o},
    "tuple": lambda o: (o, 2 * o),
    "list": lambda o: [o],
    "empty tuple": lambda o: (),
    "named tuple": lambda o: Pair(o, o),
    "dataclass": Output,
    "object": Holder,
    "none": lambda o: None,
    "number": lambda o: 1.0,
    "text": lambda o: "cat",
    "numpy": lambda o: o.detach().numpy(),
    "squeezed": lambda o: o.squeeze(),
    "flat": lambda o: o.flatten(),
    "mean": lambda o: o.mean(0),
    "sum": lambda o: o.sum(),
    "transposed": lambda o: o.T,
    "classes": lambda o: o.argmax(-1),
    "pixels": lambda o: o[..., None, None].expand(*o.shape, 2, 3),
    "softmax": lambda o: o.softmax(-1),
    "nan": lambda o: o * torch.nan,
    "inf": lambda o: o / 0,
    "complex": lambda o: o.to(torch.complex64),
    "half": lambda o: o.half(),
    "detached": lambda o: o.detach(),
    "constant": lambda o: torch.zeros_like(o),
    "none of them": lambda o: o[:, :0],
    "sparse": lambda o: o.to_sparse(),
    "dropped": lambda o: functional.dropout(o),
    "scaled": lambda o: o / o.abs().max(),
}

SHAPES = [(3, 5, 5), (1, 4, 4), (6,), (2, 3), (1,), (2, 2, 2, 2), (3, 5, 4)]

INPUTS = {
    "tensor": lambda x: x,
    "double": lambda x: x.double(),
    "half": lambda x: x.half(),
    "bfloat16": lambda x: x.bfloat16(),
    "bytes": lambda x: (255 * x).byte(),
    "bool": lambda x: x > 0.5,
    "complex": lambda x: x.to(torch.complex64),
    "numpy": lambda x: x.numpy(),
    "numpy double": lambda x: x.double().numpy(),
    "numpy objects": lambda x: x.numpy().astype(object),
    "lists": lambda x: x.tolist(),
    "list of tensors": list,
    "one": lambda x: x[0],
    "none": lambda x: x[:0],
    "with an axis more": lambda x: x[None],
    "negative zero": lambda x: -0.0 * x,
    "nan": lambda x: x * torch.nan,
    "huge": lambda x: x * 1e30,
    "tiny": lambda x: x * 1e-30,
    "sparse": lambda x: x.to_sparse(),
    "meta": lambda x: x.to("meta"),
    "not contiguous": lambda x: torch.stack([x, x], dim=-1)[..., 0],
    "expanded": lambda x: x[:1].expand(3, *x.shape[1:]),
    "asking for gradients": lambda x: x.clone().requires_grad_(),
    "nothing": lambda x: None,
    "text": lambda x: "image.png",
}

TARGETS = {
    "0": 0,
    "1": 1,
    "none": None,
    "each": [0, 1],
    "array": np.array([1, 0]),
    "tensor": torch.tensor([1, 1]),
    "int32": torch.tensor([1, 0], dtype=torch.int32),
    "numpy int": np.int64(1),
    "pixel": (0, 1, 1),
    "pixels": [(0, 1, 1), (1, 0, 2)],
    "pair": (0, 0),
    "too large": 99,
    "negative": -1,
    "float": 0.5,
    "bool": True,
    "text": "cat",
    "too many": [0, 1, 1],
    "nested": [[0], [1]],
    "ragged": [[0], [1, 1]],
}

ATTRIBUTIONS = {
    "saliency": ac.Saliency,
    "absolute": lambda m: ac.Saliency(m, abs=True),
    "input x gradient": ac.InputXGradient,
    "integrated gradients": lambda m: ac.IntegratedGradients(m, n_steps=2),
    "random nodes": ac.StochasticIntegratedGradients,
    "captum": lambda m: ac.wrap(captum.attr.Saliency(m)),
    "captum, numpy": lambda m: ac.wrap(captum.attr.Saliency(m), numpy=True),
    "captum, random": lambda m: ac.wrap(captum.attr.Saliency(m), random=True),
    "values": lambda m: ac.wrap(lambda x, t: x**2),
    "unwrapped": lambda m: lambda x, t: x**3,
    "numpy": lambda m: ac.wrap(lambda x, t: np.abs(x), numpy=True, nonnegative=True),
    "lists": lambda m: ac.wrap(lambda x, t: x.tolist()),
    "none": lambda m: lambda x, t: None,
    "text": lambda m: ac.wrap(lambda x, t: "map"),
    "pair": lambda m: ac.wrap(lambda x, t: (x, x)),
    "complex": lambda m: ac.wrap(lambda x, t: x + 1j),
    "objects": lambda m: ac.wrap(lambda x, t: np.array([None] * len(x))),
    "a row": lambda m: lambda x, t: x[:1],
    "negative, though promised": lambda m: ac.wrap(lambda x, t: x - 10, nonnegative=True),
    "random": lambda m: ac.wrap(lambda x, t: torch.randn_like(x)),
    "random, declared": lambda m: ac.wrap(lambda x, t: torch.randn_like(x), random=True),
    "mean over the batch": lambda m: lambda x, t: x - x.mean(0),
    "raises": lambda m: lambda x, t: {}["map"],
    "two arguments too many": lambda m: lambda: None,
    "in place": lambda m: ac.wrap(lambda x, t: x.mul_(2)),
    "keeps a graph": lambda m: lambda x, t: x.requires_grad_().exp(),
    "zero": lambda m: lambda x, t: 0 * x,
    "nan": lambda m: lambda x, t: x * torch.nan,
    "the model": lambda m: m,
    "the class": lambda m: ac.Saliency,
    "no attribution": lambda m: 3,
}

DTYPES = [torch.float32, torch.float32, torch.float64, torch.float16, torch.bfloat16]

ACTIONS = {
    "certify": lambda s, x, t: s.certify(x, t, n_samples=100, seed=0),
    "certify, antithetic": lambda s, x, t: dataclasses.replace(s, antithetic=True).certify(x, t, n_samples=200, seed=0),
    "certify, one at a time": lambda s, x, t: dataclasses.replace(s, batch_size=1).certify(x, t, n_samples=100, seed=0),
    "attribute": lambda s, x, t: s.attribute(x, t, n_samples=4, seed=0),
    "forecast": lambda s, x, t: s.forecast(x, t, n_samples=50, seed=0),
    "plan": lambda s, x, t: s.plan(x, t, claim=ac.Claim(eps=0.1, cosine=0.5), scales=[0.3], n_pilot=50, n_samples=500),
    "doctor": lambda s, x, t: s.doctor(x, t, n_samples=100),
    "attack": lambda s, x, t: PGD.run(s, x, t, eps=0.1, data_range=None, keep_label=t is not None, **FEW),
    "attack, by values": lambda s, x, t: attacks.Strong(budget=1e-3).run(s, x, t, eps=0.1, data_range=None, **FEW),
    "attack, the map": lambda s, x, t: PGD.run(s.attribution, x, t, eps=0.1, keep_label=False, data_range=None, **FEW),
}
FEW = {"n_samples": 50, "n_compared": 8, "seed": 0}
PGD = attacks.PGD(steps=1, restarts=1, draws=4)

CHOICES = (
    SHAPES,
    list(KINDS),
    list(FORMS),
    [1, 2, 5],
    DTYPES,
    list(INPUTS),
    list(TARGETS),
    list(ATTRIBUTIONS),
    list(ACTIONS),
)
ORDINARY = ((3, 5, 5), "tanh", "scores", 5, torch.float32, "tensor", "0", "saliency", "certify")


def combination(chance):
    """Most of it ordinary, so that what is not gets to where it matters."""
    return tuple(
        chance.choice(options) if chance.random() < 0.35 else usual
        for options, usual in zip(CHOICES, ORDINARY, strict=True)
    )


def attempt(shape, kind, form, classes, dtype, given, target, attribution, action):
    """What happened, in words; a fault begins with FAULT."""
    model = Model(shape, classes, FORMS[form], kind).to(dtype).eval()
    torch.manual_seed(0)
    base = torch.rand(2, *shape)
    inputs = INPUTS[given](base.clone())
    before = (state(model), torch.get_rng_state(), torch.is_grad_enabled(), base.clone())
    kept = inputs.detach().clone() if isinstance(inputs, torch.Tensor) and not inputs.is_meta else None
    try:
        smoothed = ac.SmoothedAttribution(ATTRIBUTIONS[attribution](model), NOISE)
        found = ACTIONS[action](smoothed, inputs, TARGETS[target])
        outcome = "works"
        if isinstance(found, ac.Certificate) and not np.isfinite(found.cosine([0.0, 0.1])).all():
            outcome = "FAULT: a certificate that is not finite"
    except ac.AttricertError as error:
        text = str(error)
        outcome = f"refused ({type(error).__name__})"
        if "\n" in text or not text or len(text) > 1000:
            outcome = f"FAULT: not one line: {text[:200]!r}"
    except Exception as error:
        outcome = f"FAULT: {type(error).__name__}: {str(error)[:200]!r}"
    after = (state(model), torch.get_rng_state(), torch.is_grad_enabled(), base)
    if not same(before, after) or (kept is not None and not torch.equal(nan(kept), nan(inputs.detach()))):
        outcome = f"FAULT: something is not as it was, though it {outcome}"
    return outcome


def nan(tensor):
    dense = tensor.to_dense()
    return dense if dense.is_complex() or not dense.is_floating_point() else dense.nan_to_num(12345.0)


def state(model):
    lazy = nn.parameter.UninitializedTensorMixin
    kept = [t for t in itertools.chain(model.parameters(), model.buffers()) if not isinstance(t, lazy)]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()]
    flags = [m.training for m in model.modules()] + [p.requires_grad for p in model.parameters()]
    return [t.detach().clone() for t in kept], [p.grad is None for p in model.parameters()], hooks, flags


def same(before, after):
    tensors = zip(before[0][0], after[0][0], strict=True)
    return (
        all(torch.equal(a, b) for a, b in tensors)
        and before[0][1:] == after[0][1:]
        and torch.equal(before[1], after[1])
        and before[2] == after[2]
        and torch.equal(before[3], after[3])
    )


def campaign(count, seed=0, progress=None):
    """How often what happened."""
    chance, outcomes = random.Random(seed), collections.Counter()
    for i in range(count):
        chosen = combination(chance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = attempt(*chosen)
        if outcome.startswith("FAULT"):
            outcome = f"{outcome} in {chosen}"
        outcomes[outcome] += 1
        if progress is not None:
            progress(i, outcomes)
    return outcomes


def main(count=3_000, seed=0):
    begun = time.perf_counter()
    torch.set_num_threads(1)

    def progress(i, outcomes):
        if (i + 1) % 500 == 0:
            print(f"{i + 1} combinations in {time.perf_counter() - begun:.0f} s", flush=True)

    outcomes = campaign(count, seed, progress)
    for name, times in sorted(outcomes.items()):
        print(f"{times:7d} {name}")
    print(f"{count} combinations in {time.perf_counter() - begun:.0f} s")
    return 1 if any(name.startswith("FAULT") for name in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
