"""Attacks on attribution maps: they bound from above what certificates bound from below.

>>> found = attacks.PGD(attacks.TopKLoss(100)).run(ac.Saliency(model), x, y, eps=1.0)
>>> sandwich = attacks.sandwich(certificate, smoothed, x, y, cosine=0.9)
"""

from attricert.attacks.attacked_map import AttackedMap, PlainMap, SmoothedMap, as_attacked_map
from attricert.attacks.base import Attack, AttackResult
from attricert.attacks.losses import CosineLoss, Loss, MassCenterLoss, TargetMapLoss, TopKLoss
from attricert.attacks.pgd import PGD
from attricert.attacks.problem import AttackProblem
from attricert.attacks.sandwiching import ERRORS, CosineCertificate, Sandwich, sandwich
from attricert.attacks.simple import Linear, RandomNoise
from attricert.attacks.strong import Strong

__all__ = [
    "ERRORS",
    "PGD",
    "Attack",
    "AttackProblem",
    "AttackResult",
    "AttackedMap",
    "CosineCertificate",
    "CosineLoss",
    "Linear",
    "Loss",
    "MassCenterLoss",
    "PlainMap",
    "RandomNoise",
    "Sandwich",
    "SmoothedMap",
    "Strong",
    "TargetMapLoss",
    "TopKLoss",
    "as_attacked_map",
    "sandwich",
]
