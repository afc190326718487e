"""Training from a committed, seeded recipe."""

from attricert.training.loop import Recipe, accuracy, train

__all__ = ["Recipe", "accuracy", "train"]
