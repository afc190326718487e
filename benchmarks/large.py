"""Certificates at d = 150,528: EfficientNet-Lite on photographs; all guarantees, what they say, what memory they take.

Needs the extra ``imagenet``. Usage: python benchmarks/large.py [--model NAME] [--photographs N] [--n_samples N]
[--sigmas S ...] [--device cuda]. Writes benchmarks/results/large.json, or large-cuda.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from alternating import machine, peak_memory_mib

import attricert as ac

RESULTS = Path(__file__).parent / "results"
COSINE = 0.9


def row(certificate: ac.Certificate, seconds: float) -> dict[str, Any]:
    """What is worth telling of one photograph."""
    e = certificate.evidence
    spread, prediction = e.top_variance, e.prediction
    if spread is None or prediction is None:
        raise ValueError("top variance and prediction are among what is proven by default")
    return {
        "max_eps": float(certificate.max_eps(COSINE)[0]),
        "norm": float(certificate.norm[0]),
        "top_variance": float(spread.upper[0]),
        "class_kept": bool(certificate.class_kept[0]),
        "p_lower": float(prediction.p_lower[0]),
        "n_samples": int(e.sampling.n_samples[0] + e.sampling.n_pilot[0]),
        "seconds": round(seconds, 1),
    }


def main() -> int:
    """A line for each photograph and size of noise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="imagenet-efficientnet-lite0")
    parser.add_argument("--photographs", type=int, default=5)
    parser.add_argument("--n_samples", type=int, default=2_000)
    parser.add_argument("--sigmas", type=float, nargs="+", default=[0.25, 0.5])
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    model, data = (
        ac.models.load(asked.model).to(asked.device),
        ac.datasets.load("photographs").slice(0, asked.photographs),
    )
    inputs = data.inputs.to(asked.device)
    with torch.no_grad():
        targets = model(inputs).argmax(dim=1)
    found: dict[str, Any] = {"machine": machine(asked.device), "model": asked.model, "rows": []}
    warnings.simplefilter("ignore", ac.MeaningWarning)  # told by class_kept
    for sigma in asked.sigmas:
        smoothed = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(sigma))
        for x, target, name in zip(inputs, targets, data.ids, strict=True):
            start = time.perf_counter()
            certificate = smoothed.certify(x[None], int(target), n_samples=asked.n_samples, seed=0)
            told = {"photograph": name, "sigma": sigma, **row(certificate, time.perf_counter() - start)}
            found["rows"].append(told)
            print(json.dumps(told), flush=True)
    found["peak_memory_gib"] = round(peak_memory_mib(asked.device) / 1024, 3)
    print(f"peak memory {found['peak_memory_gib']} GiB")
    RESULTS.mkdir(exist_ok=True)
    name = "large.json" if asked.device == "cpu" else f"large-{asked.device.partition(':')[0]}.json"
    (RESULTS / name).write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
