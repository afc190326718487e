"""Smoothing noise: its laws (NumPy alone), its samplers (torch, imported when first used), and words for it."""

from attricert.noise.laws import NOISES, Gaussian, Noise, UniformBall
from attricert.noise.likelihood import BallRatio, GaussianRatio, LikelihoodRatio
from attricert.noise.sizes import telling_sizes

__all__ = [
    "NOISES",
    "BallRatio",
    "Gaussian",
    "GaussianRatio",
    "LikelihoodRatio",
    "Noise",
    "UniformBall",
    "telling_sizes",
]
