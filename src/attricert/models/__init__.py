"""The model zoo: weights and a card each, checked against a SHA-256, loaded without running code that they hold."""

from attricert.models.architectures import ARCHITECTURES, mnist_cnn
from attricert.models.zoo import Card, card, load, names, save

__all__ = ["ARCHITECTURES", "Card", "card", "load", "mnist_cnn", "names", "save"]
