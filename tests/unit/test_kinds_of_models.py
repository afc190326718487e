"""Models, outputs, attributions and inputs of all kinds: they work, or one line says what is the matter."""

import collections
import dataclasses
import warnings

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import attricert as ac
from attricert import attacks
from attricert.errors import CallError, DerivativeWarning, InPlaceWarning, OutputWarning

X = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
ZERO = torch.zeros(2, dtype=torch.long)


def net(classes=4):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, classes)).eval()


def certify(attribution, inputs=X, target=0, *, n_samples=120, **settings):
    smoothed = ac.SmoothedAttribution(attribution, ac.Gaussian(0.25), **settings)
    prove = ["prediction"] if "classifier" in settings or hasattr(attribution, "model") else []
    return smoothed.certify(inputs, target, n_samples=n_samples, seed=0, prove=prove)


class Giving(nn.Module):
    """The model, and what it makes of its scores."""

    def __init__(self, form, classes=4):
        super().__init__()
        self.body, self.form = net(classes), form

    def forward(self, x):
        return self.form(self.body(x))


@dataclasses.dataclass
class Output:
    logits: torch.Tensor
    hidden: object = None


class Holder:
    def __init__(self, logits):
        self.logits = logits


Named = collections.namedtuple("Named", "logits aux")
pytestmark = [
    pytest.mark.untyped,  # what is of a wrong type must reach the checks of the library itself
    pytest.mark.filterwarnings("ignore::attricert.errors.MeaningWarning"),  # class 0, whichever is predicted
]


@pytest.fixture(scope="module")
def plain():
    return certify(ac.Saliency(net()))


@pytest.mark.parametrize(
    "form",
    {
        "logits": lambda o: {"loss": None, "logits": o, "aux": 2 * o},
        "out": lambda o: {"out": o, "aux": 2 * o},
        "only": lambda o: {"whatever": o},
        "tuple of one": lambda o: (o,),
        "list of one": lambda o: [o],
        "dataclass": Output,
        "named tuple": lambda o: Named(o, 2 * o),
        "object": Holder,
        "squeezed": lambda o: o.squeeze(),
        "pixels of one": lambda o: o[..., None, None],
    }.items(),
    ids=lambda pair: pair[0],
)
def test_outputs_of_every_form_are_those_of_the_plain_model(form, plain):
    model = Giving(form[1]).eval()
    certificate = certify(ac.Saliency(model))
    np.testing.assert_allclose(certificate.norm, plain.norm, rtol=1e-5)
    np.testing.assert_array_equal(certificate.prediction, plain.prediction)
    singles = certify(ac.Saliency(model), batch_size=1)  # where squeezing takes the batch away
    np.testing.assert_allclose(singles.norm, plain.norm, rtol=1e-5)


def test_the_first_of_several_outputs_is_explained_and_said_to_be(plain):
    with pytest.warns(OutputWarning, match=r"returns 2 tensors; the first, \(4,\) an input"):
        certificate = certify(ac.Saliency(Giving(lambda o: (o, 3 * o)).eval()))
    np.testing.assert_allclose(certificate.norm, plain.norm, rtol=1e-5)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda o: {"a": o, "b": o}, "output of the model='dict of a, b': must be a torch tensor.*, or hold one"),
        (lambda o: None, "output of the model='NoneType'"),
        (lambda o: o.detach().numpy(), "output of the model='ndarray'"),
        (lambda o: o.mean(0), "must give a row for each of"),
        (lambda o: o.flatten(), "must give a row for each of"),
        (lambda o: o.sum(), "model=\\(\\): must give a row for each of"),
        (lambda o: o[:, :0], "must give a number at least"),
        (lambda o: o.detach(), "model='Giving': no gradient reaches its input"),
        (lambda o: o.argmax(1), "no gradient reaches its input"),
        (lambda o: torch.zeros(len(o), 4, requires_grad=True), "no gradient reaches its input"),
    ],
)
def test_outputs_that_say_nothing_of_each_input_are_refused(form, message):
    with pytest.raises(ac.ArgumentError, match=message):
        certify(ac.Saliency(Giving(form, classes=5).eval()))


