"""From draws to evidence: a pilot chooses, the main stream proves."""

import importlib
import pkgutil

from attricert.proving.entries import functional_bounds
from attricert.proving.forecasts import Forecast, forecast
from attricert.proving.goal import Goal
from attricert.proving.prover import Prover, confidences, evidence

__all__ = ["Forecast", "Goal", "Prover", "confidences", "evidence", "forecast", "functional_bounds"]

for _module in pkgutil.iter_modules(__path__):  # each says what it proves: a file here is known by being here
    importlib.import_module(f"{__name__}.{_module.name}")
