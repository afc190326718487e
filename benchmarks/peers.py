"""The field side by side: same model, images, noise level and confidence; what each method costs and what it certifies.

Captum's NoiseTunnel (SmoothGrad: no certificate); our certificates under uniform and Gaussian noise; sparsified
SmoothGrad (Levine et al. 2019); center smoothing (Kumar and Goldstein 2021) with as many draws as we take, and with its
default of a million. Each runs in a process of its own, of which the peak of resident memory is taken.

What "certified" is about, at every x~ within eps of x:

- *cosine*: the mean map at x and at x~, both expectations. Of center smoothing: its centers at x and at one x~ chosen
  without knowing the draws.
- *top k*: the k largest absolute entries of a map at x and at x~, both expectations; the share that is in both (k = 100
  of MNIST's 784 entries, 400 of CIFAR-10's 3,072). The map is the mean of normalized saliency with entries clipped, the
  mean of its absolute values, or the chance that an entry is among the share tau of largest absolute values (sparsified
  SmoothGrad).
- *top k seen*: the same, with the k largest that the draws at x show, in place of those expected there.

Usage: python benchmarks/peers.py [--model NAME] [--inputs N] [--quick]     quick leaves out what takes a million draws
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import final

import captum.attr
import numpy as np
import numpy.typing as npt
import torch

import attricert as ac
from attricert.lab.baselines import CenterSmoothing, SparsifiedSmoothGrad

SIGMA, EPS, SAMPLES = 0.125, (0.02, 0.05, 0.1), 10_000
TOP = {"mnist": 100, "cifar10": 400}
MAX_ENTRY = {"mnist": 0.15, "cifar10": 0.1}  # single features are certified of maps with entries clipped here
DEFAULT = 1_000_000  # center smoothing's draws for a certificate
FEW = SAMPLES // 3  # for each of its three stages
ALPHA = 0.01  # what is left to chance by center smoothing at its defaults, but for 2^-30

Array = npt.NDArray[np.float64]


@final
@dataclass(frozen=True)
class Found:
    """Attribution calls an input, and what is certified: names, and values of shape (inputs, eps)."""

    calls: float
    certified: dict[str, Array]


@final
@dataclass(frozen=True)
class Cost:
    """Of one input: calls and seconds. Of the process: MiB."""

    calls: float
    seconds: float
    memory: float


@final
class LoadedConfig:
    """What all methods are given."""

    def __init__(self, model: str, inputs: int) -> None:
        data = model.partition("-")[0]
        self.k, self.max_entry = TOP[data], MAX_ENTRY[data]
        self.model, self.x = ac.models.load(model), ac.datasets.load(data, "sample").images[:inputs]
        with torch.no_grad():
            self.target = self.model(self.x).argmax(dim=1)

    @property
    def energy(self) -> float:
        """Radius of the ball whose noise has the same variance."""
        return float(SIGMA * (self.x[0].numel() + 2) ** 0.5)

    def tunnel(self) -> Found:
        noisy = captum.attr.NoiseTunnel(captum.attr.Saliency(self.model))
        for image, index in zip(self.x, self.target, strict=True):
            settings = {"nt_type": "smoothgrad", "nt_samples": SAMPLES, "nt_samples_batch_size": 128, "stdevs": SIGMA}
            noisy.attribute(image[None], target=int(index), abs=False, **settings)
        return Found(SAMPLES, {})

    def cosine(self, noise: ac.UniformBall | ac.Gaussian) -> Found:
        smoothed = ac.SmoothedAttribution(ac.Saliency(self.model), noise)
        settings = {"n_samples": SAMPLES, "alpha": ALPHA, "seed": 0, "prove": ("top_variance", "cone")}
        return Found(SAMPLES, {"cosine": smoothed.certify(self.x, self.target, **settings).cosine(EPS)})

    def top(self, *, absolute: bool) -> Found:
        bound, saliency = ac.Normalize(max_entry=self.max_entry), ac.Saliency(self.model, abs=absolute)
        smoothed = ac.SmoothedAttribution(saliency, ac.Gaussian(SIGMA), bound)
        prove = ("top_variance", "cone", "entries")
        found = smoothed.certify(self.x, self.target, n_samples=SAMPLES, alpha=ALPHA, seed=0, prove=prove)
        return Found(SAMPLES, {"top k": found.top_k_overlap(EPS, self.k, absolute=True)})

    def sparsified(self, tau: float) -> Found:
        smoothing = SparsifiedSmoothGrad(ac.Saliency(self.model), SIGMA, tau=tau, n_samples=SAMPLES, alpha=ALPHA)
        found = smoothing.certify(self.x, self.target, k=self.k, eps=EPS, seed=0)
        return Found(float(found.calls.mean()), {"top k": found.population, "top k seen": found.overlap})

    def center(self, distance: str, n_cert: int, n_pred: int) -> Found:
        saliency = ac.Saliency(self.model)
        smoothing = CenterSmoothing(saliency, SIGMA, distance=distance, n_cert=n_cert, n_pred=n_pred)
        found = smoothing.certify(self.x, self.target, eps=EPS, seed=0)
        return Found(float(found.calls.mean()), {"cosine": found.cosine})


REFERENCE = f"ours, Gaussian({SIGMA})"
METHODS: dict[str, Callable[[LoadedConfig], Found]] = {
    "Captum NoiseTunnel (SmoothGrad)": LoadedConfig.tunnel,
    "ours, UniformBall, equal energy": lambda s: s.cosine(ac.UniformBall(s.energy)),
    REFERENCE: lambda s: s.cosine(ac.Gaussian(SIGMA)),
    f"{REFERENCE}, clipped": lambda s: s.top(absolute=False),
    f"{REFERENCE}, absolute, clipped": lambda s: s.top(absolute=True),
    "sparsified SmoothGrad, tau = 0.1": lambda s: s.sparsified(0.1),
    "sparsified SmoothGrad, tau = 0.2": lambda s: s.sparsified(0.2),
    "center smoothing, angular, as many calls as ours": lambda s: s.center("angular", FEW, FEW),
    "center smoothing, angular, its defaults": lambda s: s.center("angular", DEFAULT, SAMPLES),
    "center smoothing, 1 - cos, its defaults": lambda s: s.center("cosine", DEFAULT, SAMPLES),
}
LONG = "its defaults"


def measured(name: str, model: str, inputs: int) -> tuple[Cost, dict[str, Array]]:
    """Cost, and means over the inputs of what is certified."""
    setting = LoadedConfig(model, inputs)
    start = time.perf_counter()
    found = METHODS[name](setting)
    seconds = (time.perf_counter() - start) / inputs
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Cost(found.calls, seconds, memory), {what: values.mean(axis=0) for what, values in found.certified.items()}


def alone(name: str, model: str, inputs: int) -> tuple[Cost, dict[str, Array]]:
    """`measured` in a process of its own."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measured, name, model, inputs).result()


