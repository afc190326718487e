"""Network architectures of the zoo."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import final

from torch import Tensor, nn

from attricert import checks

__all__ = ["ARCHITECTURES", "Rescaled", "Residual", "cifar_resnet", "efficientnet_lite", "mnist_cnn"]


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


@final
class Residual(nn.Module):
    """Two 3 x 3 convolutions with batch norm beside a shortcut (He et al. 2016).

    Args:
        before: channels of the input.
        after: channels of the output.
        stride: of the first convolution.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Sequential()  # nothing: the input itself
        if stride > 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        self.last = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, height, width) to (n, after, height / stride, width / stride)."""
        result: Tensor = self.last(self.body(x) + self.shortcut(x))
        return result


def cifar_resnet() -> nn.Sequential:
    """A small residual network with batch norm, 0.6 million weights; (n, 3, 32, 32) in [0, 1] to (n, 10) logits."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        Residual(32, 64, 2),
        Residual(64, 128, 2),
        Residual(128, 128, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


@final
class Rescaled(nn.Module):
    """A network that takes (255 x - 127) / 128, for inputs x in [0, 1].

    Args:
        network: of inputs in [-127 / 128, 1].
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Whatever the network gives, of the same rows."""
        result: Tensor = self.network((255 * x - 127) / 128)
        return result


def efficientnet_lite(number: int) -> Rescaled:
    """EfficientNet-Lite (Tan and Le 2019; no squeeze-and-excitation, ReLU6); (n, 3, 224, 224) to (n, 1000) logits.

    Inputs are RGB in [0, 1]. From the package efficientnet-lite-pytorch; the networks end in a mean over all places, so
    that Lite1 and Lite2, trained at 240 and 260 pixels, take 224 too.

    Args:
        number: 0, 1 or 2, of 4.7, 5.4 or 6.1 million weights.
    """
    checks.extra("efficientnet_lite_pytorch", "imagenet")
    from efficientnet_lite_pytorch import EfficientNet

    return Rescaled(EfficientNet.from_name(f"efficientnet-lite{number}"))


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "mnist_cnn": mnist_cnn,
    "cifar_resnet": cifar_resnet,
    **{f"efficientnet_lite{number}": partial(efficientnet_lite, number) for number in range(3)},
}
