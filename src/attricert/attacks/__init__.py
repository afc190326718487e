"""Attacks on attribution maps: they bound from above what certificates bound from below.

>>> found = attacks.PGD(attacks.TopK(100)).run(ac.Saliency(model), x, y, eps=1.0)
>>> sandwich = attacks.sandwich(certificate, smoothed, x, y, cosine=0.9)
"""

from attricert.attacks.explained import Explained, Plain, Smoothed, explained
from attricert.attacks.losses import Cosine, Loss, MassCenter, TargetMap, TopK
from attricert.attacks.pgd import PGD
from attricert.attacks.problem import Problem
from attricert.attacks.sandwich import ERRORS, Claims, Sandwich, sandwich
from attricert.attacks.simple import Linear, RandomNoise
from attricert.attacks.strong import Strong
from attricert.attacks.template import Attack, Attacked

__all__ = [
    "ERRORS",
    "PGD",
    "Attack",
    "Attacked",
    "Claims",
    "Cosine",
    "Explained",
    "Linear",
    "Loss",
    "MassCenter",
    "Plain",
    "Problem",
    "RandomNoise",
    "Sandwich",
    "Smoothed",
    "Strong",
    "TargetMap",
    "TopK",
    "explained",
    "sandwich",
]
