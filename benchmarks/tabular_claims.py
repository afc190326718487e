"""Breast cancer, XGBoost, TreeSHAP: certified top three and signs, against a Monte Carlo and a search of its own.

Run: python benchmarks/tabular_claims.py [--rows 100] [--eps 0.05] [--sigma 0.2] [--n_samples 20000]
Exit code 1 at a crossing.
"""

import argparse
import sys
from dataclasses import dataclass

import numpy as np
import shap
import torch
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import attricert as ac

K, DIRECTIONS, FEW, MANY = 3, 40, 400, 8_000
ERRORS = 5.0  # standard errors beyond which a claim counts as crossed


@dataclass(frozen=True)
class Smoothed:
    """SHAP values of noisy rows, clipped and averaged: plain NumPy around the raw explainer."""

    explainer: shap.TreeExplainer
    mean: np.ndarray
    deviation: np.ndarray
    bound: ac.Clip

    def __call__(self, z: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = self.explainer.shap_values((z + noise) * self.deviation + self.mean, check_additivity=False)
        values = np.asarray(values, dtype=float)
        size = np.linalg.norm(values, axis=1, keepdims=True)
        values = values * np.minimum(1, self.bound.max_norm / np.maximum(size, 1e-300))
        values = np.clip(values, -self.bound.max_entry, self.bound.max_entry)
        return values.mean(axis=0), values.std(axis=0) / np.sqrt(len(values))


@dataclass(frozen=True)
class Claims:
    """Of one row."""

    low: np.ndarray
    high: np.ndarray
    signs: np.ndarray
    stays: np.ndarray

    def outside(self, value: np.ndarray) -> float:
        return float(np.max(np.maximum(value - self.high, self.low - value)))

    def margins(self, value: np.ndarray) -> tuple[float, float, float]:
        """How far a map is from breaking a sign, the top set, an interval; smaller is nearer."""
        signed = (value * self.signs)[self.signs != 0]
        least = np.sort(np.abs(value))[-K]
        top = np.abs(value)[self.stays] - least
        return min(signed, default=np.inf), min(top, default=np.inf), -self.outside(value)

    def crossed(self, value: np.ndarray, error: np.ndarray) -> bool:
        slack = ERRORS * error + 1e-9
        interval = (value < self.low - slack) | (value > self.high + slack)
        sign = (value * self.signs < -slack) & (self.signs != 0)
        # The least of the top has an error of its own.
        top = self.stays & (np.abs(value) < np.sort(np.abs(value))[-K] - 2 * slack.max())
        return bool((interval | sign | top).any())


def searched(smoothed: Smoothed, z: np.ndarray, claims: Claims, eps: float, sigma: float, rng) -> tuple[int, int]:
    """Steps of size eps along all columns and in random directions; the worst judged on fresh draws."""
    random = rng.standard_normal((DIRECTIONS, len(z)))
    unit = np.concatenate([np.eye(len(z)), -np.eye(len(z)), random / np.linalg.norm(random, axis=1, keepdims=True)])
    few = sigma * rng.standard_normal((FEW, len(z)))
    margins = np.array([claims.margins(smoothed(z + eps * step, few)[0]) for step in unit])
    worst = {*np.argmin(margins, axis=0).tolist(), len(unit) - 1}
    fresh = [smoothed(z + eps * unit[i], sigma * rng.standard_normal((MANY, len(z)))) for i in worst]
    return len(fresh), sum(claims.crossed(*one) for one in fresh)


def main() -> int:
    parser = argparse.ArgumentParser()
    for name, default in (("rows", 100), ("eps", 0.05), ("sigma", 0.2), ("n_samples", 20_000)):
        parser.add_argument(f"--{name}", type=type(default), default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = load_breast_cancer(return_X_y=True, as_frame=True)
    train, test, labels, truth = train_test_split(*table, test_size=0.3, random_state=0)
    model = xgboost.XGBClassifier(n_estimators=50, max_depth=3, n_jobs=1, random_state=0).fit(train, labels)
    explainer, rows = shap.TreeExplainer(model), test.iloc[: given.rows]
    standardized = ac.tabular.Standardized(explainer, train, classifier=model)
    certificate = standardized.certify(rows, noise=ac.Gaussian(given.sigma), n_samples=given.n_samples, seed=0)
    (low, high), signs = certificate.intervals(given.eps), certificate.signs(given.eps)
    stays = certificate.top_k_stable(given.eps, K, absolute=True)
    top = np.argsort(-np.abs(certificate.maps), axis=1)[:, :K]
    sizes = certificate.top_k_eps(K, absolute=True)
    print(f"accuracy {(model.predict(test) == truth).mean():.3f}; {standardized.bound()}; eps {given.eps}")
    print(f"rows whose whole top {K} is certain: {(stays.sum(axis=1) == K).mean():.2f}")
    print(f"columns of the top {K} that are certain: {stays.sum() / stays[:, :K].size:.3f}")
    print(f"rows with all {K} signs certain: {(np.take_along_axis(signs, top, 1) != 0).all(axis=1).mean():.2f}")
    print(f"certain signs a row: {np.abs(signs).sum(axis=1).mean():.1f} of {signs.shape[1]}")
    print(f"rows whose class is certain: {(certificate.prediction_radius() > given.eps).mean():.2f}")
    print(f"largest eps of the top {K}: median {np.median(sizes):.3f}, most {sizes.max():.3f}", flush=True)
    mean, deviation = train.to_numpy().mean(axis=0), train.to_numpy().std(axis=0)
    smoothed, rng = Smoothed(explainer, mean, deviation, standardized.bound()), np.random.default_rng(7)
    judged = crossed = 0
    for i, z in enumerate((rows.to_numpy() - mean) / deviation):
        more = searched(smoothed, z, Claims(low[i], high[i], signs[i], stays[i]), given.eps, given.sigma, rng)
        judged, crossed = judged + more[0], crossed + more[1]
    print(f"searched {given.rows * (2 * len(mean) + DIRECTIONS):,} steps, judged {judged}, crossed {crossed}")
    return int(crossed > 0)


if __name__ == "__main__":
    sys.exit(main())
