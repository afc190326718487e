"""Coverage of everything at once: an input counts as failed if any of its claims is false.

Usage: python tests/statistical/coverage_campaign.py [--trials 2000]

2,000 trials, shared among twelve worlds, take some six minutes of one core. Maps are functions of one phase of known
law, so all that evidence speaks of is a mean over the quantiles of the phase, whatever the pilot chose. Exits with 1
where more trials fail than a binomial law allows at alpha.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
import torch
from scipy import stats

import attricert as ac

ALPHA, N_SAMPLES, OBSERVED = 0.05, 300, 200
NODES = 4_000  # quantiles of the phase
EPS = (0.1, 0.3, 1.0, 2.5)  # in units of the phase's standard deviation
ORDERED = EPS[1:3]  # at which orders and top sets are looked at, too
QUARTIC = 4  # inputs of each world whose cosine is computed with the fourth moment, which takes time
SHIFTS = 13
START = 0.4
RARE = 0.01
WEIGHTS = np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 0.5]])
_GRID = np.random.default_rng(0).standard_normal((60, 3))
DIRECTIONS = _GRID / np.linalg.norm(_GRID, axis=1, keepdims=True)
ROUNDING = 1e-9


def wave(phase, unit):
    """Turns with the phase."""
    return np.stack([np.cos(START + phase), np.sin(START + phase), 0 * phase], axis=-1)


def rare(phase, unit):
    """Turns round on an event that most pilots do not see."""
    usual = np.stack([0.9 + 0 * phase, 0.3 * np.cos(3 * phase), 0.3 * np.sin(3 * phase)], axis=-1)
    return np.where((phase > unit * stats.norm.ppf(1 - RARE))[..., None], np.array([-0.8, 0.6, 0.0]), usual)


def step(phase, unit):
    """One of two maps."""
    return np.stack([0.8 + 0 * phase, np.where(phase > 0.5 * unit, 0.6, -0.6), 0 * phase], axis=-1)


MAPS = {"wave": wave, "rare": rare, "step": step}
NOISES = {"gaussian": ac.Gaussian(0.3), "ball": ac.UniformBall(0.3 * 5**0.5)}


@dataclass(frozen=True)
class World:
    """One map under one noise; x = 0, and the phase is the first coordinate."""

    shape: str
    noise: ac.Noise
    guarantee: str

    @property
    def unit(self):
        """Standard deviation of the phase: the ball's is that of a Gaussian with the same energy."""
        return 0.3

    def maps(self, phase):
        """Shape (..., 3), of norm at most 1."""
        return MAPS[self.shape](phase, self.unit)

    def law(self):
        """Of the phase at x."""
        if isinstance(self.noise, ac.Gaussian):
            return stats.norm(0, self.noise.sigma)
        r = self.noise.radius
        return stats.beta(2, 2, -r, 2 * r)  # of one coordinate, in three dimensions

    @cached_property
    def phases(self):
        """Quantiles."""
        return self.law().ppf((np.arange(NODES) + 0.5) / NODES)

    @cached_property
    def rows(self):
        """All maps at x, each of the same probability."""
        return self.maps(self.phases)

    @cached_property
    def shifted(self):
        """Smoothed maps at the perturbed inputs within each eps: shape (eps, shifts, 3)."""
        shifts = np.linspace(-1, 1, SHIFTS)
        return np.array([[self.maps(self.phases + e * self.unit * s).mean(axis=0) for s in shifts] for e in EPS])

    @cached_property
    def probability(self):
        """Of class 1."""
        return float((self.phases > -0.2 * self.unit).mean())

    def smoothed(self):
        """The library's view of it."""

        def g(x, target):
            return torch.from_numpy(self.maps(x[:, 0].numpy()))

        def classes(x):
            return torch.stack([torch.full_like(x[:, 0], -0.2 * self.unit), x[:, 0]], dim=1)

        return ac.SmoothedAttribution(g, self.noise, ac.Clip(1.0), classifier=classes, batch_size=1_000)

    def certificates(self, trials, seed=0):
        """So many, of the same input and of draws of their own; all that can be proven."""
        prove = ["top_variance", "cone", "fourth", "entries", "prediction"]
        guarantee = ac.Observed(OBSERVED) if self.guarantee == "observed" else "population"
        return self.smoothed().certify(
            torch.zeros(trials, 3, dtype=torch.float64),
            n_samples=N_SAMPLES,
            alpha=ALPHA,
            seed=seed,
            prove=prove,
            guarantee=guarantee,
            functionals=torch.from_numpy(WEIGHTS),
            sample_ids=[str(i) for i in range(trials)],
        )


WORLDS = [World(*parts) for parts in product(MAPS, NOISES.values(), ("population", "observed"))]


def false_claims(world, certificate, seed=1):
    """Which claims are false of which inputs: name to flags, shape (trials,)."""
    return {**false_pieces(world, certificate.evidence), **false_at_eps(world, certificate, seed)}


