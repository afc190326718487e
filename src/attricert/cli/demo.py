"""Certify eight real test digits, offline, draw them, and write a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attricert import datasets, models
from attricert.attributions import Saliency, scores_of
from attricert.bounding import Normalize
from attricert.cli.commands.demo import Options
from attricert.cli.output import describe, show, show_json, show_rows, subjects
from attricert.files import write_atomically
from attricert.noise import Gaussian, UniformBall
from attricert.plots import curves, maps, notes, save_figure
from attricert.report import page, rows_of, shown
from attricert.runs.reporting import REPORT
from attricert.smoothed import SmoothedAttribution
from attricert.units import InputUnits

__all__ = ["run"]

_MODEL, _DIGITS, _RADIUS = "mnist-standard", 8, 3.5
_ENTRY, _EPS, _COSINE, _TOP_K = 0.15, [0.02, 0.05, 0.1], [0.8, 0.9], 100


def run(**values: Any) -> int:
    """Certify, print, draw."""
    options = Options(**values)
    model = models.load(_MODEL)
    data = datasets.load("mnist", split="sample").slice(0, _DIGITS)
    predicted = scores_of(model, data.images).argmax(dim=1)
    saliency = Saliency(model)
    # Gaussian noise of the energy of a ball of this radius; entries clipped, so that single features can be certain.
    ball = UniformBall(_RADIUS)
    noise = Gaussian(1.0).matching(ball, data.images[0].numel())
    gaussian = SmoothedAttribution(saliency, noise, Normalize(_ENTRY))
    certificate = gaussian.certify(
        data.images,
        predicted,
        n_samples=options.n_samples,
        seed=options.seed,
        sample_ids=data.ids,
        progress=True,
    )
    uniform = SmoothedAttribution(saliency, ball)
    smooth = uniform.attribute(
        data.images, predicted, n_samples=options.n_samples // 4, seed=options.seed, progress=True
    )
    plain, title = saliency(data.images, predicted), f"{_DIGITS} MNIST test digits, {_MODEL}, saliency"
    rows = rows_of(certificate, subjects(data, predicted, predicted), _EPS, _COSINE, _TOP_K)
    columns = {
        "image": data.images[:, 0].numpy(),
        "saliency": plain[:, 0].numpy(),
        "smoothed, uniform": smooth[:, 0].numpy(),
        "smoothed, Gaussian": certificate.maps[:, 0],
    }
    names = [f"digit {i}: {p}" for i, p in enumerate(predicted.tolist())]
    folder = Path(options.out)
    save_figure(maps(columns, names, notes(certificate)), folder / "maps.png")
    save_figure(curves(certificate, names), folder / "curves.png")
    html = page(
        certificate,
        data.images,
        ids=data.ids,
        labels=data.labels.tolist(),
        predictions=predicted.tolist(),
        plain_maps=plain,
        eps=_EPS,
        cosine=_COSINE,
        top_k=_TOP_K,
        title=title,
        about={"model": _MODEL, "data": "MNIST test digits that ship with the package", "attribution": "saliency"},
        progress=True,
    )
    write_atomically(folder / REPORT, html.encode())
    if options.json:
        show_json({"terms": certificate.terms.to_dict(), "rows": rows})
        return 0
    show_rows(
        rows,
        describe(certificate.terms, "sound", options.n_samples),
        title=title,
        units=InputUnits("image", tuple(data.images.shape[1:])),
    )
    cosine, alpha = shown(certificate.cosine(_EPS[1])[0]), certificate.terms.alpha
    show(
        f"Row 1 reads: whatever is added to this digit, as long as its l2 size is at most {_EPS[1]}, the smoothed map "
        f"(the exact mean, which the picture estimates) keeps a cosine of at least {cosine} with what it was, but "
        f"for a chance of {alpha} in the sampling."
    )
    show(f"Pictures: {folder / 'maps.png'}, {folder / 'curves.png'}")
    show(f"Report, to be opened in a browser or handed over: {folder / REPORT}")
    return 0
