"""Attacks on every certificate there is, by the thousand: none may be crossed, and planted wrong ones must be.

Usage: python tests/soundness/campaign.py FOLDER [--units waves=200 steps=130 digits=60]

Each unit leaves a file in FOLDER; those that are there are not done again. Exits with 1 where a claim was crossed, or a
planted false claim was not.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from adversaries import blanking, broken_promises, false_claims, last_bits
from functions import crescents, rotor_norm

import attricert as ac
from attricert import attacks
from attricert.errors import InPlaceWarning
from attricert.files import write_atomically

INPUTS = 64  # of an analytic unit
DIGITS = 10  # of a unit of digits
DRAWS, JUDGED = 2_000, 1_000  # that certify a digit, and that judge an attack on it
UNITS = {"waves": 200, "steps": 130, "digits": 60}
THRESHOLDS = (0.9, 0.5, 0.99)
ALPHA = 1e-9  # of the certificates attacked: no crossing is to be expected in any number of them

OPEN = {"keep_label": False, "data_range": None}


# Functions whose smoothed value is known, and differentiable.


def waves(rng, d, noise):
    """Sums of waves: g = sum_j v_j cos(k_j.x + phi_j); smoothing shortens each."""
    terms = int(rng.integers(2, 6))
    k = torch.from_numpy(rng.standard_normal((terms, d)) / math.sqrt(d) * rng.uniform(0.3, 1.5) / typical(noise, d))
    v, phase = torch.from_numpy(rng.standard_normal((terms, d))), torch.from_numpy(rng.uniform(0, 6.28, terms))
    v = v / v.norm(dim=1).sum()
    shrunk = torch.tensor([rotor_norm(row.numpy(), noise) for row in k])

    def wave(x, size):
        return ((x @ k.T + phase).cos() * size) @ v

    return (lambda x, t: wave(x, torch.ones(terms, dtype=x.dtype))), lambda x, t: wave(x, shrunk)


def steps(rng, d, noise):
    """Sums of half-spaces: g = sum_j v_j sign(w_j.x - b_j); Gaussian smoothing makes each an error function."""
    terms = int(rng.integers(2, 6))
    w = torch.from_numpy(rng.standard_normal((terms, d)))
    w = w / w.norm(dim=1, keepdim=True)
    v, b = torch.from_numpy(rng.standard_normal((terms, d))), torch.from_numpy(rng.standard_normal(terms) * noise.sigma)
    v = v / v.norm(dim=1).sum()

    def heights(x):
        return x @ w.T - b

    return (
        lambda x, t: torch.where(heights(x) > 0, 1.0, -1.0).to(x.dtype) @ v,
        lambda x, t: torch.erf(heights(x) / (noise.sigma * math.sqrt(2))) @ v,
    )


def typical(noise, d):
    """Its standard deviation along a line."""
    return noise.sigma if isinstance(noise, ac.Gaussian) else noise.radius / math.sqrt(d + 2)


FAMILIES = {"waves": waves, "steps": steps}


def analytic(kind, index):
    """One random function, certified at many inputs, and attacked on its exact smoothed map."""
    rng = np.random.default_rng([index, len(kind)])
    d, scale = int(rng.choice([2, 3, 8, 32, 128])), float(rng.uniform(0.05, 1.0))
    gaussian = kind == "steps" or index % 3 > 0
    noise = ac.Gaussian(scale) if gaussian else ac.UniformBall(scale * math.sqrt(d + 2))
    g, h = FAMILIES[kind](rng, d, noise)
    fourth = gaussian and index % 4 == 0
    sm = ac.SmoothedAttribution(ac.wrap(g), noise, ac.Clip(1.0), batch_size=4_000)
    x = torch.from_numpy(rng.standard_normal((INPUTS, d)))
    n = 1_000 if fourth else 4_000  # fourth moments take time
    prove = ["cone", "entries", *(["fourth"] if fourth else [])]
    certificate = sm.certify(x, n_samples=n, alpha=ALPHA, seed=index, prove=prove)
    eps = certificate.max_eps(THRESHOLDS[index % 3])
    certified = np.flatnonzero(eps > 0)
    if not len(certified):
        return {"attacked": 0, "crossed": 0, "margin": None}
    x, eps = x[certified], eps[certified]
    loss = attacks.TopKLoss(max(1, d // 4)) if index % 5 == 4 else attacks.CosineLoss()
    found = attacks.Strong(loss).run(ac.wrap(h), x, eps=eps, seed=index, **OPEN)
    sizes, here, there = found.size.numpy(), found.clean.numpy(), found.maps.numpy()
    margins = [float(found.cosine[row]) - certificate.cosine(sizes[row])[i] for row, i in enumerate(certified)]
    crossed = int((np.array(margins) < -1e-9).sum())
    for row, i in enumerate(certified):
        crossed += entries_crossed(certificate[i : i + 1], sizes[row], here[row], there[row])
    return {"attacked": len(certified), "crossed": crossed, "margin": float(min(margins))}


def entries_crossed(certificate, eps, here, there):
    """Whether intervals, top set or order of one input claim too much."""
    slack, d = 1e-9, len(there)
    low, high = (bound[0] for bound in certificate.intervals(eps))
    wrong = bool(((there < low - slack) | (there > high + slack)).any())
    k = max(1, d // 4)
    overlap = ac.metrics.top_k_intersection(torch.from_numpy(here)[None], torch.from_numpy(there)[None], k)
    wrong |= float(overlap) < certificate.top_k_overlap(eps, k)[0] - slack
    wrong |= ac.metrics.kendall_tau(here[None], there[None], variant="a")[0] < certificate.kendall_tau(eps)[0] - slack
    return int(wrong)


# Real digits.

SETTINGS = [
    (ac.Saliency, ac.Gaussian(0.125), ac.Normalize(), {"prove": ["cone"]}),
    (ac.Saliency, ac.UniformBall(3.5), ac.Normalize(), {"prove": ["cone"]}),
    (ac.Saliency, ac.Gaussian(0.25), ac.Normalize(max_entry=0.15), {"prove": ["cone"]}),
    (lambda model: ac.Saliency(model, abs=True), ac.Gaussian(0.125), ac.Normalize(), {"prove": ["cone"]}),
    (ac.InputXGradient, ac.Gaussian(0.125), ac.Clip(5.0), {"prove": ["cone"]}),
    (ac.Saliency, ac.Gaussian(0.125), ac.Normalize(), {"prove": ["fourth"]}),
]


def digits(index):
    """Ten digits in one of the settings, attacked at the certified size under the strong attack."""
    make, noise, bound, settings = SETTINGS[index % len(SETTINGS)]
    model, data = ac.models.load("mnist-standard"), ac.datasets.load("mnist", split="sample")
    first = DIGITS * (index // len(SETTINGS) % (len(data) // DIGITS))
    x, y = data.images[first : first + DIGITS], data.labels[first : first + DIGITS]
    sm = ac.SmoothedAttribution(make(model), noise, bound)
    certificate = sm.certify(x, y, n_samples=DRAWS, alpha=ALPHA, seed=index, **settings)
    eps = certificate.max_eps(THRESHOLDS[index // len(SETTINGS) % 2])
    certified = np.flatnonzero(eps > 0)
    if not len(certified):
        return {"attacked": 0, "crossed": 0, "margin": None}
    attack = attacks.Strong(budget=BUDGET)
    found = attack.run(sm, x[certified], y[certified], eps=eps[certified], n_samples=JUDGED, seed=index, **OPEN)
    claims = np.array([certificate.cosine(float(size))[i] for size, i in zip(found.size, certified, strict=True)])
    margins = found.cosine.numpy() - claims
    crossed = margins + attacks.ERRORS * found.cosine_error.numpy() < 0
    return {"attacked": len(certified), "crossed": int(crossed.sum()), "margin": float(margins.min())}


BUDGET = 0.1


# False claims, which must be found out.


def planted_printed():
    """The theorem as printed, on the crescents; attacked through draws, as their smoothed map has no simple form."""
    d, r, eps = 2, 1.0, 0.3
    noise = ac.UniformBall(r)
    g, _ = crescents(d, r, eps, float(noise.lost_mass(eps, d)))
    sm = ac.SmoothedAttribution(ac.wrap(g), noise, ac.Clip(1.0), batch_size=10_000)
    x = torch.zeros(1, d, dtype=torch.float64)
    sound = sm.certify(x, n_samples=40_000, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ac.NotABoundWarning)
        printed = ac.PaperCertificate(sound.evidence)
        found = attacks.Strong(budget=4.0).run(sm, x, eps=eps, n_samples=40_000, seed=0, **OPEN)
        claims = [claim.cosine(float(found.size))[0] for claim in (printed, sound)]
    least = float(found.cosine + attacks.ERRORS * found.cosine_error)
    cosine = float(found.cosine)
    return {"caught": bool(least < claims[0]), "sound_holds": bool(cosine >= claims[1]), "cosine": cosine}


def half_spread(evidence):
    """Half the top variance, and nothing else that is known."""
    spread = evidence.top_variance
    return dataclasses.replace(evidence, cone=None, top_variance=dataclasses.replace(spread, upper=spread.upper / 2))


def half_cone(evidence):
    """Half the variance inside a cone."""
    return dataclasses.replace(evidence, cone=dataclasses.replace(evidence.cone, variance=evidence.cone.variance / 2))


def planted_spread(halve):
    """On a rotor, whose map turns as fast as the variance allows."""
    k = torch.tensor([0.8, 0.6], dtype=torch.float64)
    noise = ac.Gaussian(0.1)

    def g(x, t):
        return torch.stack([(x @ k).cos(), (x @ k).sin()], dim=1)

    x = torch.zeros(1, 2, dtype=torch.float64)
    sm = ac.SmoothedAttribution(ac.wrap(g), noise, batch_size=10_000)
    sound = sm.certify(x, n_samples=100_000, seed=0, prove=["cone"])
    halved = ac.Certificate(halve(sound.evidence))
    caught = {}
    for name, certificate in (("sound", sound), ("halved", halved)):
        eps = certificate.max_eps(math.cos(0.01))
        found = attacks.Strong().run(ac.wrap(g), x, eps=eps, seed=0, **OPEN)
        caught[name] = bool(float(found.cosine) < certificate.cosine(float(found.size))[0] - 1e-12)
    return {"caught": caught["halved"], "sound_holds": not caught["sound"]}


SEEDS = 1_000  # of the attack on the last bits of sums; a tenth of them elsewhere


def planted_bits():
    """Sums whose last bits tell x from x~; those that are rounded to a lattice do not (theory 5)."""
    caught = false_claims(range(SEEDS // 10), last_bits, exact=False)
    false = false_claims(range(SEEDS), last_bits, exact=True)
    return {"caught": caught == SEEDS // 10, "sound_holds": false == 0, "false": false, "seeds": SEEDS}


def planted_promise():
    """That no entry is negative: broken too rarely to be seen. Of g claims are false, of |g| they hold."""
    seen, false, of_g = broken_promises(range(SEEDS // 5))
    return {"caught": of_g == SEEDS // 5 - seen, "sound_holds": false == 0, "false": false, "seeds": SEEDS // 5}


def planted_in_place():
    """A classifier that sees what an attribution has left of the inputs; and one that sees the inputs."""
    false, seeds = Counter(), max(SEEDS // 10, 5)
    for seed in range(seeds):
        torch.manual_seed(seed)
        model = torch.nn.Linear(8, 3).eval()
        x, g = torch.rand(1, 8), blanking(model, 8)

        def spoiled(z, model=model):
            with torch.no_grad():
                return model(0 * z)

        target = model(x).argmax(dim=1)
        truth = int(model(x + 0.05 * torch.randn(4_000, 8)).argmax(dim=1).mode().values)
        for name, classifier in (("spoiled", spoiled), ("copies", model)):
            sm = ac.SmoothedAttribution(ac.wrap(g), ac.Gaussian(0.05), classifier=classifier)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InPlaceWarning)
                warnings.simplefilter("ignore", ac.MeaningWarning)  # which spoiled votes bring about
                found = sm.certify(x, target, n_samples=200, seed=seed, prove=["prediction"])
            false[name] += int(found.prediction[0] != truth and found.prediction_radius()[0] > 0)
    return {"caught": false["spoiled"] > 0, "sound_holds": false["copies"] == 0, **false, "seeds": seeds}


PLANTED = {
    "bits": planted_bits,
    "in-place": planted_in_place,
    "promise": planted_promise,
    "printed": planted_printed,
    "spread": lambda: planted_spread(half_spread),
    "cone": lambda: planted_spread(half_cone),
}


def done(folder, name, work):
    """What a unit found; from its file, if it was done before."""
    path = folder / f"{name}.json"
    if not path.exists():
        start = time.perf_counter()
        result = {**work(), "seconds": round(time.perf_counter() - start, 2)}
        write_atomically(path, json.dumps(result).encode())
        print(f"{name}: {result}", flush=True)
    return json.loads(path.read_text())


def main(argv=None):
    """Run what is left to run, and sum up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--units", nargs="*", default=[], metavar="KIND=COUNT")
    options = parser.parse_args(argv)
    units = {**UNITS, **{kind: int(count) for kind, count in (part.split("=") for part in options.units)}}
    options.folder.mkdir(parents=True, exist_ok=True)
    planted = {name: done(options.folder, f"planted-{name}", work) for name, work in PLANTED.items()}
    attacked, crossed, margins, seconds = Counter(), Counter(), {}, 0.0
    for kind, count in units.items():
        for index in range(count):
            work = (lambda i=index: digits(i)) if kind == "digits" else (lambda i=index, k=kind: analytic(k, i))
            result = done(options.folder, f"{kind}-{index}", work)
            attacked[kind] += result["attacked"]
            crossed[kind] += result["crossed"]
            seconds += result["seconds"]
            if result["margin"] is not None:
                margins[kind] = min(margins.get(kind, math.inf), result["margin"])
    for kind in units:
        print(f"{kind}: {attacked[kind]:,} attacked, {crossed[kind]} crossed, margin {margins.get(kind, math.nan):.4g}")
    total, wrong = sum(attacked.values()), sum(crossed.values())
    print(f"all: {total:,} attacked samples in {seconds / 60:.1f} minutes, {wrong} crossings")
    for name, result in planted.items():
        print(f"planted {name}: {'caught' if result['caught'] else 'MISSED'}; sound one holds: {result['sound_holds']}")
    fine = all(result["caught"] and result["sound_holds"] for result in planted.values())
    return 0 if fine and wrong == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
