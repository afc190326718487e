"""What is certified of a table's rows, by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attricert import checks
from attricert.certificates import Certificate
from attricert.errors import UnavailableError
from attricert.tabular.columns import Numbers

__all__ = ["explanation", "top"]


def explanation(certificate: Certificate, table: Any, names: Sequence[str], base: Numbers, eps: float) -> Any:
    """Smoothed maps with certified bounds as a ``shap.Explanation``; arguments as in `Standardized.explanation`."""
    checks.extra("shap", "shap")
    import shap

    low, high = certificate.intervals(float(checks.nonnegative_values("eps", eps)))
    return shap.Explanation(
        certificate.maps,
        base_values=base,
        data=np.asarray(table),
        feature_names=list(names),
        lower_bounds=low,
        upper_bounds=high,
    )


def top(certificate: Certificate, names: Sequence[str], k: int, eps: float, absolute: bool) -> Any:
    """What is certain of the largest entries; arguments as in `Standardized.top`."""
    try:
        import pandas as pd
    except ImportError:
        raise UnavailableError("top() needs pandas, which is not installed; pip install pandas") from None
    size = float(checks.nonnegative_values("eps", eps))
    stays, signs = certificate.top_k_stable(size, k, absolute=absolute), certificate.signs(size)
    (low, high), maps = certificate.intervals(size), certificate.maps
    lines = []
    for i in range(len(certificate)):
        order = np.argsort(-(np.abs(maps[i]) if absolute else maps[i]), kind="stable")[:k]
        for rank, j in enumerate(order.tolist(), 1):
            facts = {"row": i, "rank": rank, "column": names[j], "value": maps[i, j], "lower": low[i, j]}
            sign = {1: "+", -1: "-"}.get(int(signs[i, j]), "")
            lines.append({**facts, "upper": high[i, j], "sign": sign, "stays": bool(stays[i, j])})
    return pd.DataFrame(lines)
