"""attricert: how far can a perturbation of given l2 size bend a smoothed attribution map? Proven, not guessed.

>>> import attricert as ac
>>> model = ac.models.load("mnist-standard")
>>> smoothed = ac.SmoothedAttribution(ac.Saliency(model), noise=ac.UniformBall(radius=3.5))
>>> certificate = smoothed.certify(x, target=y)
>>> certificate.max_eps(cosine=0.9)
"""

from attricert import attacks, datasets, metrics, models, runs
from attricert._version import __version__
from attricert.attributions import Attribution, InputXGradient, IntegratedGradients, Saliency, wrap
from attricert.bounding import Clip, Normalize
from attricert.certificates import Certificate, Evidence
from attricert.errors import (
    ArgumentError,
    AttributionWarning,
    AttricertError,
    IntegrityError,
    ModelModeWarning,
    NotABoundWarning,
    UnavailableError,
    UnknownNameError,
)
from attricert.noise import Gaussian, UniformBall
from attricert.smoothed import SmoothedAttribution

__all__ = [
    "ArgumentError",
    "Attribution",
    "AttributionWarning",
    "AttricertError",
    "Certificate",
    "Clip",
    "Evidence",
    "Gaussian",
    "InputXGradient",
    "IntegratedGradients",
    "IntegrityError",
    "ModelModeWarning",
    "Normalize",
    "NotABoundWarning",
    "Saliency",
    "SmoothedAttribution",
    "UnavailableError",
    "UniformBall",
    "UnknownNameError",
    "__version__",
    "attacks",
    "datasets",
    "metrics",
    "models",
    "runs",
    "wrap",
]
