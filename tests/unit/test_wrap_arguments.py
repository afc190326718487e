"""Captum's own arguments through `ac.wrap`; maps of layers, CAMs, superpixels; the largest eps of a top set."""

import captum.attr as ca
import numpy as np
import pytest
import torch
from torch import nn

import attricert as ac

X = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 4)).eval()


def test_arguments_are_handed_on():
    model, baselines = net(), torch.full((1, 3, 8, 8), 0.5)
    wrapped = ac.wrap(ca.IntegratedGradients(model), baselines=baselines, n_steps=7)
    expected = ca.IntegratedGradients(model).attribute(X, baselines=baselines, target=1, n_steps=7)
    assert torch.equal(wrapped(X, 1), expected)
    assert not torch.allclose(wrapped(X, 1), ac.wrap(ca.IntegratedGradients(model), n_steps=7)(X, 1))
    # The library's own rule is Captum's.
    own = ac.IntegratedGradients(model, baselines=baselines[0], n_steps=7)
    assert torch.allclose(own(X, 1), expected, atol=1e-6)
    occlusion = ac.wrap(ca.Occlusion(model), sliding_window_shapes=(3, 4, 4), strides=(3, 4, 4), baselines=0)
    by_hand = torch.zeros_like(X)
    for r in range(0, 8, 4):
        for c in range(0, 8, 4):
            gone = X.clone()
            gone[:, :, r : r + 4, c : c + 4] = 0
            by_hand[:, :, r : r + 4, c : c + 4] = (model(X) - model(gone))[:, 2].detach()[:, None, None, None]
    assert torch.allclose(occlusion(X, 2), by_hand, atol=1e-6)
    scaled = ac.wrap(lambda z, t, factor: factor * z, factor=3.0)
    assert torch.equal(scaled(X, None), 3 * X)
    assert torch.equal(ac.wrap(lambda z, t, **all: all["factor"] * z, factor=3.0)(X, None), 3 * X)


def test_additional_forward_args_reach_the_model():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = net()

        def forward(self, x, factor):
            return factor * self.body(x)

    wrapped = ac.wrap(ca.Saliency(Model().eval()), additional_forward_args=torch.tensor(2.0), abs=False)
    assert torch.allclose(wrapped(X, 1), 2 * ac.Saliency(net())(X, torch.tensor([1, 1])))


def test_unknown_arguments_are_refused():
    with pytest.raises(ac.UnknownNameError, match="argument of the attribution='n_step': did you mean 'n_steps'"):
        ac.wrap(ca.IntegratedGradients(net()), n_step=3)
    with pytest.raises(ac.UnknownNameError, match="argument of the attribution='sigma'"):
        ac.wrap(lambda z, t: z, sigma=3)
    with pytest.raises(ac.ArgumentError, match="'target': comes with every call"):
        ac.wrap(ca.IntegratedGradients(net()), target=3)
    with pytest.raises(ac.ArgumentError, match="must return a tensor, .* not tuple of Tensor"):
        ac.wrap(ca.IntegratedGradients(net()), return_convergence_delta=True)(X, 0)
    # Baselines for each input are refused by Captum as soon as an input is looked at alone.
    sm = ac.SmoothedAttribution(ac.wrap(ca.IntegratedGradients(net()), baselines=X), noise=ac.Gaussian(0.1))
    with pytest.raises(ac.CallError, match="IntegratedGradients failed"):
        sm.certify(X, target=0, n_samples=100, seed=0)


def grad_cam(model, layer, z, k):
    """By hand (Selvaraju et al. 2017), without Captum."""
    kept = {}
    handle = layer.register_forward_hook(lambda module, given, out: kept.update(a=out))
    z = z.detach().requires_grad_()
    score = model(z)[:, k].sum()
    handle.remove()
    slope = torch.autograd.grad(score, kept["a"])[0]
    return (slope.mean(dim=(2, 3), keepdim=True) * kept["a"]).sum(dim=1, keepdim=True).relu().detach()