@pytest.mark.parametrize("form", [lambda o: o, lambda o: o[:, 0], lambda o: o.squeeze()], ids=["(n, 1)", "(n,)", "()"])
def test_one_logit_is_two_classes_by_its_sign(form):
    model = Giving(form, classes=1).eval()
    maps = ac.Saliency(model)
    single = torch.autograd.functional.jacobian(lambda x: net(1)(x).sum(), X)
    torch.testing.assert_close(maps(X, 1), single)
    torch.testing.assert_close(maps(X, 0), -single)
    torch.testing.assert_close(maps(X, None), single)
    certificate = certify(maps, target=1)
    smoothed = [ac.SmoothedAttribution(maps, ac.Gaussian(0.25)).certify(X, t, n_samples=120, seed=0) for t in (0, 1)]
    np.testing.assert_allclose(smoothed[0].norm, smoothed[1].norm)
    assert certificate.norm.shape == (2,)
    # The class is that of the sign of the logit's mean, which noise of this size does not turn here.
    np.testing.assert_array_equal(smoothed[0].prediction, (net(1)(X).detach().numpy()[:, 0] > 0).astype(int))
    with pytest.raises(ac.ArgumentError, match="target=2: must be a class index from 0 to 1"):
        certify(maps, target=2)


def test_a_probability_in_place_of_a_logit_is_told():
    with pytest.warns(OutputWarning, match=r"lies in \[0, 1\], like a probability"):
        certify(ac.Saliency(Giving(torch.sigmoid, classes=1).eval()))


