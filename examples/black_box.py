"""Certify the explanation of a black box: any function of arrays, here a linear scorer with interactions, on a table.

Run: python examples/black_box.py
"""

import numpy as np
import torch

import attricert as ac

FEATURES = ["income", "debt", "age", "late payments", "accounts", "utilisation"]
WEIGHTS = np.array([0.8, -0.9, 0.1, -1.2, 0.05, -0.6])


def score(x: np.ndarray) -> np.ndarray:
    """Somebody's credit score, in standardized units."""
    return np.tanh(x @ WEIGHTS + 0.3 * x[:, 0] * x[:, 1])


def occlusion(x: np.ndarray, target: None) -> np.ndarray:
    """What each feature adds: the score minus the score with that feature at its mean, 0."""
    columns = []
    for j in range(x.shape[1]):
        without = x.copy()
        without[:, j] = 0
        columns.append(score(x) - score(without))
    return np.stack(columns, axis=1)


def main() -> None:
    """Certify one applicant's explanation."""
    applicant = torch.tensor([[0.5, 0.2, -0.3, 0.8, 0.1, 0.4]], dtype=torch.float64)
    sm = ac.SmoothedAttribution(ac.wrap(occlusion, numpy=True), noise=ac.Gaussian(sigma=0.5))
    cert = sm.certify(applicant, n_samples=20_000, seed=0)
    for name, value in zip(FEATURES, cert.maps[0], strict=True):
        print(f"{name:>14}: {value:+.3f}")
    eps = np.floor(1000 * cert.max_eps(cosine=0.9)[0]) / 1000  # a lower bound, so rounded down
    print(f"No change of the standardized inputs of l2 size {eps:.3f} bends this below cosine 0.9,")
    print("at confidence 0.999.")


if __name__ == "__main__":
    main()
