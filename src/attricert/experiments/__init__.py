"""The paper's tables, its figure and its Monte-Carlo study, made anew; one file each."""

from attricert.experiments import table5, table6, table8
from attricert.experiments.base import Experiment, Result
from attricert.experiments.bench import Bench

__all__ = ["FULL", "QUICK", "Bench", "Experiment", "Result"]

_MODULES = {"table5": table5, "table6": table6, "table8": table8}

FULL: dict[str, Experiment] = {name: module.FULL for name, module in _MODULES.items()}
QUICK: dict[str, Experiment] = {name: module.QUICK for name, module in _MODULES.items()}
