"""What is certified of the first MNIST test digits, by noise and bound: `python benchmarks/certified.py`."""

from __future__ import annotations

import warnings

import attricert as ac


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


def main() -> None:
    """The table."""
    certified = digits()
    names = list(certified["Gaussian, all"])
    print("| mean over digits 0-19; entries at eps = 0.02 | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for method, row in certified.items():
        print(f"| {method} | {' | '.join(f'{row[name]:.5f}' if name in row else '' for name in names)} |")


if __name__ == "__main__":
    main()
