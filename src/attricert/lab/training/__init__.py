"""Training of the zoo's models, from committed and seeded recipes."""

from attricert.lab.training.build import make
from attricert.lab.training.checkpoint import Checkpoint
from attricert.lab.training.loop import accuracy, train
from attricert.lab.training.recipe import Recipe
from attricert.lab.training.tensorboard import EpochCallback, event_writer

__all__ = ["Checkpoint", "EpochCallback", "Recipe", "accuracy", "event_writer", "make", "train"]