def rows(name: str, cost: Cost, by: Cost, certified: dict[str, Array]) -> Iterator[str]:
    """Lines of the table; what is certified is rounded down."""
    ratios = (cost.calls / by.calls, cost.seconds / by.seconds, cost.memory / by.memory)
    costs = [f"{cost.calls:,.0f}", f"{cost.seconds:.2f}", f"{cost.memory:.0f}", *(f"{ratio:.2f}" for ratio in ratios)]
    for what, values in certified.items() or [("nothing", None)]:
        cells = ["-"] * len(EPS) if values is None else [f"{np.floor(1e4 * value) / 1e4:.4f}" for value in values]
        yield f"| {' | '.join([name, what, *cells, *costs])} |"


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mnist-standard")
    parser.add_argument("--inputs", type=int, default=10)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    model, inputs = asked.model, asked.inputs
    names = [name for name in METHODS if not (asked.quick and name.endswith(LONG))]
    print(f"{inputs} test images, {model}, saliency, sigma = {SIGMA}, alpha = {ALPHA:.3g}; means, and")
    print(f"ratios to {REFERENCE}. A cosine of -1 says nothing.")
    heads = ["method", "certified", *(f"eps = {eps}" for eps in EPS), "calls an input", "seconds an input", "peak MiB"]
    print(f"| {' | '.join([*heads, 'calls', 'time', 'memory'])} |")
    print("|---" * (len(heads) + 3) + "|", flush=True)
    reference = alone(REFERENCE, model, inputs)
    for name in names:
        cost, certified = reference if name == REFERENCE else alone(name, model, inputs)
        print("\n".join(rows(name, cost, reference[0], certified)), flush=True)


if __name__ == "__main__":
    main()
