"""What training makes small: one objective a file."""

from attricert.training.objectives.base import Ball, Objective
from attricert.training.objectives.ig_norm import IGNorm
from attricert.training.objectives.igr import IGR
from attricert.training.objectives.standard import Noise, Standard
from attricert.training.objectives.trades import Trades

__all__ = ["IGR", "Ball", "IGNorm", "Noise", "Objective", "Standard", "Trades"]
