"""Which of a model's outputs is explained: chosen by name, place or function; one label of many; and what is told."""

import collections
import dataclasses
import warnings

import pytest
import torch
from torch import nn

import attricert as ac
from attricert.errors import MeaningWarning, OutputWarning

X = torch.rand(3, 6, generator=torch.Generator().manual_seed(0))
W = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
InceptionOutputs = collections.namedtuple("InceptionOutputs", ["logits", "aux_logits"])  # torchvision's, in train mode


@dataclasses.dataclass
class Both:
    first: torch.Tensor
    second: torch.Tensor


class Holder:
    def __init__(self, o):
        self.first, self.second = o, -2 * o


class Giving(nn.Module):
    """Linear scores, and what is made of them."""

    def __init__(self, form, weight=W):
        super().__init__()
        self.weight, self.form = nn.Parameter(weight), form

    def forward(self, x):
        return self.form(x @ self.weight.T)


def giving(form, weight=W):
    return Giving(form, weight).eval()


def certify(attribution, inputs=X, target=1, **settings):
    smoothed = ac.SmoothedAttribution(attribution, ac.Gaussian(0.25))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MeaningWarning)
        return smoothed.certify(inputs, target, **{"n_samples": 120, "seed": 0, "prove": ["prediction"], **settings})


@pytest.mark.parametrize(
    ("form", "select", "factor"),
    [
        (lambda o: {"first": o, "second": -2 * o}, "second", -2),
        (lambda o: Both(o, -2 * o), "second", -2),
        (Holder, "second", -2),
        (lambda o: InceptionOutputs(o, -2 * o), "aux_logits", -2),
        (lambda o: InceptionOutputs(o, -2 * o), "logits", 1),
        (lambda o: collections.OrderedDict(out=o, aux=-2 * o), "aux", -2),
        (lambda o: (o, -2 * o), 1, -2),
        (lambda o: [o, -2 * o], -1, -2),
        (lambda o: (o, Both(o, -2 * o)), lambda given: given[1].second, -2),
        (lambda o: {"head": {"logits": -2 * o}, "first": o}, "head", -2),
        (lambda o: o, lambda o: -2 * o, -2),
    ],
)
@pytest.mark.parametrize("method", [ac.Saliency, ac.InputXGradient, ac.IntegratedGradients])
def test_the_output_that_is_named_is_explained(form, select, factor, method):
    maps = method(ac.Output(giving(form), select))
    row = factor * W[2].expand(3, -1)
    torch.testing.assert_close(maps(X, 2), row if method is ac.Saliency else X * row)


def test_the_classifier_is_the_same_model():
    model = ac.Output(giving(lambda o: {"first": o, "second": -2 * o}), "second")
    certificate = certify(ac.Saliency(model))
    assert certificate.prediction.tolist() == (-X @ W.T).argmax(dim=1).tolist() != (X @ W.T).argmax(dim=1).tolist()


@pytest.mark.parametrize(
    ("form", "select", "message"),
    [
        (lambda o: {"first": o, "second": o}, "secnd", "output='secnd': did you mean 'second'"),
        (lambda o: {"first": o}, 0, "output=0: is a place in a tuple or list; the model gives dict"),
        (lambda o: o, "logits", "output='logits': is a name; the model gives one tensor"),
        (lambda o: o, 0, "output=0: is a place in a tuple or list; the model gives one tensor"),
        (lambda o: (o, o), 2, "output=2: must be a place among 2"),
        (lambda o: (o, o), "logits", "output='logits': is a name; the model gives tuple"),
        (lambda o: {"first": None, "second": o}, "first", "output of the model='NoneType': must be a torch tensor"),
        (lambda o: {"a": o, "b": o}, lambda o: o, "of a, b.*ac.Output.model, key. names another"),
    ],
)
def test_what_came_instead_is_named(form, select, message):
    with pytest.raises(ac.ArgumentError, match=message):
        certify(ac.Saliency(ac.Output(giving(form), select)))


