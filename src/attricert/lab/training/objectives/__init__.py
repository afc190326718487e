"""What training makes small: one objective a file."""

from attricert.lab.training.objectives.base import Ball, Objective
from attricert.lab.training.objectives.ig_norm import IGNorm
from attricert.lab.training.objectives.igr import IGR
from attricert.lab.training.objectives.standard import NoiseAugmented, Standard
from attricert.lab.training.objectives.trades import Trades

__all__ = ["IGR", "Ball", "IGNorm", "NoiseAugmented", "Objective", "Standard", "Trades"]
