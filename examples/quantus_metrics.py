"""Smoothed maps in Quantus: its sensitivity of plain and of smoothed maps, and what of it is certified.

Run: python examples/quantus_metrics.py  (needs quantus, which is GPLv3; attricert does not import it. No download)
"""

import numpy as np
import quantus
import torch

import attricert as ac

EPS = 0.1  # l2 size of the changes that Quantus tries


def moves(rng: np.random.Generator):
    """Quantus' form of a perturbation: random directions, all of the l2 size eps."""

    def move(arr: np.ndarray, indices: np.ndarray, **settings) -> np.ndarray:
        steps = rng.standard_normal(arr.shape)
        return (arr + EPS * steps / np.linalg.norm(steps, axis=1, keepdims=True)).astype(arr.dtype)

    return move


def turned(a: np.ndarray, b: np.ndarray, **settings) -> np.ndarray:
    """1 - cosine of the maps before and after."""
    return 1 - (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def plain(model: torch.nn.Module, inputs: np.ndarray, targets: np.ndarray, **others) -> np.ndarray:
    """Maps without noise."""
    return ac.Saliency(model)(torch.as_tensor(inputs), torch.as_tensor(targets)).numpy(force=True)


def main(n_images: int = 4, trials: int = 5, n_samples: int = 1_000) -> dict[str, np.ndarray]:
    """By how much maps turn under random changes; of smoothed ones, also under any change."""
    model = ac.models.load("mnist-noise")
    data = ac.datasets.load("mnist", split="sample")
    x, y = data.images[:n_images], data.labels[:n_images]

    def make(model: torch.nn.Module) -> ac.SmoothedAttribution:
        return ac.SmoothedAttribution(ac.Saliency(model), ac.UniformBall(radius=7.0))

    def sensitivity(explain) -> np.ndarray:
        metric = quantus.MaxSensitivity(
            nr_samples=trials,
            similarity_func=turned,
            norm_numerator=lambda a: a,
            norm_denominator=lambda a: 1.0,
            perturb_func=moves(np.random.default_rng(0)),
            disable_warnings=True,
        )
        given = {"x_batch": x.numpy(), "y_batch": y.numpy(), "device": "cpu"}
        return np.asarray(metric(model=model, **given, explain_func=explain))

    found = {
        "plain": sensitivity(plain),
        "smoothed": sensitivity(ac.adapters.quantus.explain_func(make, n_samples)),
        "smoothed, certified": 1 - make(model).certify(x, y, n_samples=n_samples, seed=0).cosine(EPS),
    }
    for name, values in found.items():
        said = "any change" if "certified" in name else f"{trials} random changes"
        shown = np.ceil(10_000 * values) / 10_000  # upper bounds, so rounded up
        print(f"{name:>20}: 1 - cosine at most {' '.join(f'{value:.4f}' for value in shown)} under {said}")
    return found


if __name__ == "__main__":
    main()
