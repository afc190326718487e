"""The model zoo: safetensors and a card each, checked against a SHA-256, loaded without pickle."""

from attricert.models.architectures import ARCHITECTURES, mnist_cnn
from attricert.models.zoo import Card, card, load, names, save

__all__ = ["ARCHITECTURES", "Card", "card", "load", "mnist_cnn", "names", "save"]
