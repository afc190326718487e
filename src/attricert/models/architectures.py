"""Network architectures of the zoo."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

__all__ = ["ARCHITECTURES", "mnist_cnn"]


def mnist_cnn() -> nn.Sequential:
    """Two 5 x 5 convolutions with average pooling, two linear layers; (n, 1, 28, 28) in [0, 1] to (n, 10) logits."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {"mnist_cnn": mnist_cnn}
