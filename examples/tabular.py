"""Certify SHAP values of XGBoost on the breast cancer table: from the raw table to the report.

Run: pip install 'attricert[shap]' xgboost-cpu scikit-learn; python examples/tabular.py
"""

import sys
from pathlib import Path

import shap
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import attricert as ac


def main(rows: int = 20, n_samples: int = 10_000, out: str = "tabular.html") -> None:
    """Certify some test rows, say which columns are certain to lead, and write the report."""
    train, test, labels, _ = train_test_split(*load_breast_cancer(return_X_y=True, as_frame=True), random_state=0)
    model = xgboost.XGBClassifier(n_estimators=50, max_depth=3, random_state=0).fit(train, labels)
    table = ac.tabular.Standardized(shap.TreeExplainer(model), train, classifier=model)
    cert = table.certify(test[:rows], noise=ac.Gaussian(sigma=0.2), n_samples=n_samples, seed=0)
    print(table.top(cert, k=3, eps=0.05).to_string(index=False))
    print("the top three stay up to eps", cert.top_k_eps(3, absolute=True).round(3))
    Path(out).write_text(table.page(cert, test[:rows], eps=(0.05, 0.1), top_k=3), encoding="utf-8")
    print(f"written to {out}; a row as shap draws it: shap.plots.waterfall(table.explanation(cert, rows, eps)[0])")


if __name__ == "__main__":
    main(out=sys.argv[1] if len(sys.argv) > 1 else "tabular.html")
