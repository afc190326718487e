"""TreeSHAP through `certify` beside TreeSHAP alone: rows per second of processor time, in turns.

Run: python benchmarks/tabular.py [--rounds 5]
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
import xgboost
from alternating import alternate
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

import attricert as ac

N, INPUTS = 10_000, 20
RESULTS = Path(__file__).parent / "results" / "tabular.json"


def compared(model, rows, rounds: int) -> dict[str, float]:
    """The same number of noisy rows: in one batch through the explainer, and through `certify`."""
    table = ac.tabular.Standardized(model, rows)
    smoothed, inputs = table.smoothed(ac.Gaussian(0.2)), table.inputs(rows.iloc[:INPUTS])
    target = table.targets(inputs)
    noise = 0.2 * torch.randn(INPUTS * N, inputs.shape[1], dtype=torch.float64, generator=torch.manual_seed(0))
    noisy = table.table.raw((inputs.repeat_interleave(N, dim=0) + noise).numpy())
    seconds = alternate(
        {
            "alone": lambda: table.explaining.explainer.shap_values(noisy, check_additivity=False),
            "certify": lambda: smoothed.certify(inputs, target, n_samples=N, seed=0),
        },
        rounds,
        time.process_time,
    )
    alone, certified = seconds["alone"], seconds["certify"]
    ratios = [one / other for one, other in zip(alone, certified, strict=True)]
    return {
        "explainer_rows_per_s": len(noisy) / statistics.median(alone),
        "certify_rows_per_s": len(noisy) / statistics.median(certified),
        "ratio": statistics.median(ratios),
        "least_ratio": min(ratios),
        "largest_ratio": max(ratios),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    rows, labels = load_breast_cancer(return_X_y=True, as_frame=True)
    models = {
        "xgboost, 100 trees of depth 6 (its defaults)": xgboost.XGBClassifier(n_jobs=1, random_state=0),
        "xgboost, 50 trees of depth 3": xgboost.XGBClassifier(n_estimators=50, max_depth=3, n_jobs=1, random_state=0),
        "scikit-learn forest, 20 trees": RandomForestClassifier(20, random_state=0),
    }
    found = {}
    for name, model in models.items():
        found[name] = compared(model.fit(rows, labels), rows, rounds)
        shown = ", ".join(f"{key} {value:,.2f}" for key, value in found[name].items())
        print(f"{name}: {shown}", flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
