"""The field side by side: same model, images, noise level and confidence; what each method costs and what it certifies.

Center smoothing (Kumar and Goldstein 2021; angular and cosine distance; its default of a million draws, and as many as
we take), Captum's NoiseTunnel (SmoothGrad: no certificate), and our certificates under uniform and Gaussian noise.

Usage: python benchmarks/peers.py [inputs]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import captum.attr
import numpy as np
import numpy.typing as npt
import torch

import attricert as ac
from attricert.baselines import CenterSmoothing

MODEL, SIGMA, EPS, SAMPLES = "mnist-standard", 0.125, (0.02, 0.05, 0.1), 10_000
DEFAULT = 1_000_000  # center smoothing's draws for a certificate

Array = npt.NDArray[np.float64]
# Attribution calls an input, and certified cosines, shape (inputs, eps); None where nothing is certified.
Found = tuple[float, Array | None]


def methods(inputs: int) -> dict[str, Callable[[], Found]]:
    """What is compared."""
    model, x = ac.models.load(MODEL), ac.datasets.load("mnist", "sample").images[:inputs]
    with torch.no_grad():
        target = model(x).argmax(dim=1)
    saliency = ac.Saliency(model)
    alpha = CenterSmoothing(saliency, SIGMA).alpha

    def center(distance: str, n_cert: int, n_pred: int) -> Found:
        smoothing = CenterSmoothing(saliency, SIGMA, distance=distance, n_cert=n_cert, n_pred=n_pred)
        found = smoothing.certify(x, target, eps=EPS, seed=0)
        return float(found.calls.mean()), found.cosine

    def ours(noise: ac.UniformBall | ac.Gaussian) -> Found:
        smoothed = ac.SmoothedAttribution(saliency, noise)
        certificate = smoothed.certify(x, target, n_samples=SAMPLES, alpha=alpha, seed=0, features=False, label=False)
        return SAMPLES, certificate.cosine(EPS)

    def tunnel() -> Found:
        noisy = captum.attr.NoiseTunnel(captum.attr.Saliency(model))
        for image, index in zip(x, target, strict=True):
            settings = {"nt_type": "smoothgrad", "nt_samples": SAMPLES, "nt_samples_batch_size": 128, "stdevs": SIGMA}
            noisy.attribute(image[None], target=int(index), abs=False, **settings)
        return SAMPLES, None

    energy = SIGMA * (x[0].numel() + 2) ** 0.5  # radius of the ball whose noise has the same variance
    few = SAMPLES // 3
    return {
        "Captum NoiseTunnel (SmoothGrad)": tunnel,
        f"ours, UniformBall({energy:.3g})": lambda: ours(ac.UniformBall(energy)),
        f"ours, Gaussian({SIGMA})": lambda: ours(ac.Gaussian(SIGMA)),
        "center smoothing, angular, as many calls as ours": lambda: center("angular", few, few),
        "center smoothing, angular, its defaults": lambda: center("angular", DEFAULT, SAMPLES),
        "center smoothing, 1 - cos, its defaults": lambda: center("cosine", DEFAULT, SAMPLES),
    }


def row(name: str, calls: float, seconds: float, cosine: Array | None) -> str:
    """A line of the table; the cosine is rounded down."""
    certified: Sequence[str] = ["nothing"] * len(EPS)
    if cosine is not None:
        certified = [f"{np.floor(1e4 * mean) / 1e4:.4f}" for mean in cosine.mean(axis=0)]
    return f"| {name} | {calls:,.0f} | {seconds:.2f} | {' | '.join(certified)} |"


def main() -> None:
    """The table, and the ratios."""
    inputs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{inputs} MNIST test digits, {MODEL}, saliency, sigma = {SIGMA}; mean certified cosine, -1 says nothing")
    print(f"| method | calls an input | seconds an input | {' | '.join(f'eps = {eps}' for eps in EPS)} |")
    print("|---|---|---|" + "---|" * len(EPS))
    kept: dict[str, tuple[float, float]] = {}
    for name, method in methods(inputs).items():
        start = time.perf_counter()
        calls, cosine = method()
        kept[name] = calls, (time.perf_counter() - start) / inputs
        print(row(name, *kept[name], cosine), flush=True)
    gaussian = kept[f"ours, Gaussian({SIGMA})"]
    for name, (calls, seconds) in kept.items():
        ratios = f"{calls / gaussian[0]:.1f} times the calls, {seconds / gaussian[1]:.1f} times the time"
        print(f"{name}, by ours (Gaussian): {ratios}")


if __name__ == "__main__":
    main()
