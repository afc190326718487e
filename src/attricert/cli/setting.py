"""What is certified and how: the options of a run, and what they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
import yaml
from torch import Tensor

from attricert import checks
from attricert.bounding import Bound, Clip, Normalize
from attricert.cli.loading import load_attribution, load_data, load_device, load_model
from attricert.datasets import Labelled
from attricert.errors import ArgumentError
from attricert.noise import Gaussian, Noise, UniformBall
from attricert.smoothed import SmoothedAttribution

__all__ = ["CERTIFICATE", "CONFIG", "Options", "Setting", "options_of_run", "setting_of"]

CONFIG, CERTIFICATE = "config.yaml", "certificate.safetensors"


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


@final
@dataclass(frozen=True)
class Setting:
    """What the options stand for.

    Args:
        smoothed: the smoothed attribution.
        data: the inputs.
        images: the same on the device.
        predicted: the model's classes.
        target: classes that are explained.
    """

    smoothed: SmoothedAttribution
    data: Labelled
    images: Tensor
    predicted: Tensor
    target: Tensor


def setting_of(options: Options) -> Setting:
    """Load model and data, and put them together."""
    noise, bound, device = _noise(options), _bound(options), load_device(options.device)
    model = load_model(options.model).to(device)
    data = load_data(options.data, options.model)
    images = data.images.to(device)
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
    return Setting(smoothed, data, images, predicted, _target(options.target, data, predicted))


def options_of_run(folder: Path) -> Options:
    """The options that a run folder was made with."""
    try:
        values: dict[str, Any] = yaml.safe_load((folder / CONFIG).read_text())
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        return Options(**values)
    except (OSError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ArgumentError("run", str(folder), f"must be a folder made by attricert certify --out ({error})") from None


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