def test_a_pixel_of_a_segmentation_is_explained():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1)).eval()
    maps = ac.Saliency(model)
    weight = model[0].weight.detach()
    expected = torch.zeros_like(X)
    expected[:, :, 1:4, 2:5] = weight[1]  # the gradient of one output of a convolution is its kernel, put there
    torch.testing.assert_close(maps(X, (1, 2, 3)), expected)
    with pytest.warns(
        OutputWarning, match=r"target \(1, 2, 3\) has several indices: the first, 1, is taken as the class"
    ):
        certificate = ac.SmoothedAttribution(maps, ac.Gaussian(0.25)).certify(X, (1, 2, 3), n_samples=300, seed=0)
    assert (certificate.norm > 0.9).all()  # the map is constant
    np.testing.assert_array_equal(certificate.prediction, model(X)[:, :, 2, 3].argmax(1).numpy())
    each = ac.SmoothedAttribution(maps, ac.Gaussian(0.25)).attribute(X, [(1, 2, 3), (0, 0, 0)], n_samples=120, seed=0)
    torch.testing.assert_close(each[0], expected[0] / expected[0].norm())
    assert float(each[1, :, 2:].abs().max()) == 0
    single = ac.Saliency(nn.Sequential(model, nn.Conv2d(5, 1, 1)).eval())  # one logit a pixel: two classes by its sign
    torch.testing.assert_close(single(X, (1, 2, 3)), -single(X, (0, 2, 3)))
    by_captum = ac.wrap(captum.attr.Saliency(model))
    torch.testing.assert_close(by_captum(X, torch.tensor([[1, 2, 3]] * 2)), expected.abs())
    for target, message in [
        (0, r"name one number, target=\(class, row, column\)"),
        ((5, 0, 0), "target=5: must be a class index from 0 to 4"),
        ((0, 0, 6), "target=6: must be an index into axis 3 from 0 to 5"),
        ((0, 0), "name one number"),
    ]:
        with pytest.raises(ac.ArgumentError, match=message):
            certify(maps, target=target)
    with pytest.raises(ac.ArgumentError, match="target='2 indices': must be one class index"):
        certify(ac.Saliency(net()), target=(1, 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_another_precision_are_given_theirs(dtype, plain):
    model = net().to(dtype)
    certificate = certify(ac.Saliency(model))
    np.testing.assert_allclose(certificate.norm, plain.norm, rtol=0.02)
    assert next(model.parameters()).dtype == dtype
    with pytest.raises(CallError, match=r"attribution Saliency failed on .*torch.float32.*cast the inputs or"):
        certify(ac.wrap(captum.attr.Saliency(model)))


@pytest.mark.parametrize(
    "inputs",
    [
        X.numpy(),
        X.numpy().astype(float),
        X.tolist(),
        list(X),
        list(X.numpy()),
        X.to_sparse(),
        nn.Parameter(X),
    ],
    ids=["array", "float64", "lists", "tensors", "arrays", "sparse", "parameter"],
)
def test_inputs_are_converted(inputs, plain):
    np.testing.assert_allclose(certify(ac.Saliency(net()), inputs).norm, plain.norm, rtol=1e-3)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (X[0, 0, 0], r"inputs=\(6,\): .* a single input needs a batch dimension: inputs\[None\]"),
        (X[0], r"each input is taken to have shape \(6, 6\); a single one needs a batch dimension"),
        ((X * 255).byte(), "inputs='torch.uint8': must be float32 or float64"),
        ((X * 255).byte().numpy(), "divide 8-bit images by 255"),
        (X.half(), "inputs='torch.float16': must be float32 or float64"),
        (["a"], "inputs='list': must be a tensor, an array or lists of numbers"),
        (None, "inputs='NoneType': must be a tensor"),
        ({"x": X}, "inputs='dict': must be a tensor"),
        (np.ma.masked_greater(X.numpy(), 0.9), "entries are masked"),
        ([[1.0, 2.0], [3.0]], "inputs='list': must be a tensor"),
        (X.to("meta"), "inputs='tensor on the meta device'"),
        (X[:, :1], r"expected input\[1, 1, 6, 6\] to have 3 channels"),
        (X[:0], "not empty"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_in_one_line(inputs, message):
    with pytest.raises(ac.AttricertError, match=message) as caught:
        certify(ac.Saliency(net()), inputs)
    assert "\n" not in str(caught.value)


def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(net())


def frozen():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.freeze(torch.jit.script(net()))


def exported():
    return torch.export.export(net(), (X,), dynamic_shapes=({0: torch.export.Dim("n")},)).module()


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.body, self.reentrant = net(), reentrant

    def forward(self, x):
        return checkpoint(self.body, x, use_reentrant=self.reentrant)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad", "ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize(
    "make",
    {
        "scripted": scripted,
        "frozen": frozen,
        "exported": exported,
        "compiled": lambda: torch.compile(net(), backend="eager"),
        "parallel": lambda: nn.DataParallel(net()),
        "channels last": lambda: net().to(memory_format=torch.channels_last),
        "checkpointed": lambda: Checkpointed(False).eval(),
        "checkpointed, reentrant": lambda: Checkpointed(True).eval(),
    }.items(),
    ids=lambda pair: pair[0],
)
def test_models_of_every_make_give_the_certificate_of_the_plain_one(make, plain):
    model = make[1]()
    np.testing.assert_allclose(certify(ac.Saliency(model)).norm, plain.norm, rtol=1e-5)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_models_that_are_fixed_to_a_batch_are_told_how():
    fixed = torch.export.export(net(), (X[:1],)).module()
    with pytest.raises(ac.ArgumentError, match="takes one input at a time, not 4: give batch_size=1"):
        certify(ac.Saliency(fixed))
    certify(ac.Saliency(fixed), X[:1], batch_size=1)
    program = torch.export.export(net(), (X,))
    with pytest.raises(ac.ArgumentError, match=r"model='ExportedProgram': must be a torch.nn.Module; call its .module"):
        ac.Saliency(program)
    with pytest.raises(CallError, match="exported for one shape of the batch"):
        certify(ac.Saliency(program.module()))


def test_models_without_weights_yet_or_made_for_inference_are_told():
    with pytest.raises(ac.ArgumentError, match="model='LazyLinear': has parameters that are not initialized yet"):
        certify(ac.Saliency(nn.Sequential(nn.Flatten(), nn.LazyLinear(4)).eval()))
    with torch.inference_mode():
        model = net()
        again = X.clone()
    with pytest.raises(CallError, match="made under torch.inference_mode"):
        certify(ac.Saliency(model))
    with torch.inference_mode():
        certify(ac.Saliency(WORKING), again)  # elsewhere that mode is no hindrance


WORKING = net()


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated", "ignore:quantized..linear_dynamic")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_quantized_models_are_black_boxes():
    quantized = torch.ao.quantization.quantize_dynamic(net(), {nn.Linear})
    with pytest.raises(ac.ArgumentError, match="no gradient reaches its input"):
        certify(ac.Saliency(quantized))

    def occlusion(x, target):
        with torch.no_grad():
            rows = torch.arange(len(x))
            whole, out = quantized(x)[rows, target], torch.zeros_like(x)
            for i in range(x.shape[2]):
                part = x.clone()
                part[:, :, i] = 0
                out[:, :, i] = (whole - quantized(part)[rows, target])[:, None, None]
        return out

    # Activations are scaled over the whole batch: its rows are mixed.
    with pytest.raises(ac.ArgumentError, match="rows of a batch are mixed.*batch_size=1"):
        certify(ac.wrap(occlusion))
    assert (certify(ac.wrap(occlusion), batch_size=1).norm > 0).all()


@pytest.mark.parametrize(
    ("result", "message"),
    {
        "none": (lambda x, t: None, "must return a tensor, an array or a list of real numbers, not NoneType"),
        "complex": (lambda x, t: x.to(torch.complex64), "must return real values"),
        "objects": (lambda x, t: np.array([object()] * len(x)), "not ndarray"),
        "pair": (lambda x, t: (x, x), "not tuple of Tensor"),
        "ragged": (lambda x, t: (x, x.sum()), "not tuple of Tensor"),
        "text": (lambda x, t: "map", "not str"),
        "dict": (lambda x, t: {"map": x}, "not dict"),
        "number": (lambda x, t: 1.0, r"attribution=\(\): must return a map an input"),
        "number an input": (lambda x, t: x.flatten(1).sum(dim=1), r"attribution=\(\d,\): must return a map an input"),
        "one row": (lambda x, t: x[:1], "must return a map an input"),
        "all rows in one": (lambda x, t: x.sum(dim=0), "must return a map an input"),
    }.values(),
)
@pytest.mark.filterwarnings("ignore:Casting complex")
def test_attributions_that_return_something_else_are_told(result, message):
    with pytest.raises(ac.ArgumentError, match=message):
        certify(ac.wrap(result))
    with pytest.raises(ac.ArgumentError, match="must return"):
        certify(result)


@pytest.mark.parametrize("convert", [np.asarray, torch.Tensor.tolist, torch.Tensor.half, torch.Tensor.to_sparse])
def test_what_is_returned_is_converted_where_it_can_be(convert):
    got, expected = (certify(ac.wrap(f)).norm for f in (lambda x, t: convert(x), lambda x, t: x))
    np.testing.assert_allclose(got, expected, rtol=1e-3)


@pytest.mark.parametrize("error", [AttributeError, IndexError, TypeError, StopIteration, KeyError, OSError])
def test_what_other_peoples_code_raises_is_one_line_with_its_cause(error):
    def raises(*_):
        raise error("of\nits own")

    for settings in ({"attribution": ac.wrap(raises)}, {"attribution": raises}, {"classifier": raises}):
        given = {"attribution": ac.wrap(lambda x, t: x), **settings}
        with pytest.raises(
            CallError, match=rf"failed on inputs of shape \(1, 3, 6, 6\), .*{error.__name__}: .*its own"
        ) as caught:
            certify(**given)
        assert isinstance(caught.value.__cause__, error)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (lambda x: x.flatten(1).argmax(1), "must give scores"),
        (lambda x: x.flatten(1).numpy(), "output of the model='ndarray'"),
        (lambda x: torch.randn(len(x), 3), "classifier='<lambda>': gives different scores of equal inputs"),
        (lambda x: x.flatten(1) - x.mean(), "gives an input another score beside other inputs"),
        (lambda x: x[:1].flatten(1), "must give a row for each of"),
    ],
)
def test_classifiers_that_are_none_are_refused(classifier, message):
    with pytest.raises(ac.ArgumentError, match=message):
        certify(ac.wrap(lambda x, t: x), classifier=classifier)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.o = nn.Linear(9, 9), nn.Linear(9, 4)

    def forward(self, x):
        z = self.q(x.flatten(1).reshape(len(x), 12, 9))[:, None]
        return self.o(functional.scaled_dot_product_attention(z, z, z).mean((1, 2)))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.t, self.o = nn.TransformerEncoderLayer(9, 3, 16, batch_first=True), nn.Linear(9, 4)

    def forward(self, x):
        return self.o(self.t(x.flatten(1).reshape(len(x), 12, 9)).mean(1))


class Distances(nn.Module):
    def __init__(self):
        super().__init__()
        self.centers = nn.Parameter(torch.rand(4, 108, generator=torch.Generator().manual_seed(2)))

    def forward(self, x):
        return -torch.cdist(x.flatten(1), self.centers)


def attack(model, how, smooth=True):
    maps = ac.Saliency(model)
    what = ac.SmoothedAttribution(maps, ac.Gaussian(0.25)) if smooth else maps
    return how.run(what, X, ZERO, eps=0.1, seed=0, n_samples=64, n_compared=32)


PGD = attacks.PGD(attacks.CosineLoss(), steps=6, restarts=1, draws=8, every=2)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize(
    "make", [Attention, Transformer, lambda: torch.compile(net(), backend="aot_eager"), lambda: net().bfloat16()]
)
def test_attention_and_compiled_models_are_attacked(make, smooth):
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = make().eval()
    fast = torch.backends.mha.get_fastpath_enabled()
    found = attack(model, PGD, smooth)
    assert 0 < float(found.size.max()) <= 0.1
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_without_second_derivatives_values_are_enough():
    model = Distances().eval()
    with pytest.warns(DerivativeWarning, match="attacked by values alone"):
        found = attack(model, attacks.Strong(budget=0.01))
    assert bool((found.cosine < 1).any())
    with pytest.raises(CallError, match='attack its smoothed map with method="score"'):
        attack(model, PGD, smooth=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data_range": 3}, "data_range=3: must be"),
        ({"data_range": (1.0, 0.0)}, r"data_range=\(1.0, 0.0\): must be"),
        ({"eps": "a"}, "eps='a': must be one number"),
        ({"start": torch.rand(3)}, r"start=\(3,\): must have the inputs' shape"),
        ({"start": "a"}, "start='str': must be a tensor"),
        ({"what": net()}, "what='Sequential': must be an attribution"),
        ({"what": ac.wrap(lambda x, t: x + torch.randn_like(x)), "classifier": net()}, "gives different maps of equal"),
        ({"what": ac.wrap(lambda x, t: x, random=True), "classifier": net()}, "has no map of its own, as it is random"),
    ],
)
def test_attacks_say_what_they_cannot_take(given, message):
    settings = {"what": ac.Saliency(net()), "eps": 0.1, **given}
    with pytest.raises(ac.ArgumentError, match=message):
        PGD.run(settings.pop("what"), X, ZERO, **settings)


