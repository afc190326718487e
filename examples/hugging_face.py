"""Certify three explanations of a Hugging Face image classifier: Grad-CAM, occlusion and KernelShap, all of Captum.

Run: python examples/hugging_face.py  (needs transformers, captum and scikit-learn; no download)

The network is small and is trained on the spot, on the 100 CIFAR-10 images that ship with attricert, with the noise of
the smoothing. For one of the hub, give ``from_pretrained(...)`` and its processor instead.
"""

from dataclasses import dataclass

import numpy as np
import torch
import transformers
from captum.attr import KernelShap, LayerGradCam, Occlusion

import attricert as ac

SIGMA = 0.1
# Sixteen superpixels: squares of 8 x 8 pixels.
SQUARES = torch.arange(16).reshape(1, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3).expand(1, 3, 32, 32)


@dataclass(frozen=True)
class Explained:
    """A smoothed attribution, with as many draws as its cost allows."""

    smoothed: ac.SmoothedAttribution
    n_samples: int


def classifier(images: torch.Tensor, labels: torch.Tensor, steps: int) -> torch.nn.Module:
    """Images in [0, 1] to logits; resizing and normalization, as the processor says, are part of it."""
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", num_labels=10
    )
    network = transformers.ResNetForImageClassification(config)
    processor = transformers.ViTImageProcessorPil(size={"height": 48, "width": 48})
    model = ac.Output(ac.preprocessed(network, like=processor), "logits").train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        noisy = images + SIGMA * torch.randn_like(images)
        torch.nn.functional.cross_entropy(model(noisy), labels).backward()
        optimizer.step()
    return model.eval()


def last_layer(model: torch.nn.Module) -> torch.nn.Module:
    """Its last stage, whose activations Grad-CAM weighs."""
    return next(module for name, module in model.named_modules() if name.endswith("encoder.stages.1"))


def explained(model: torch.nn.Module) -> dict[str, Explained]:
    """By name. Maps are of 6 x 6 places, of the image's pixels, and of 16 superpixels."""
    attributions = {
        "Grad-CAM": (
            ac.wrap(LayerGradCam(model, last_layer(model)), relu_attributions=True, nonnegative=True),
            800,
        ),
        "occlusion": (
            ac.wrap(Occlusion(model), sliding_window_shapes=(3, 8, 8), strides=(3, 8, 8), perturbations_per_eval=16),
            200,
        ),
        "KernelShap": (  # draws superpixels at random, so its mean over these draws is what is certified
            ac.wrap(
                KernelShap(model),
                random=True,
                feature_mask=SQUARES,
                n_samples=64,
                perturbations_per_eval=64,
                return_input_shape=False,
            ),
            150,
        ),
    }
    return {
        name: Explained(ac.SmoothedAttribution(attribution, ac.Gaussian(SIGMA), classifier=model), n_samples)
        for name, (attribution, n_samples) in attributions.items()
    }


def main(steps: int = 60, share: float = 1.0) -> dict[str, ac.Certificate]:
    """Train, and certify the maps of one image; with a share of the draws."""
    data = ac.datasets.load("cifar10", split="sample")
    model = classifier(data.images, data.labels, steps)
    x = data.images[:1]
    target = model(x).argmax(dim=1)
    certificates = {}
    for name, one in explained(model).items():
        certificate = one.smoothed.certify(x, target, n_samples=int(share * one.n_samples), seed=0)
        eps = np.floor(1000 * certificate.max_eps(cosine=0.8)[0]) / 1000  # a lower bound, so rounded down
        print(
            f"{name:>10}: maps of shape {certificate.maps.shape[1:]}, cosine 0.8 for every change up to eps {eps:.3f}"
        )
        certificates[name] = certificate
    return certificates


if __name__ == "__main__":
    main()
