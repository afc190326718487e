"""Functions that try to make certificates false, each a deterministic attribution, row by row; and how they fare."""

import dataclasses

import numpy as np
import torch
from scipy import stats

import attricert as ac
from attricert.errors import ArgumentError
from attricert.options import Options

SIGMA, D = 0.25, 784
EPS = 0.33 * SIGMA


def last_bits(x, direction):
    """+direction where every entry could be the float sum of x and a float number, else -direction.

    Where a sum is smaller than the noise in it, the noise had no bits as fine as its own: those are of x
    (Jin, Ohrimenko, Rubinstein: Getting a-Round Guarantees, 2022).
    """
    x = x.flatten()

    def g(inputs, target):
        z = inputs.flatten(1)
        there = z - x
        back = there - z
        lost = (z - (there - back)) - (x + back)  # what the difference lost to rounding (Knuth's two-sum)
        strange = (lost != 0) & (there.abs() > z.abs()) & (z.abs() < 4 * x.abs())
        known = strange.double().mean(dim=1) < 0.002
        return torch.where(known[:, None], 1.0, -1.0).to(z).mul(direction.to(z)).reshape(inputs.shape)

    return g


def signs_of_zeros(direction):
    """+direction where more zeros are negative than positive, -direction where fewer, or as many."""

    def g(inputs, target):
        z = inputs.flatten(1)
        negative = ((z == 0) & torch.signbit(z)).sum(dim=1) > ((z == 0) & ~torch.signbit(z)).sum(dim=1)
        return torch.where(negative[:, None], 1.0, -1.0).to(z).mul(direction.to(z)).reshape(inputs.shape)

    return g


def blanking(model, features):
    """Occlusion, one feature at a time, that forgets to put back what it has blanked."""

    def g(inputs, target):
        with torch.no_grad():
            rows, full, out = torch.arange(len(inputs)), model(inputs.clone()), torch.zeros_like(inputs)
            for j in range(features):
                inputs[:, j] = 0.0
                out[:, j] = (full - model(inputs.clone()))[rows, target]
        return out

    return g


def as_numpy(g):
    """The same attribution for NumPy arrays, whose memory it changes."""
    return lambda inputs, target: g(torch.from_numpy(inputs), torch.from_numpy(target)).numpy()


def promise_breaker(b, usual, other):
    """``usual``, without negative entries, up to b; ``other``, which has some, beyond."""

    def g(inputs, target):
        return torch.where(inputs[:, :1] > b, torch.as_tensor(other).to(inputs), torch.as_tensor(usual).to(inputs))

    return g


def pair(seed, dtype=torch.float32):
    """An input, and one at a distance of EPS."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.rand(D, generator=rng, dtype=dtype)
    delta = torch.randn(D, generator=rng, dtype=dtype)
    return x[None], (x + EPS * delta / delta.norm())[None]


def _is_false(sm, x, moved, certificate, seed, like):
    """Whether the map turns by more than was certified, as sampled at the other input in the same way."""
    options = Options(n_samples=200, seed=seed, prove=())
    there = sm.certify_with(options, moved, sample_ids=["there"], like=like)
    one, two = (c.maps.ravel() for c in (certificate, there))
    return bool(certificate.cosine(EPS)[0] > one @ two / np.linalg.norm(one) / np.linalg.norm(two))


def false_claims(seeds, make, *, exact, dtype=torch.float32):
    """How many certificates are false, one for each seed."""
    direction, found = torch.eye(D)[0], 0
    for seed in seeds:
        x, moved = pair(seed, dtype)
        sm = ac.SmoothedAttribution(make(x, direction), ac.Gaussian(SIGMA))
        certificate = sm.certify(x, n_samples=200, alpha=1e-3, seed=seed, prove=())
        like = certificate.evidence.terms
        if not exact:
            like = dataclasses.replace(like, lattice=None)
            certificate = sm.certify_with(Options(n_samples=200, seed=seed, prove=()), x, like=like)
        assert certificate.cosine(EPS)[0] > 0.9
        found += _is_false(sm, x, moved, certificate, seed, like)
    return found


def broken_promises(seeds, n=500):
    """An attribution without negative entries, but with probability 1e-4 at x, and mostly at x~.

    Returns:
        In how many of the certificates the break was seen and refused; how many are false of |g|; and of g.
    """
    sigma, usual, other = 1.0, np.array([1.0, 0.0]), np.array([-0.8, 0.6])
    b, eps = sigma * stats.norm.isf(1e-4), np.array([0.5, 1.0, 2.0, 4.5])
    p = stats.norm.sf((b - np.concatenate([[0.0], eps])) / sigma)[:, None]

    def cosines(other):
        h = (1 - p) * usual + p * other
        return h[1:] @ h[0] / np.linalg.norm(h[1:], axis=1) / np.linalg.norm(h[0])

    g = ac.wrap(promise_breaker(b, usual, other), nonnegative=True)
    sm, x = ac.SmoothedAttribution(g, ac.Gaussian(sigma), ac.Clip(1.0)), torch.zeros(1, 2, dtype=torch.float64)
    seen = false = of_g = 0
    for seed in seeds:
        try:
            certificate = sm.certify(x, n_samples=n, alpha=1e-3, seed=seed, prove=["cone", "entries"])
        except ArgumentError:
            seen += 1
            continue
        low, high = (bound[0] for bound in certificate.intervals(eps[-1]))
        entries = [(1 - p[-1]) * usual + p[-1] * values for values in (np.abs(other), other)]
        outside = [bool(((at < low) | (at > high)).any()) for at in entries]
        claimed = certificate.cosine(eps)[0]
        false += bool((claimed > cosines(np.abs(other))).any()) or outside[0]
        of_g += bool((claimed > cosines(other)).any()) or outside[1]
    return seen, false, of_g
