"""Attributions whose smoothed value is known exactly (docs/theory.md 10)."""

import math

import numpy as np
import torch
from scipy import special


def on_lattice(points, deviation):
    """What g is given in place of points, under noise of this standard deviation (theory 5)."""
    step = 2.0 ** math.floor(math.log2(deviation / 256))
    return torch.round(points / step) * step


def rotor(k):
    """(cos k.x, sin k.x, 0, ...), of norm 1 everywhere."""

    def g(inputs, target):
        phase = inputs @ torch.as_tensor(k, dtype=inputs.dtype)
        out = torch.zeros_like(inputs)
        out[:, 0], out[:, 1] = torch.cos(phase), torch.sin(phase)
        return out

    return g


def rotor_norm(k, noise):
    """||h||, the same at every x."""
    size = float(np.linalg.norm(k))
    if hasattr(noise, "sigma"):
        return math.exp(-((noise.sigma * size) ** 2) / 2)
    d, s = len(k), size * noise.radius
    return float(special.gamma(d / 2 + 1) * (2 / s) ** (d / 2) * special.jv(d / 2, s))


def crescents(d, r, eps, lost_mass, ratio=1.5):
    """The attribution that attains the sound bound between x = 0 and eps * e1; theory 9.1.

    Returns g and the true cosine between h at both points; ||h(0)|| = ratio * D.
    """
    p, big_d = lost_mass, 2 * lost_mass
    c = ratio * big_d
    v = np.zeros(d)
    v[0], v[1] = -(big_d**2) / c, big_d * math.sqrt(1 - (big_d / c) ** 2)
    a, b = -v / 2, v / 2
    k = -a
    k[0] += c
    assert np.linalg.norm(k) <= 1 - p  # the common part obeys the bound too
    away = np.zeros(d)
    away[0] = eps
    parts = [torch.tensor(part) for part in (a / p, b / p, k / (1 - p))]

    def g(inputs, target):
        here = inputs.double().norm(dim=1) <= r
        there = (inputs.double() - torch.tensor(away)).norm(dim=1) <= r
        out = torch.zeros(inputs.shape, dtype=torch.float64)
        out[here & ~there], out[~here & there], out[here & there] = parts[0], parts[1], parts[2]
        return out.to(inputs.dtype)

    return g, math.sqrt(1 - (big_d / c) ** 2)
