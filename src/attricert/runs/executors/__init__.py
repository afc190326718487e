"""Where inputs are certified: here, in local processes, on a Ray cluster."""

from attricert.runs.executors.base import ATTEMPTS, Executor
from attricert.runs.executors.inline import Inline
from attricert.runs.executors.processes import Processes
from attricert.runs.executors.ray import Ray
from attricert.runs.executors.rehearsal import rehearse

__all__ = ["ATTEMPTS", "Executor", "Inline", "Processes", "Ray", "rehearse"]
