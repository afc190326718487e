"""Training of the zoo's models, from committed and seeded recipes."""

from attricert.training.board import Record, tensorboard
from attricert.training.checkpoint import Checkpoint
from attricert.training.loop import accuracy, train
from attricert.training.making import make
from attricert.training.recipe import Recipe

__all__ = ["Checkpoint", "Recipe", "Record", "accuracy", "make", "tensorboard", "train"]