def test_gradients_by_torch_func_are_sampled(plain):
    model = net()

    def by_func(x, target):
        one = torch.func.grad(lambda z, i: model(z[None])[0].gather(0, i[None])[0])
        return torch.func.vmap(one)(x, target)

    np.testing.assert_allclose(certify(by_func, classifier=model).norm, plain.norm, rtol=1e-4)


def test_first_operations_in_place_work_and_inputs_changed_in_place_are_told():
    model = nn.Sequential(nn.ReLU(inplace=True), net()).eval()
    keep = X.clone()
    with pytest.warns(InPlaceWarning):
        certify(ac.Saliency(model))
    assert torch.equal(X, keep)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.save(5), "path=5: must be a path"),
        (lambda c: ac.Certificate.load(5), "path=5: must be a path"),
        (lambda c: c[5], "rows=5: there are 2 inputs"),
        (lambda c: ac.SmoothedAttribution(ac.Saliency(net()), ac.Gaussian(1.0), antithetic="no"), "antithetic='no'"),
        (lambda c: ac.Saliency(net(), abs="no"), "abs='no': must be True or False"),
        (lambda c: ac.wrap(lambda x, t: x, random="no"), "random='no': must be True or False"),
        (lambda c: certify(ac.Saliency(net()), target="a"), "target='a': must be class indices"),
        (lambda c: certify(ac.Saliency(net()), target=10**30), "must be class indices"),
        (lambda c: ac.Saliency(lambda x: x), "model='function': must be a torch.nn.Module"),
    ],
)
def test_unusual_arguments_are_refused_by_name(call, message, plain):
    with pytest.raises(ac.ArgumentError, match=message):
        call(plain)


def test_certificates_are_sequences(plain):
    assert [len(one) for one in plain] == [1, 1]
    np.testing.assert_array_equal([one.norm[0] for one in plain], plain.norm)
    np.testing.assert_array_equal(plain[-1].norm, plain.norm[1:])
    with pytest.raises(IndexError):
        plain[2]
    full = ac.SmoothedAttribution(ac.Saliency(net()), ac.Gaussian(0.25)).certify(X, 0, n_samples=120, seed=0)
    assert full.intervals([]).low.shape == (2, 0, 3, 6, 6)


def test_settings_of_numpy_are_no_hindrance():
    with np.errstate(all="raise"):
        certificate = ac.SmoothedAttribution(ac.Saliency(net()), ac.Gaussian(0.25)).certify(X, 0, n_samples=120, seed=0)
        certificate.cosine([0.0, 0.1])
        certificate.max_eps(0.5)
        certificate.intervals(0.1)
        certificate.prediction_radius()
        certificate.kendall_tau(0.01)
        assert np.geterr()["under"] == "raise"
