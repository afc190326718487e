"""The paper's tables, its figure and its Monte-Carlo study, made anew, and its claims attacked; one file each."""

from attricert.lab.experiments import (
    claims,
    figure3,
    montecarlo,
    table4,
    table5,
    table6,
    table7,
    table8,
    table9,
)
from attricert.lab.experiments.base import Experiment, Result
from attricert.lab.experiments.bench import Bench

__all__ = ["FULL", "QUICK", "Bench", "Experiment", "Result"]

_MODULES = (table4, table5, table6, table7, table8, table9, claims, figure3, montecarlo)

FULL: dict[str, Experiment] = {module.__name__.rpartition(".")[2]: module.FULL for module in _MODULES}
QUICK: dict[str, Experiment] = {module.__name__.rpartition(".")[2]: module.QUICK for module in _MODULES}
