"""Speed and memory of `certify`, and what it certifies; `make bench` writes benchmarks/results/.

Rates are measured alternately, on the same digits, model, batch size and threads, and compared by ratio. The bare loop
computes gradients of clean copies in one fixed batch, with no noise, no statistics and nothing kept: what no
certification can beat. NoiseTunnel is Captum's, around its Saliency, at its fastest setting for this batch size.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import captum.attr
import torch

import attricert as ac

BATCH = 128  # what certify chooses for this model
DRAWS = 10_240
ROUNDS = 16
RESULTS = Path(__file__).parent / "results"


def setting() -> tuple[torch.nn.Module, torch.Tensor, int]:
    """The standard model and one test digit."""
    image, label = ac.datasets.load("mnist", split="sample")[0]
    return ac.models.load("mnist-standard"), image[None], label


def bare_loop(model: torch.nn.Module, x: torch.Tensor, target: int, draws: int) -> None:
    """Forward and backward to the input, again and again."""
    batch = x.repeat(BATCH, 1, 1, 1)
    for _ in range(draws // BATCH):
        leaf = batch.detach().requires_grad_()
        torch.autograd.grad(model(leaf)[:, target].sum(), leaf)


def noise_tunnel(model: torch.nn.Module, x: torch.Tensor, target: int, draws: int) -> None:
    """Captum's SmoothGrad."""
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(model))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tunnel.attribute(
            x, nt_type="smoothgrad", nt_samples=draws, nt_samples_batch_size=BATCH, stdevs=0.125, target=target
        )


Contender = Callable[[torch.nn.Module, torch.Tensor, int, int], None]


def certify(noise: ac.UniformBall | ac.Gaussian, *, everything: bool) -> Contender:
    """Ours: pilot, noise, bound, statistics, confidence bounds; of the norm alone, or of all that can be proven."""
    prove = None if everything else ()

    def run(model: torch.nn.Module, x: torch.Tensor, target: int, draws: int) -> None:
        smoothed = ac.SmoothedAttribution(ac.Saliency(model), noise, batch_size=BATCH)
        smoothed.certify(x, target, n_samples=draws, seed=0, prove=prove)

    return run


CONTENDERS = {
    "bare loop": bare_loop,
    "norm alone, UniformBall(3.5)": certify(ac.UniformBall(3.5), everything=False),
    "norm alone, Gaussian(0.125)": certify(ac.Gaussian(0.125), everything=False),
    "everything, Gaussian(0.125)": certify(ac.Gaussian(0.125), everything=True),
    "Captum NoiseTunnel": noise_tunnel,
}


def rates() -> dict[str, list[float]]:
    """Gradient samples per second, each contender once a round, in an order that rotates."""
    model, x, target = setting()
    names = list(CONTENDERS)
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(ROUNDS + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.perf_counter()
            CONTENDERS[name](model, x, target, DRAWS)
            if turn > 0:  # the first is a warm-up
                found[name].append(DRAWS / (time.perf_counter() - start))
    return found


def peak_memory(draws: int) -> float:
    """Peak resident MiB of a process that certifies one digit."""
    command = [sys.executable, __file__, "--memory", str(draws)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def digits(n_samples: int = 10_000, count: int = 20) -> dict[str, dict[str, float]]:
    """What is certified of the first test digits; each row has draws of its own, but for the printed formula."""
    model, data = ac.models.load("mnist-standard"), ac.datasets.load("mnist", split="sample").slice(0, count)
    saliency, gaussian = ac.Saliency(model), ac.Gaussian(3.5 / 786**0.5)

    def run(noise: ac.UniformBall | ac.Gaussian, bound: ac.Normalize, prove: tuple[str, ...] | None) -> ac.Certificate:
        smoothed = ac.SmoothedAttribution(saliency, noise, bound)
        return smoothed.certify(data.images, data.labels, n_samples=n_samples, alpha=1e-3, seed=0, prove=prove)

    uniform = run(ac.UniformBall(3.5), ac.Normalize(), ())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ac.NotABoundWarning)
        printed = ac.PaperCertificate(uniform.evidence)
    found = {
        "uniform, printed formula (no bound)": printed,
        "uniform, total variation": uniform,
        "uniform, all": run(ac.UniformBall(3.5), ac.Normalize(), None),
        "Gaussian, total variation": run(gaussian, ac.Normalize(), ()),
        "Gaussian, all": run(gaussian, ac.Normalize(), None),
        "Gaussian, all, entries clipped at 0.15": run(gaussian, ac.Normalize(max_entry=0.15), None),
    }
    return {name: _summary(certificate) for name, certificate in found.items()}


def _summary(certificate: ac.Certificate | ac.PaperCertificate, eps: float = 0.02) -> dict[str, float]:
    row = {f"max_eps({t})": float(certificate.max_eps(t).mean()) for t in (0.8, 0.9)}
    if isinstance(certificate, ac.PaperCertificate) or certificate.evidence.entries is None:
        return row
    return {
        **row,
        "top 100": float(certificate.top_k_overlap(eps, 100).mean()),
        "top 100, absolute": float(certificate.top_k_overlap(eps, 100, absolute=True).mean()),
        "certain signs": float((certificate.signs(eps) != 0).mean()),
        "tau": float(certificate.kendall_tau(eps).mean()),
        "prediction radius": float(certificate.prediction_radius().mean()),
    }


def report() -> str:
    """Run everything and put it in Markdown."""
    found = rates()
    base, tunnel = found["bare loop"], found["Captum NoiseTunnel"]
    lines = ["| | samples/s (median) | ratio to bare loop: median (quartiles) | ratio to NoiseTunnel: median |"]
    lines += ["|---|---|---|---|"]
    for name, values in found.items():
        ratios = [a / b for a, b in zip(values, base, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        to_tunnel = statistics.median(a / b for a, b in zip(values, tunnel, strict=True))
        row = f"{statistics.median(values):,.0f} | {middle:.3f} ({low:.3f} to {high:.3f}) | {to_tunnel:.3f}"
        lines.append(f"| {name} | {row} |")
    small, large = peak_memory(10_000), peak_memory(100_000)
    lines += [
        "",
        "| draws | peak memory, MiB |",
        "|---|---|",
        f"| 10,000 | {small:.1f} |",
        f"| 100,000 | {large:.1f} |",
    ]
    lines += ["", f"Ratio: {large / small:.4f}", ""]
    certified = digits()
    names = list(certified["Gaussian, all"])
    lines += [
        "| mean over digits 0-19; entries at eps = 0.02 | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for method, row in certified.items():
        cells = (f"{row[name]:.5f}" if name in row else "" for name in names)
        lines.append(f"| {method} | {' | '.join(cells)} |")
    RESULTS.mkdir(exist_ok=True)
    raw = {
        "rates": found,
        "memory_mib": {"10000": small, "100000": large},
        "digits": certified,
        "threads": torch.get_num_threads(),
    }
    (RESULTS / "results.json").write_text(json.dumps(raw, indent=2))
    text = "\n".join(lines)
    (RESULTS / "results.md").write_text(text + "\n")
    return text


def main() -> None:
    """All benchmarks, or (in a process of its own) one memory measurement."""
    if sys.argv[1:2] == ["--memory"]:
        model, x, target = setting()
        certify(ac.Gaussian(0.125), everything=True)(model, x, target, int(sys.argv[2]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        print(report())


if __name__ == "__main__":
    main()
