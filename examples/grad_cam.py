"""Certify Grad-CAM and its relatives of the package grad-cam.

Run: python examples/grad_cam.py  (needs grad-cam; no download)
It imports torchvision, which must be of the same build as torch. Grad-CAM by Captum: examples/hugging_face.py.
"""

import numpy as np
import torch
from lrp import trained
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import attricert as ac


def main(method: type = GradCAM, n_samples: int = 500) -> ac.Certificate:
    """Certify the maps of two digits: (28, 28), each stretched to [0, 1] by the package."""
    data = ac.datasets.load("mnist", split="sample")
    model = trained(data.images, data.labels)
    x, y = data.images[:2], data.labels[:2]
    cam = method(model=model, target_layers=[model.features[2]])

    def maps(inputs: torch.Tensor, target: torch.Tensor) -> np.ndarray:
        return cam(inputs, targets=[ClassifierOutputTarget(index) for index in target.tolist()])

    attribution = ac.wrap(maps, nonnegative=True)
    smoothed = ac.SmoothedAttribution(attribution, ac.Gaussian(0.25), classifier=model)
    certificate = smoothed.certify(x, y, n_samples=n_samples, seed=0)
    shown = np.floor(1000 * certificate.max_eps(cosine=0.8)) / 1000  # lower bounds, so rounded down
    print(f"{method.__name__}: cosine 0.8 up to eps {' '.join(f'{eps:.3f}' for eps in shown)}")
    return certificate


if __name__ == "__main__":
    main()
