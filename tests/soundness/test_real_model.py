"""Perturbations of real digits, chosen to turn the smoothed map, do not cross what was certified."""

import pytest
import torch

import attricert as ac

N = 2_000
CLAIM = 0.8
MARGIN = 0.05  # far above what the noise of both maps takes off their cosine


@pytest.mark.parametrize("noise", [ac.UniformBall(3.5), ac.Gaussian(0.125)], ids=repr)
def test_no_direction_crosses_the_certificate(model, digits, noise):
    """Steps of certified size along the map's own most sensitive directions, found on other draws, and at random.

    Estimated cosines lie below the true ones (noise in both maps), so an estimate above the claim shows it to hold.
    """
    sm = ac.SmoothedAttribution(ac.Saliency(model), noise)
    x, target = digits.images[:2], digits.labels[:2]
    certificate = sm.certify(x, target, n_samples=2_000, seed=0, prove=["cone"])
    assert (certificate.norm > 0.5).all()
    for i in range(len(x)):
        eps = float(certificate.max_eps(CLAIM)[i])
        # Regression of the maps on the noise estimates the Jacobian of h (Stein); its top directions turn h fastest.
        samples = noise.sample(_rng(), 784)
        maps = ac.Normalize()(_maps(model, x[i], target[i], samples).double())
        jacobian = samples.double().T @ (maps - maps.mean(dim=0))
        fastest = torch.linalg.svd(jacobian, full_matrices=False)[0].T[:2]
        here = sm.attribute(x[i : i + 1], target[i : i + 1], n_samples=N, seed=1)

        def cosine(direction, size, i=i, here=here):
            delta = (size * direction / direction.norm()).float().reshape(1, 1, 28, 28)
            there = sm.attribute(x[i : i + 1] + delta, target[i : i + 1], n_samples=N, seed=2)
            return float(torch.nn.functional.cosine_similarity(here.flatten(1), there.flatten(1)))

        for direction in [*fastest, *torch.randn(2, 784, dtype=torch.float64)]:
            assert cosine(direction, eps) >= CLAIM
        # The control: a certificate as far as to the other digit is false, and would have been seen to be.
        other = (x[1 - i] - x[i]).flatten().double()
        assert cosine(other, other.norm()) < CLAIM - MARGIN


def _rng():
    from attricert.streams import Stream

    return Stream(9, "attack", "directions").rows(0, N, torch.float32, torch.device("cpu"))


def _maps(model, x, target, noise):
    g = ac.Saliency(model)
    return torch.cat([g(x + part.reshape(-1, 1, 28, 28), int(target)).flatten(1) for part in torch.split(noise, 500)])
