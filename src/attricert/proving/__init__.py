"""From draws to evidence: a pilot chooses, the main stream proves."""

from attricert.proving.forecasts import Forecast, forecast
from attricert.proving.goal import Goal
from attricert.proving.prover import CONFIDENCES, Prover, evidence

__all__ = ["CONFIDENCES", "Forecast", "Goal", "Prover", "evidence", "forecast"]
