"""From draws to evidence: a pilot chooses, the main stream proves."""

from attricert.proving.forecasts import Forecast, forecast
from attricert.proving.goal import Goal
from attricert.proving.prover import ASYMPTOTIC, Prover, evidence

__all__ = ["ASYMPTOTIC", "Forecast", "Goal", "Prover", "evidence", "forecast"]
