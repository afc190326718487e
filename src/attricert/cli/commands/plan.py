"""From a small pilot on a few inputs: which noise scale and how many samples reach a target, and at what cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

from jsonargparse import ArgumentParser

from attricert.attributions import ATTRIBUTIONS
from attricert.cli.arguments import add_options
from attricert.noise import NOISES
from attricert.registry import choice

__all__ = ["EXAMPLES", "Options", "configure"]

EXAMPLES = (
    "attricert plan --model mnist-standard --data mnist:sample[0:4] --eps 0.05 --cosine 0.9",
    "attricert plan --model mine.py:model --data images --eps 0.05 --cosine 0.9 --scales 0.1,0.2,0.4",
)


@final
@dataclass(frozen=True)
class Options:
    """The target, and what to try.

    Args:
        model: a zoo model's name, or path.py:factory where factory() returns a torch module.
        data: a data set slice such as mnist:test[0:100], or a folder of images.
        eps: l2 size that the certificate should reach, in input units.
        cosine: cosine similarity that it should keep.
        attribution: or path.py:factory where factory(model) returns a callable (inputs, target) -> attributions.
        parameters: of the attribution.
        noise: the smoothing distribution.
        scales: sigmas (or radii) to try; by default a range around what the target needs.
        inputs: how many of the first inputs to draw the pilot for.
        n_pilot: samples for each input and scale.
        n_samples: samples that may be spent on an input.
        alpha: probability that an input's certificates fail.
        seed: seed of the keyed streams.
        trust_code: run code that a --config file names, after showing its path and SHA-256.
        json: print JSON instead of a table.
    """

    model: str
    data: str
    eps: float
    cosine: float
    attribution: str = choice(ATTRIBUTIONS, "saliency")
    parameters: Mapping[str, Any] = field(default_factory=dict)
    noise: str = choice(NOISES, "gaussian", parameters=False)
    scales: tuple[float, ...] | None = None
    inputs: int = 4
    n_pilot: int = 400
    n_samples: int = 10_000
    alpha: float = 1e-3
    seed: int = 0
    trust_code: bool = False
    json: bool = False

    groups: ClassVar[Mapping[str, Collection[str]]] = {
        "what to certify": ("model", "data", "attribution"),
        "the target": ("eps", "cosine", "alpha"),
        "what to try": ("noise", "scales", "inputs", "n_pilot", "n_samples", "seed"),
        "what to report": ("json",),
        "where the work is done": ("trust_code",),
    }


def configure(parser: ArgumentParser) -> None:
    """Add this command's arguments."""
    add_options(parser, Options)
