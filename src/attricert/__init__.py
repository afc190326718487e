"""attricert: how far can a perturbation of given l2 size bend a smoothed attribution map? Proven, not guessed.

>>> import attricert as ac
>>> model = ac.models.load("mnist-standard")
>>> smoothed = ac.SmoothedAttribution(ac.Saliency(model), noise=ac.UniformBall(radius=3.5))
>>> certificate = smoothed.certify(x, target=y)
>>> certificate.max_eps(cosine=0.9)
"""

from typing import TYPE_CHECKING

from attricert._version import __version__
from attricert.lazy import lazily

if TYPE_CHECKING:
    from attricert import adapters, attacks, certificates, datasets, metrics, models, plots, report, runs, tabular
    from attricert.attributions import (
        ATTRIBUTIONS,
        Attribution,
        Autocast,
        InputXGradient,
        IntegratedGradients,
        OneLabel,
        Output,
        Saliency,
        Sparsified,
        StochasticIntegratedGradients,
        wrap,
    )
    from attricert.beforehand import doctor, plan, tune
    from attricert.bounding import BOUNDS, Bound, Clip, Normalize
    from attricert.certificates import Certificate, Claim, Evidence, Observed, PaperCertificate
    from attricert.confidence import CONFIDENCE_BOUNDS, LowerBound
    from attricert.diagnosis import Diagnosis, Finding, Tuning
    from attricert.errors import (
        ArgumentError,
        AttributionWarning,
        AttricertError,
        CallError,
        ComputeWarning,
        IntegrityError,
        MeaningWarning,
        ModelModeWarning,
        NotABoundWarning,
        RangeWarning,
        UnavailableError,
        UnknownNameError,
        ZeroMapsWarning,
    )
    from attricert.noise import NOISES, Gaussian, Noise, UniformBall
    from attricert.options import Options
    from attricert.planning import Plan, PlannedScale
    from attricert.preprocessing import Preprocessed, preprocessed
    from attricert.sampling import Compute
    from attricert.smoothed import SmoothedAttribution
    from attricert.units import InputUnits, perturbation

__all__ = [
    "ATTRIBUTIONS",
    "BOUNDS",
    "CONFIDENCE_BOUNDS",
    "NOISES",
    "ArgumentError",
    "Attribution",
    "AttributionWarning",
    "AttricertError",
    "Autocast",
    "Bound",
    "CallError",
    "Certificate",
    "Claim",
    "Clip",
    "Compute",
    "ComputeWarning",
    "Diagnosis",
    "Evidence",
    "Finding",
    "Gaussian",
    "InputUnits",
    "InputXGradient",
    "IntegratedGradients",
    "IntegrityError",
    "LowerBound",
    "MeaningWarning",
    "ModelModeWarning",
    "Noise",
    "Normalize",
    "NotABoundWarning",
    "Observed",
    "OneLabel",
    "Options",
    "Output",
    "PaperCertificate",
    "Plan",
    "PlannedScale",
    "Preprocessed",
    "RangeWarning",
    "Saliency",
    "SmoothedAttribution",
    "Sparsified",
    "StochasticIntegratedGradients",
    "Tuning",
    "UnavailableError",
    "UniformBall",
    "UnknownNameError",
    "ZeroMapsWarning",
    "__version__",
    "adapters",
    "attacks",
    "certificates",
    "datasets",
    "doctor",
    "metrics",
    "models",
    "perturbation",
    "plan",
    "plots",
    "preprocessed",
    "report",
    "runs",
    "tabular",
    "tune",
    "wrap",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "attributions": (
            "ATTRIBUTIONS",
            "Attribution",
            "Autocast",
            "InputXGradient",
            "IntegratedGradients",
            "OneLabel",
            "Output",
            "Saliency",
            "Sparsified",
            "StochasticIntegratedGradients",
            "wrap",
        ),
        "beforehand": ("doctor", "plan", "tune"),
        "bounding": ("BOUNDS", "Bound", "Clip", "Normalize"),
        "certificates": ("Certificate", "Claim", "Evidence", "Observed", "PaperCertificate"),
        "confidence": ("CONFIDENCE_BOUNDS", "LowerBound"),
        "diagnosis": ("Diagnosis", "Finding", "Tuning"),
        "errors": (
            "ArgumentError",
            "AttributionWarning",
            "AttricertError",
            "CallError",
            "ComputeWarning",
            "IntegrityError",
            "MeaningWarning",
            "ModelModeWarning",
            "NotABoundWarning",
            "RangeWarning",
            "UnavailableError",
            "UnknownNameError",
            "ZeroMapsWarning",
        ),
        "noise": ("NOISES", "Gaussian", "Noise", "UniformBall"),
        "options": ("Options",),
        "planning": ("Plan", "PlannedScale"),
        "preprocessing": ("Preprocessed", "preprocessed"),
        "sampling": ("Compute",),
        "smoothed": ("SmoothedAttribution",),
        "units": ("InputUnits", "perturbation"),
    },
    ("adapters", "attacks", "certificates", "datasets", "metrics", "models", "plots", "report", "runs", "tabular"),
)