def test_grad_cam_is_certified_in_its_own_shape():
    model = net()
    g = ac.wrap(ca.LayerGradCam(model, model[0]), nonnegative=True, relu_attributions=True)
    assert torch.allclose(g(X, 1), grad_cam(model, model[0], X, 1), atol=1e-6)
    sm = ac.SmoothedAttribution(g, noise=ac.Gaussian(0.1))
    certificate = sm.certify(X, target=1, n_samples=4_000, seed=0)
    assert certificate.maps.shape == (2, 1, 6, 6)
    assert (certificate.terms.dimension, certificate.terms.map_entries) == (192, 36)
    # An independent mean over other draws lies within the bounds at x, up to its error.
    generator = torch.Generator().manual_seed(5)
    for i in range(2):
        noisy = X[i] + 0.1 * torch.randn(4_000, 3, 8, 8, generator=generator)
        maps = grad_cam(model, model[0], noisy, 1).double()
        maps = maps / maps.flatten(1).norm(dim=1).clamp_min(1e-140)[:, None, None, None]
        mean, error = maps.mean(dim=0).numpy(), (maps.std(dim=0) / 4_000**0.5).numpy()
        low, high = certificate.intervals(0.0).low[i], certificate.intervals(0.0).high[i]
        assert (mean >= low - 5 * error - 1e-9).all()
        assert (mean <= high + 5 * error + 1e-9).all()
        assert np.abs(mean - certificate.maps[i]).max() < 7 * error.max() + 1e-9
    found = ac.attacks.Strong(budget=0.05).run(
        sm, X, 1, eps=0.05, keep_label=False, data_range=None, n_samples=1_000, seed=0
    )
    assert (found.cosine.numpy() + 6 * found.cosine_error.numpy() >= certificate.cosine(0.05)).all()


def test_random_attributions_are_found_or_declared():
    model = net()
    mask = (torch.arange(8)[:, None] // 4 * 2 + torch.arange(8)[None] // 4).expand(1, 3, 8, 8)
    settings = {"feature_mask": mask, "n_samples": 20, "return_input_shape": True}
    with pytest.raises(ac.ArgumentError, match=r"it is random .* random=True"):
        ac.SmoothedAttribution(ac.wrap(ca.KernelShap(model), **settings), noise=ac.Gaussian(0.1)).certify(
            X, target=1, n_samples=100, seed=0
        )
    g = ac.wrap(ca.KernelShap(model), random=True, **settings)
    certificate = ac.SmoothedAttribution(g, noise=ac.Gaussian(0.1)).certify(X[:1], target=1, n_samples=200, seed=0)
    assert certificate.terms.random
    assert certificate.maps.shape == (1, 3, 8, 8)


def test_the_largest_eps_of_a_top_set():
    """Where one entry is far above the others: at that eps it stays, a little further nothing says so."""
    weights = torch.tensor([5.0, 1.0, 0.5, 0.2], dtype=torch.float64)
    sm = ac.SmoothedAttribution(lambda z, t: weights * torch.sin(z), noise=ac.Gaussian(0.3), bound=ac.Clip(8.0))
    certificate = sm.certify(torch.full((2, 4), 0.7, dtype=torch.float64), n_samples=20_000, seed=0)
    for k in (1, 2, 4):
        eps = certificate.top_k_eps(k)
        assert eps.shape == (2,)
        for i in range(2):
            one = certificate[i]
            assert eps[i] == 0 or one.top_k_overlap(float(eps[i]), k)[0] == 1
            assert k == 4 or one.top_k_overlap(float(eps[i]) + 1e-4, k)[0] < 1
    assert (certificate.top_k_eps(1) > certificate.top_k_eps(2)).all()
    assert (certificate.top_k_eps(1) > 0.01).all()
    assert certificate.top_k_eps(4)[0] > 1  # all of them always stay
    assert len(certificate[:0].top_k_eps(1)) == 0
    with pytest.raises(ac.ArgumentError, match="k=5: must be at most the number of entries, 4"):
        certificate.top_k_eps(5)
