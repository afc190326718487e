"""Other people's certificates for attribution maps, in their own terms, to compare with.

>>> smoothing = baselines.CenterSmoothing(ac.Saliency(model), sigma=0.125)
>>> smoothing.certify(x, y, eps=[0.1, 0.2]).eps_out
>>> sparsified = baselines.SparsifiedSmoothGrad(ac.Saliency(model), sigma=0.125)
>>> sparsified.certify(x, y, k=100, eps=[0.1, 0.2]).overlap
>>> pixels = baselines.PixelCertification(ac.Saliency(model), sigma=0.125, top=0.25)
>>> pixels.certify(x, y).classes  # 1, 0, or -1 where it abstains
"""

from attricert.lab.baselines.center_smoothing import CenterCertificate, Centers, CenterSmoothing
from attricert.lab.baselines.pixelwise import PixelCertificate, PixelCertification
from attricert.lab.baselines.sparsified import SparsifiedCertificate, SparsifiedSmoothGrad

__all__ = [
    "CenterCertificate",
    "CenterSmoothing",
    "Centers",
    "PixelCertificate",
    "PixelCertification",
    "SparsifiedCertificate",
    "SparsifiedSmoothGrad",
]