def false_pieces(world, e):
    """Of what sampling has shown at x, around the pilot's means."""
    rows, h = world.rows, world.rows.mean(axis=0)
    found = {
        "norm": e.norm.lower > np.linalg.norm(h) + ROUNDING,
        "entries": ((e.entries.low > h + ROUNDING) | (e.entries.high < h - ROUNDING)).any(axis=1),
        "functionals": (
            (e.functionals.low > WEIGHTS @ h + ROUNDING) | (e.functionals.high < WEIGHTS @ h - ROUNDING)
        ).any(axis=1),
        "p_lower": (e.prediction.p_lower > world.probability + 1 / NODES) & (e.prediction.label == 1),
    }
    several = ("drift", "top variance", "max deviation", "inside variance", "masses", "fourth", "entries' second")
    found.update({name: np.zeros(len(e), dtype=bool) for name in several})
    for i in range(len(e)):
        m = e.entries.center[i]
        u = m / np.linalg.norm(m)
        q = rows - m
        along = rows @ u
        across = np.linalg.norm(rows - along[:, None] * u, axis=1)
        c = e.cone
        found["drift"][i] = c.drift[i] < np.linalg.norm(h - m) - ROUNDING
        found["top variance"][i] = e.top_variance.upper[i] < top(q) - ROUNDING
        found["max deviation"][i] = e.top_variance.max_deviation[i] < np.linalg.norm(q, axis=1).max() - ROUNDING
        holds = (along[:, None] >= c.along[i]) & (across[:, None] <= c.across[i])
        # Quantiles tell a mass to one in so many.
        found["masses"][i] = ((~holds).mean(axis=0) - 1 / NODES > c.outside[i]).any()
        stretched = (q + (c.stretch[i] - 1) * np.outer(q @ u, u)) * holds[:, -1:]
        found["inside variance"][i] = c.variance[i] < top(stretched) - ROUNDING
        fourth = ((stretched @ DIRECTIONS.T) ** 4).mean(axis=0).max()
        found["fourth"][i] = e.fourth.upper[i] < fourth - ROUNDING
        values = WEIGHTS @ m
        second = (((rows @ WEIGHTS.T) - values) ** 2).mean(axis=0)
        found["entries' second"][i] = (e.entries.second[i] < (q**2).mean(axis=0) - ROUNDING).any() or (
            e.functionals.second[i] < second - ROUNDING
        ).any()
    return found


def top(q):
    """The largest eigenvalue of the mean of qq^T."""
    return np.linalg.eigvalsh(q.T @ q / len(q))[-1]


def false_at_eps(world, certificate, seed):
    """Of cosines, intervals and orders at perturbed inputs: of h, or of fresh averages."""
    found = {name: np.zeros(len(certificate), dtype=bool) for name in ("cosine", "intervals", "order", "top set")}
    rng = np.random.default_rng(seed)
    h = world.rows.mean(axis=0)
    sizes = [e * world.unit for e in EPS]
    cosines = ac.Certificate(replace(certificate.evidence, fourth=None)).cosine(sizes)
    if certificate.evidence.fourth is not None:
        cosines[:QUARTIC] = certificate[:QUARTIC].cosine(sizes)
    for j, eps in enumerate(sizes):
        low, high = certificate.intervals(eps)
        none = np.full(len(certificate), -1.0)
        ordered = EPS[j] in ORDERED
        tau = certificate.kendall_tau(eps) if ordered else none
        overlap = certificate.top_k_overlap(eps, 1) if ordered else none
        for i in range(len(certificate)):
            here, there = h[None], world.shifted[j]
            if world.guarantee == "observed":
                # Two averages: the second at a perturbed input that is fixed in advance, the worst one for h.
                cosine = there @ h / np.linalg.norm(there, axis=1)
                away = (np.argmin(cosine) * 2 / (SHIFTS - 1) - 1) * eps
                draws = world.law().ppf(rng.random((2, OBSERVED)))
                here, there = (world.maps(draws[k] + shift).mean(axis=0)[None] for k, shift in ((0, 0.0), (1, away)))
            seen = (there @ here[0]) / np.linalg.norm(there, axis=1) / np.linalg.norm(here[0])
            found["cosine"][i] |= bool(seen.min() < cosines[i, j] - ROUNDING)
            found["intervals"][i] |= bool(((there < low[i] - ROUNDING) | (there > high[i] + ROUNDING)).any())
            pairs = np.broadcast_to(here, there.shape)
            tau_seen = ac.metrics.kendall_tau(pairs, there, variant="a").min()
            found["order"][i] |= bool(tau_seen < tau[i] - ROUNDING)
            kept = (there.argmax(axis=1) == here[0].argmax()).all()
            found["top set"][i] |= bool(not kept and overlap[i] > 0)
    return found


def naive(evidence):
    """What the draws' plain mean would claim: the control."""
    mean, center = evidence.maps.mean, evidence.entries.center
    norm = np.linalg.norm(mean, axis=1)
    return replace(
        evidence,
        norm=replace(evidence.norm, lower=np.minimum(norm, 1.0)),
        cone=replace(evidence.cone, drift=np.linalg.norm(mean - center, axis=1), outside=0 * evidence.cone.outside),
        entries=replace(evidence.entries, low=mean, high=mean),
        functionals=replace(evidence.functionals, low=mean @ WEIGHTS.T, high=mean @ WEIGHTS.T),
    )


def most(trials):
    """Failures that a claim of exactly 1 - alpha exceeds in one of a thousand such tests."""
    return int(stats.binom(trials, ALPHA).ppf(0.999))


def failures(world, trials):
    """How many inputs fail, and of which claims, how often."""
    found = false_claims(world, world.certificates(trials))
    failed = int(np.logical_or.reduce(list(found.values())).sum())
    return failed, Counter({name: int(flags.sum()) for name, flags in found.items() if flags.any()})


def main(argv=None):
    """All worlds, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2_000, help="in all")
    trials = -(-parser.parse_args(argv).trials // len(WORLDS))
    torch.set_num_threads(1)
    whole, start = 0, time.perf_counter()
    for world in WORLDS:
        failed, each = failures(world, trials)
        whole += failed
        took = time.perf_counter() - start
        print(
            f"{world.shape}, {world.noise!r}, {world.guarantee}: {failed} of {trials} {dict(each)} {took:.0f} s",
            flush=True,
        )
    allowed = most(trials * len(WORLDS))
    print(f"all: {whole} of {trials * len(WORLDS)} failed, {allowed} are allowed")
    return 0 if whole <= allowed else 1


if __name__ == "__main__":
    sys.exit(main())