def test_bad_selectors_are_refused():
    for select in (None, True, 1.5):
        with pytest.raises(ac.ArgumentError, match="must be a name, a place .*, or a function of the output"):
            ac.Output(giving(lambda o: o), select)
    for wrapper in (ac.Output, ac.OneLabel):
        with pytest.raises(ac.ArgumentError, match="must be a torch.nn.Module"):
            wrapper(lambda x: x, 0)
        assert not wrapper(giving(lambda o: o), 0).training
        assert wrapper(nn.Linear(2, 2), 0).training
    with pytest.raises(ac.CallError, match="ZeroDivisionError"):
        certify(ac.Saliency(ac.Output(giving(lambda o: o), lambda o: o * (1 // 0))))


def test_a_label_of_many_is_there_or_not():
    model = giving(lambda o: o - 0.2)
    logits = X @ W.T - 0.2
    for k in range(4):
        maps = ac.Saliency(ac.OneLabel(model, k))
        torch.testing.assert_close(maps(X, 1), W[k].expand(3, -1))
        torch.testing.assert_close(maps(X, 0), -W[k].expand(3, -1))
        certificate = certify(maps, n_samples=1000)
        sure = logits[:, k].abs() > 0.5 * 0.25 * W[k].norm()  # far from the boundary, for this noise
        assert certificate.prediction[sure].tolist() == (logits[sure, k] > 0).long().tolist()
        # Exactly the label's own boundary is what is certified, and not where another label becomes the largest.
        far = (logits[:, k].abs() / W[k].norm()).numpy()
        assert (certificate.prediction_radius() <= far + 1e-6).all()
        assert (certificate.prediction_radius()[sure.numpy()] > 0.0).any()
    assert sorted((logits > 0).sum(dim=1).tolist()) != [1, 1, 1]  # labels are no classes: several are there, or none
    single = ac.OneLabel(model, 2)
    torch.testing.assert_close(single(X[:1]), logits[:1, 2], check_dtype=False)
    with pytest.raises(ac.ArgumentError, match="target=4: must be a class index from 0 to 3"):
        certify(ac.Saliency(ac.OneLabel(model, 4)))
    places = ac.OneLabel(giving(lambda o: o.reshape(-1, 2, 2, 1).expand(-1, -1, -1, 5)), (1, 0, 4))
    torch.testing.assert_close(ac.Saliency(places)(X, 1), W[2].expand(3, -1))


def test_a_regression_has_a_number_and_no_class():
    for form in (lambda o: o[:, 0], lambda o: o[:, :1], lambda o: {"prediction": o[:, :1]}):
        maps = ac.Saliency(giving(form))
        torch.testing.assert_close(maps(X, None), W[0].expand(3, -1))
        certificate = certify(maps, target=None, prove=None)
        assert (certificate.norm > 0.5).all()
        with pytest.raises(ac.ArgumentError):
            _ = certificate.prediction
    with pytest.raises(ac.ArgumentError, match="target=None: the model has outputs of shape .*name one"):
        certify(ac.Saliency(giving(lambda o: o)), target=None, prove=None)


@pytest.mark.parametrize("scale", [60.0, -60.0])
@pytest.mark.parametrize("form", [lambda o: o.softmax(dim=1), torch.sigmoid], ids=["softmax", "sigmoid"])
def test_saturated_probabilities_are_told(form, scale):
    weight = torch.zeros(3, 6)
    weight[1] = scale
    with pytest.warns(OutputWarning, match=r"Giving gives probabilities.*within 0.0001 of 0 or 1.*explain logits"):
        certify(ac.Saliency(giving(form, weight)), X + 1)
    # As it says: next to nothing is left of the gradients there.
    assert float(ac.Saliency(giving(form, weight))(X + 1, 1).abs().max()) < 1e-4 * abs(scale)


@pytest.mark.parametrize(
    ("form", "weight"),
    [
        (lambda o: o.softmax(dim=1), W),  # far from 0 and 1
        (lambda o: o, 1e-3 * W.abs()),  # logits that lie in [0, 1] here
        (lambda o: o, 60 * W),
        (lambda o: o.log_softmax(dim=1), 60 * W),
    ],
)
def test_other_scores_are_not(form, weight):
    with warnings.catch_warnings():
        warnings.simplefilter("error", OutputWarning)
        certify(ac.Saliency(giving(form, weight)))
