"""Certify the explanations of a model on a slice of data, and write the results."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
import yaml
from jsonargparse import ArgumentParser
from torch import Tensor

from attricert import checks
from attricert._version import __version__
from attricert.bounding import Bound, Clip, Normalize
from attricert.certificates import METHODS, Certificate
from attricert.cli.arguments import add_options
from attricert.cli.loading import load_array, load_attribution, load_data, load_model
from attricert.cli.output import show_json, show_rows, subjects
from attricert.datasets import Labelled
from attricert.errors import ArgumentError
from attricert.files import write_atomically
from attricert.noise import Gaussian, Noise, UniformBall
from attricert.report import rows_of, to_parquet
from attricert.smoothed import SmoothedAttribution

__all__ = ["Options", "configure", "run"]

_RESULTS = "results.parquet"


@final
@dataclass(frozen=True)
class Options:
    """What to certify and how.

    Args:
        model: a zoo model's name, or path.py:factory where factory() returns a torch module.
        data: a data set slice such as mnist:test[0:100], or a folder of images.
        attribution: saliency, abs-saliency, input-x-gradient, integrated-gradients, or path.py:factory where
            factory(model) returns a callable (inputs, target) -> attributions.
        target: class to explain: predicted, label, or a number.
        noise: uniform (on an l2 ball) or gaussian.
        radius: l2 radius of uniform noise, in input units.
        sigma: standard deviation of gaussian noise, in input units.
        bound: normalize, or clip (to max_norm).
        max_norm: l2 bound of clip, a constant of the model.
        max_entry: clip each entry of the bounded map to this size, a constant of the model; sharpens what is said of
            single features (signs, top-k, tau).
        n_samples: noisy copies of each input, pilot included.
        moments: even orders proven for gaussian noise; 2 4 6 gives larger certificates with many samples, at a cost.
        functionals: .npy file with weights of shape (r, *input), or an integer label map (superpixels) of the input's
            shape; intervals for each are reported.
        top_k: size of the top set whose overlap is certified; by default a tenth of the features.
        alpha: probability that an input's certificates fail.
        confidence: betting, hoeffding, bernstein, or asymptotic (not a finite-sample bound).
        guarantee: population or observed.
        observed_samples: attributions in each observed average (n_samples by default).
        method: sound, or printed (the paper's formula; not a bound).
        antithetic: sample in pairs (a, -a).
        seed: seed of the keyed streams; by default a fresh secret one, which the written config records.
        device: torch device.
        batch_size: noisy copies computed at once; by default chosen from the memory budget.
        out: folder for results.parquet, certificate.safetensors and config.yaml; must not hold results yet.
        json: print JSON instead of a table.
        eps: l2 sizes at which to report the certified cosine.
        cosine: thresholds at which to report the largest certified eps.
        stop_when: eps and cosine; stop sampling an input as soon as this claim is decided.
    """

    model: str
    data: str
    attribution: str = "saliency"
    target: str = "predicted"
    noise: str = "uniform"
    radius: float | None = None
    sigma: float | None = None
    bound: str = "normalize"
    max_norm: float | None = None
    max_entry: float | None = None
    n_samples: int = 10_000
    moments: tuple[int, ...] = (2,)
    functionals: str | None = None
    top_k: int | None = None
    alpha: float = 1e-3
    confidence: str = "betting"
    guarantee: str = "population"
    observed_samples: int | None = None
    method: str = "sound"
    antithetic: bool = False
    seed: int | None = None
    device: str = "cpu"
    batch_size: int | None = None
    out: str | None = None
    json: bool = False
    eps: tuple[float, ...] = (0.02, 0.05, 0.1)
    cosine: tuple[float, ...] = (0.8, 0.9)
    stop_when: tuple[float, float] | None = None


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options)


def run(**values: Any) -> int:
    """Certify, write, print."""
    options = Options(**values)
    folder = _fresh_folder(options.out)
    checks.known("method", options.method, METHODS)
    eps = checks.nonnegative_values("eps", options.eps).tolist()
    cosine = checks.open_fractions("cosine", options.cosine).tolist()
    noise, bound, device = _noise(options), _bound(options), _device(options.device)
    functionals = load_array("functionals", options.functionals)
    model = load_model(options.model).to(device)
    data = load_data(options.data, options.model)
    images = data.images.to(device)
    top_k = _top_k(options.top_k, images[0].numel())
    with torch.no_grad():
        scores = torch.cat([model(part) for part in torch.split(images, 256)])
    predicted = scores.argmax(dim=1).cpu()
    smoothed = SmoothedAttribution(
        load_attribution(options.attribution, model),
        noise,
        bound,
        classifier=model if scores.shape[1] > 1 else None,
        antithetic=options.antithetic,
        batch_size=options.batch_size,
    )
    target = _target(options.target, data, predicted)
    certificate = smoothed.certify(
        images,
        target,
        n_samples=options.n_samples,
        alpha=options.alpha,
        seed=options.seed,
        confidence=options.confidence,
        guarantee=options.guarantee,
        observed_samples=options.observed_samples,
        method=options.method,
        stop_when=None if options.stop_when is None else (options.stop_when[0], options.stop_when[1]),
        moments=options.moments,
        functionals=functionals,
        sample_ids=data.ids,
        progress=True,
    )
    rows = rows_of(certificate, subjects(data, predicted, target), eps, cosine, top_k)
    if folder is not None:
        _write(folder, options, certificate, rows)
    if options.json:
        show_json({"statement": certificate.statement.to_dict(), "rows": rows})
    else:
        show_rows(rows, certificate, title=f"{options.model}, {options.data}")
        print(f"written to {folder}" if folder else "not written: give --out FOLDER to keep the results")
    return 0


def _fresh_folder(out: str | None) -> Path | None:
    if out is None:
        return None
    folder = Path(out)
    if (folder / _RESULTS).exists():
        raise ArgumentError("out", out, f"already holds {_RESULTS}; choose another folder or remove it")
    if folder.exists() and not folder.is_dir():
        raise ArgumentError("out", out, "must be a folder")
    return folder


def _noise(options: Options) -> Noise:
    checks.known("noise", options.noise, ("uniform", "gaussian"))
    uniform = options.noise == "uniform"
    name, other = ("radius", "sigma") if uniform else ("sigma", "radius")
    scale = options.radius if uniform else options.sigma
    if scale is None or getattr(options, other) is not None:
        raise ArgumentError("noise", options.noise, f"goes with --{name}, without --{other}")
    return UniformBall(scale) if uniform else Gaussian(scale)


def _bound(options: Options) -> Bound:
    checks.known("bound", options.bound, ("normalize", "clip"))
    clip = options.bound == "clip"
    if clip == (options.max_norm is None):
        raise ArgumentError("max_norm", options.max_norm, "goes with --bound clip, and is needed there")
    if options.max_norm is not None:
        return Clip(options.max_norm, options.max_entry)
    return Normalize(options.max_entry)


def _top_k(k: int | None, features: int) -> int:
    if k is None:
        return max(1, features // 10)
    if checks.count("top_k", k, 1) > features:
        raise ArgumentError("top_k", k, f"must be at most the number of features, {features}")
    return k


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ArgumentError("device", name, f"cannot be used here ({str(error).splitlines()[0]})") from None
    return device


def _target(choice: str, data: Labelled, predicted: Tensor) -> Tensor:
    if choice == "predicted":
        return predicted
    if choice == "label":
        if bool((data.labels < 0).any()):
            raise ArgumentError("target", choice, "this data has no labels; use predicted or a class number")
        return data.labels
    if not choice.isdecimal():
        raise ArgumentError("target", choice, "must be predicted, label, or a class number")
    return torch.full((len(data),), int(choice))


def _write(folder: Path, options: Options, certificate: Certificate, rows: Sequence[dict[str, object]]) -> None:
    settings = {**dataclasses.asdict(options), "seed": certificate.statement.seed}
    text = f"# attricert {__version__}\n{yaml.safe_dump(settings, sort_keys=False)}"
    certificate.save(folder / "certificate.safetensors")
    write_atomically(folder / "config.yaml", text.encode())
    # Last: results that exist are complete.
    write_atomically(folder / _RESULTS, to_parquet(rows, certificate.statement))
