"""What is certified and how: everything that decides a run's results, and what it stands for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from attricert import checks
from attricert.attributions import Attribution
from attricert.bounding import Bound, Clip, Normalize
from attricert.certificates import METHODS
from attricert.errors import ArgumentError
from attricert.noise import Gaussian, Noise, UniformBall
from attricert.runs.loading import load_array, load_attribution, load_device, load_model
from attricert.smoothed import SmoothedAttribution

__all__ = ["Config", "LoadedConfig"]

_MAPS = ("keep", "drop")
_ACCELERATOR_BATCH = 256  # not chosen from what memory is free, so that all workers compute the same sums


@final
@dataclass(frozen=True)
class Config:
    """What to certify and how.

    Args:
        model: a zoo model's name, or path.py:factory where factory() returns a torch module.
        data: a data set slice such as mnist:test[0:100], or a folder of images.
        attribution: saliency, abs-saliency, input-x-gradient, integrated-gradients, or path.py:factory where
            factory(model) returns a callable (inputs, target) -> attributions.
        n_steps: nodes on the path of integrated-gradients, one gradient each.
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
        alpha: probability that an input's certificates fail.
        confidence: betting, hoeffding, bernstein, or asymptotic (not a finite-sample bound).
        guarantee: population or observed.
        observed_samples: attributions in each observed average (n_samples by default).
        method: sound, or printed (the paper's formula; not a bound).
        antithetic: sample in pairs (a, -a).
        stop_when: eps and cosine; stop sampling an input as soon as this claim is decided.
        skip_label: do not certify the prediction on the same draws, which takes a share of alpha.
        maps: keep, or drop: maps and intervals of single features, four numbers an entry, are by far the most of what
            a run stores.
        seed: seed of the keyed streams; by default a fresh secret one, which the written config records.
        device: torch device.
        threads: CPU threads of a worker; with another number, or on another kind of machine, sums may differ in their
            last bits.
        batch_size: noisy copies computed at once; by default chosen to fit memory on the CPU, 256 elsewhere.
    """

    model: str
    data: str
    attribution: str = "saliency"
    n_steps: int = 50
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
    alpha: float = 1e-3
    confidence: str = "betting"
    guarantee: str = "population"
    observed_samples: int | None = None
    method: str = "sound"
    antithetic: bool = False
    stop_when: tuple[float, float] | None = None
    skip_label: bool = False
    maps: str = "keep"
    seed: int | None = None
    device: str = "cpu"
    threads: int = 1
    batch_size: int | None = None

    def __post_init__(self) -> None:
        checks.known("method", self.method, METHODS)
        checks.known("maps", self.maps, _MAPS)
        checks.count("threads", self.threads, 1)
        checks.count("n_steps", self.n_steps, 1)
        _noise(self)
        _bound(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Config:
        """From plain values, as `to_dict` gives them; others are left out."""
        known = {field.name for field in dataclasses.fields(cls)} & set(values)
        return cls(**{name: _tuple(values[name]) for name in known})

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        values = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


@final
@dataclass(frozen=True)
class LoadedConfig:
    """What a config stands for, loaded.

    Args:
        config: the config.
        model: in eval mode, on the device.
        attribution: the attribution.
        functionals: weights or label map, or None.
        device: the device.
    """

    config: Config
    model: nn.Module
    attribution: Attribution
    functionals: npt.NDArray[np.generic] | None
    device: torch.device

    @classmethod
    def load(cls, config: Config, device: str | None = None) -> LoadedConfig:
        """Load model and attribution; on another device of the same kind, if one is named."""
        where = load_device(config.device if device is None else device)
        model = load_model(config.model).to(where)
        functionals = load_array("functionals", config.functionals)
        return cls(config, model, load_attribution(config.attribution, model, config.n_steps), functionals, where)

    def scores(self, images: Tensor) -> Tensor:
        """The model's outputs, on the CPU."""
        with torch.no_grad():
            parts = [self.model(part.to(self.device)) for part in torch.split(images, 256)]
        return torch.cat(parts).cpu()

    def smoothed(self, scores: Tensor) -> SmoothedAttribution:
        """The smoothed attribution, for a model that gives such scores."""
        c = self.config
        on_cpu = self.device.type == "cpu"
        return SmoothedAttribution(
            self.attribution,
            _noise(c),
            _bound(c),
            classifier=self.model if scores.ndim == 2 and scores.shape[1] > 1 else None,
            antithetic=c.antithetic,
            batch_size=_ACCELERATOR_BATCH if c.batch_size is None and not on_cpu else c.batch_size,
        )

    def target(self, labels: Tensor, predicted: Tensor) -> Tensor:
        """The classes to explain."""
        choice = self.config.target
        if choice == "predicted":
            return predicted
        if choice == "label":
            if bool((labels < 0).any()):
                raise ArgumentError("target", choice, "this data has no labels; use predicted or a class number")
            return labels
        if not choice.isdecimal():
            raise ArgumentError("target", choice, "must be predicted, label, or a class number")
        return torch.full_like(predicted, int(choice))


def _noise(config: Config) -> Noise:
    checks.known("noise", config.noise, ("uniform", "gaussian"))
    uniform = config.noise == "uniform"
    name, other = ("radius", "sigma") if uniform else ("sigma", "radius")
    scale = config.radius if uniform else config.sigma
    if scale is None or getattr(config, other) is not None:
        raise ArgumentError("noise", config.noise, f"goes with --{name}, without --{other}")
    return UniformBall(scale) if uniform else Gaussian(scale)


def _bound(config: Config) -> Bound:
    checks.known("bound", config.bound, ("normalize", "clip"))
    clip = config.bound == "clip"
    if clip == (config.max_norm is None):
        raise ArgumentError("max_norm", config.max_norm, "goes with --bound clip, and is needed there")
    if config.max_norm is not None:
        return Clip(config.max_norm, config.max_entry)
    return Normalize(config.max_entry)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
