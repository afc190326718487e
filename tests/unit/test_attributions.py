import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

import attricert as ac

TARGETS = torch.tensor([7, 2, 3, 0, 9, 1])


@pytest.fixture
def inputs(digits):
    return digits.images[: len(TARGETS)]


@pytest.mark.parametrize("absolute", [False, True])
def test_saliency_is_captums(model, inputs, absolute):
    reference = captum.attr.Saliency(model).attribute(inputs.clone().requires_grad_(), TARGETS, abs=absolute)
    assert torch.allclose(ac.Saliency(model, abs=absolute)(inputs, TARGETS), reference, atol=1e-5, rtol=0)
    assert reference.abs().max() > 0.1


def test_input_x_gradient_is_captums(model, inputs):
    reference = captum.attr.InputXGradient(model).attribute(inputs.clone().requires_grad_(), TARGETS)
    assert torch.allclose(ac.InputXGradient(model)(inputs, TARGETS), reference, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("baseline", "steps"), [(0.0, 50), (0.3, 7), (torch.full((1, 28, 28), 0.1), 20)])
def test_integrated_gradients_are_captums(model, inputs, baseline, steps):
    theirs = baseline if isinstance(baseline, float) else baseline[None].expand_as(inputs)
    reference = captum.attr.IntegratedGradients(model).attribute(inputs, theirs, TARGETS, n_steps=steps)
    ours = ac.IntegratedGradients(model, baselines=baseline, n_steps=steps)(inputs, TARGETS)
    assert torch.allclose(ours, reference.float(), atol=1e-5, rtol=0)


def test_integrated_gradients_are_complete(model, inputs):
    maps = ac.IntegratedGradients(model, n_steps=300)(inputs, TARGETS)
    rows = torch.arange(len(TARGETS))
    gain = model(inputs)[rows, TARGETS] - model(torch.zeros_like(inputs))[rows, TARGETS]
    assert torch.allclose(maps.flatten(1).sum(dim=1), gain, atol=2e-3, rtol=1e-3)


def test_each_row_has_its_own_target(model, inputs):
    together = ac.Saliency(model)(inputs, TARGETS)
    for i, target in enumerate(TARGETS):
        alone = ac.Saliency(model)(inputs[i : i + 1], int(target))
        assert torch.allclose(together[i : i + 1], alone, atol=1e-5)
    assert not torch.allclose(together, ac.Saliency(model)(inputs, TARGETS.flip(0)), atol=1e-3)


@pytest.mark.parametrize("kind", [ac.Saliency, ac.InputXGradient, ac.IntegratedGradients])
def test_parameters_and_inputs_collect_no_gradients(kind, inputs):
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).eval()
    leaf = inputs.clone().requires_grad_()
    out = kind(net)(leaf, TARGETS)
    assert not out.requires_grad or kind is not ac.Saliency
    assert leaf.grad is None
    assert all(parameter.grad is None for parameter in net.parameters())


def test_works_where_gradients_are_off(model, inputs):
    with torch.no_grad():
        assert ac.Saliency(model)(inputs, TARGETS).abs().max() > 0


def test_a_model_in_train_mode_is_called_in_eval_mode_and_left_as_it_is():
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 2)).train()
    with pytest.warns(ac.ModelModeWarning, match=r"1 \(Dropout\)\); it is called in eval mode"):
        maps = ac.Saliency(net)
    x = torch.rand(3, 4)
    assert torch.equal(maps(x, 1), net[2].weight[1].expand(3, 4))  # without dropout
    assert all(module.training for module in net.modules())


def test_single_output_models_need_no_target():
    net = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)).eval()
    weights = ac.Saliency(net)(torch.rand(5, 3), None)
    assert torch.allclose(weights, net[0].weight.expand(5, 3))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (10, "target=10: must be a class index from 0 to 9"),
        (-1, "target=-1"),
        (None, r"target=None: .* shape \(10,\); name one"),
    ],
)
def test_targets_out_of_range_are_refused(model, inputs, target, message):
    with pytest.raises(ac.ArgumentError, match=message):
        ac.Saliency(model)(inputs, target)


def test_a_target_needs_a_row_for_each_input():
    with pytest.raises(ac.ArgumentError, match=r"model=\(10,\): must give a row for each of 5 inputs"):
        ac.Saliency(nn.Flatten(0).eval())(torch.rand(5, 2), 0)


def test_baseline_of_another_shape_is_refused(model, inputs):
    with pytest.raises(ac.ArgumentError, match="^baselines="):
        ac.IntegratedGradients(model, baselines=torch.zeros(3))(inputs, 0)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("kind", [ac.IntegratedGradients, ac.StochasticIntegratedGradients])
@pytest.mark.parametrize("bad", [NAN, INF, -INF, torch.tensor(NAN), torch.tensor([[0.0, INF], [NAN, 0.0]])])
def test_baselines_that_are_not_finite_are_refused_on_construction(model, kind, bad):
    with pytest.raises(ac.ArgumentError, match=r"^baselines=(nan|-?inf): must be a finite number, or a tensor of"):
        kind(model, baselines=bad)
    assert kind(model, baselines=torch.zeros(2, 2, dtype=torch.int64)).baselines.shape == (2, 2)


@pytest.mark.untyped
@pytest.mark.parametrize("kind", [ac.IntegratedGradients, ac.StochasticIntegratedGradients])
@pytest.mark.parametrize("bad", ["a", None, True, [0.0], np.zeros(2), 1j, torch.zeros(2, dtype=torch.complex64)])
def test_baselines_of_other_kinds_are_refused_on_construction(model, kind, bad):
    with pytest.raises(ac.ArgumentError, match="^baselines=.*: must be a finite number, or a tensor of"):
        kind(model, baselines=bad)
    assert type(kind(model, baselines=np.float32(0.5)).baselines) is float


def test_wrap_numpy(inputs):
    def black_box(x, target):
        assert isinstance(x, np.ndarray)
        return x * np.asarray(target).reshape(-1, 1, 1, 1)

    assert torch.equal(ac.wrap(black_box, numpy=True)(inputs, TARGETS), inputs * TARGETS.view(-1, 1, 1, 1))


def test_wrap_captum(model, inputs):
    wrapped = ac.wrap(captum.attr.Saliency(model))
    assert torch.allclose(wrapped(inputs, TARGETS), ac.Saliency(model, abs=True)(inputs, TARGETS), atol=1e-5)


def test_wrap_captum_says_that_the_model_is_called_in_eval_mode():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).train()
    with pytest.warns(ac.ModelModeWarning):
        ac.wrap(captum.attr.IntegratedGradients(net))


def test_what_is_no_attribution_is_refused():
    with pytest.raises(ac.ArgumentError, match="^attribution="):
        ac.wrap(3)
