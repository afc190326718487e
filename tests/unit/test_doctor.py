"""A small zoo of sick models, each with what is to be found of it; and healthy ones."""

import contextlib
import dataclasses
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional

import attricert as ac
from attricert.sampling.batching import bytes_per_draw

X = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
# Of the machine, not of the model.
MACHINE = {"threads", "device"}


def seeded(build):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build()


def body(*last, norm=None):
    middle = [] if norm is None else [norm]
    return seeded(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), *middle, nn.Tanh(), nn.Flatten(), nn.Linear(144, 4), *last).eval()
    )


class Around(nn.Module):
    """A body, with a function of inputs and body."""

    def __init__(self, forward, inner=None):
        super().__init__()
        self.body = body() if inner is None else inner
        self.around = forward

    def forward(self, x):
        return self.around(self.body, x)


def around(forward, inner=None):
    return Around(forward, inner).eval()


def amiss(found):
    """Names and statuses of what is not in order."""
    return {f.name: f.status for f in found.findings if f.status != "ok" and f.name not in MACHINE}


def doctor(model, x=X, target=0, **settings):
    mode = model.training
    attribution = ac.Saliency(model.eval())  # says itself what it is told in train mode
    model.train(mode)
    return ac.doctor(attribution, x, target, n_samples=200, **{"noise": ac.Gaussian(0.1), **settings})


def raising(model, x):
    raise ValueError("no such layer")


def steps(model, x):
    return model((x * 4).round() / 4)


def saturated(model, x):
    return torch.softmax(1e4 * model(x), dim=1)


BATCH_NORM = nn.BatchNorm2d(4, track_running_stats=False)


ZOO = {
    "batch statistics": (
        body(norm=BATCH_NORM),
        X,
        {"batch norm": "problem", "rows": "problem"},
        "batch norm",
        "1 (BatchNorm2d)",
    ),
    "mixed rows": (around(lambda m, x: m(x - x.mean(0))), X, {"rows": "problem"}, "rows", "beside other inputs"),
    "functional dropout": (
        around(lambda m, x: m(functional.dropout(x))),
        X,
        {"repeats": "problem"},
        "repeats",
        "maps of equal inputs differ by",
    ),
    "train mode": (body(nn.Dropout(0.5)).train(), X, {"mode": "note"}, "mode", "4 (Dropout)"),
    "saturated softmax": (
        around(saturated),
        X,
        {"output": "note", "saturation": "problem", "map values": "problem"},
        "saturation",
        "4 of 4 noisy copies",
    ),
    "probabilities": (body(nn.Softmax(dim=1)), X, {"output": "note"}, "output", "probabilities of 4 classes"),
    "labels": (body(nn.Sigmoid()), X, {"output": "note"}, "output", "do not sum to 1 of 4 classes"),
    "in place": (around(lambda m, x: m(x.mul_(2.0))), X, {"in place": "note"}, "in place", "writes to its inputs"),
    "0..255": (
        around(lambda m, x: m(x / 255)),
        255 * X,
        {"input range": "note"},
        "input range",
        "from 0.315 to 255",
    ),
    "steps": (around(steps), X, {"map values": "problem"}, "map values", "of 24 maps 24 are zero"),
    "tuple": (around(lambda m, x: (m(x), x)), X, {"output": "note"}, "output", "tuple of 2, of which the first"),
    "dict": (
        around(lambda m, x: {"aux": x, "logits": m(x)}),
        X,
        {},
        "output",
        "dict of aux, logits, of which logits",
    ),
    "float64": (body().double(), X, {"dtype": "note"}, "dtype", "inputs float32, weights float64"),
    "no gradient": (
        around(lambda m, x: m(x.detach())),
        X,
        {"calls": "problem"},
        "calls",
        "no gradient reaches its input",
    ),
    "raising": (around(raising), X, {"calls": "problem"}, "calls", "ValueError: no such layer"),
    "not finite": (
        around(lambda m, x: (-1 - m(x).square()).sqrt()),
        X,
        {"output": "problem", "map values": "problem"},
        "map values",
        "of 24 maps 24 hold NaN or inf",
    ),
    "one at a time": (
        around(lambda m, x: m(x.reshape(1, 3, 8, 8))),
        X,
        {"rows": "problem"},
        "rows",
        "give batch_size=1",
    ),
    "healthy": (body(norm=nn.BatchNorm2d(4)), X, {}, "batch norm", "running statistics"),
    "log": (body(nn.LogSoftmax(dim=1)), X, {}, "output", "log-probabilities of 4 classes"),
}
STOPS = {"calls", "repeats", "rows", "batch norm"}


@pytest.mark.parametrize(("model", "inputs", "expected", "name", "words"), ZOO.values(), ids=ZOO)
def test_each_has_its_finding_and_no_other(model, inputs, expected, name, words):
    noise = ac.Gaussian(25.0 if inputs is not X else 0.1)
    found = doctor(model, inputs, noise=noise)
    assert amiss(found) == expected
    assert words in found[name].seen
    assert all(f.meaning and f.way_out for f in (*found.problems, *found.notes))
    assert [f.name for f in found.problems] == [n for n, status in expected.items() if status == "problem"]


@pytest.mark.filterwarnings("ignore::attricert.errors.OutputWarning", "ignore::attricert.errors.AttributionWarning")
@pytest.mark.filterwarnings("ignore::attricert.errors.ModelModeWarning", "ignore::attricert.errors.MeaningWarning")
@pytest.mark.parametrize("name", ZOO)
def test_certify_stops_where_a_finding_says_so_and_nowhere_else(name):
    model, inputs, expected, *_ = ZOO[name]
    smoothed = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(25.0 if inputs is not X else 0.1))
    stops = any(status == "problem" and of in STOPS for of, status in expected.items())
    with pytest.raises(ac.AttricertError) if stops else contextlib.nullcontext():
        smoothed.certify(inputs[:1], 0, n_samples=100, seed=0, prove=[])


def test_a_random_model_that_mixes_rows_in_train_mode_with_saturated_outputs_is_told_of_all_four():
    def sick(model, x):
        return torch.softmax(1e4 * model(functional.dropout(x - 0.5 * x.mean(0), 0.1)), dim=1)

    model = Around(sick, body(nn.Dropout(0.5)))
    found = doctor(model.train())
    assert model.training
    some = {"mode": "note", "saturation": "problem", "repeats": "problem", "rows": "problem"}
    assert some.items() <= amiss(found).items()


def test_dropout_alone_mixes_nothing():
    """The look at rows of what is random is not fooled by what is random."""
    model = around(lambda m, x: m(functional.dropout(x + functional.dropout(x), 0.3)))
    assert amiss(doctor(model)) == {"repeats": "problem"}


@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_one_number(scale):
    logit = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 1)).eval())
    assert amiss(doctor(logit, target=1)) == {}
    assert "one logit" in doctor(logit, target=1)["output"].seen
    assert amiss(doctor(nn.Sequential(logit, nn.Sigmoid()).eval(), target=1))["output"] == "problem"


def test_the_zoo_is_healthy(model, digits):
    found = doctor(model, digits.images[:4], digits.labels[:4])
    assert amiss(found) == {}
    assert "grey levels" in found["input range"].meaning


def test_what_certify_refuses_has_a_problem_and_with_one_at_a_time_neither():
    model = body(norm=BATCH_NORM)
    smoothed = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.1))
    with pytest.raises(ac.ArgumentError, match="rows of a batch are mixed"):
        smoothed.certify(X, 0, n_samples=100, seed=0)
    assert ac.doctor(smoothed, X, 0).problems
    singly = dataclasses.replace(smoothed, batch_size=1)
    assert amiss(ac.doctor(singly, X, 0)) == {"batch norm": "note"}


def test_a_class_that_there_is_not_is_told():
    found = doctor(body(), target=99)
    assert "target=99: must be a class index from 0 to 3" in found["calls"].seen


def test_ranges():
    declared = ac.Preprocessed(body(), (0.5,) * 3, (0.2,) * 3)
    assert amiss(doctor(declared)) == {}
    assert amiss(doctor(declared, 255 * X, noise=ac.Gaussian(20.0)))["input range"] == "problem"
    normalized = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    net = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(768, 3)).eval())
    found = doctor(net, normalized)
    assert amiss(found) == {"input range": "note"}
    assert "look like normalized images" in found["input range"].meaning


def test_rows_of_a_table_have_standard_deviations():
    table = torch.randn(40, 5, generator=torch.Generator().manual_seed(4)) * torch.tensor([1.0, 10.0, 0.1, 5.0, 2.0])
    found = doctor(seeded(lambda: nn.Sequential(nn.Linear(5, 3)).eval()), table, noise=ac.Gaussian(0.05))
    assert amiss(found) == {}
    assert "standard deviations in every column" in found["input range"].meaning
    given = ac.InputUnits("other", (5,))
    smoothed = ac.SmoothedAttribution(ac.wrap(lambda x, t: x), ac.Gaussian(0.05))
    assert "0.0447 input units" in smoothed.doctor(table, units=given)["input range"].meaning  # 0.1 / sqrt(5)


def test_noise_is_looked_at_or_chosen():
    chosen = ac.doctor(ac.Saliency(body()), X, 0, n_samples=100)
    expected = float(f"{0.25 * float(X.double().std(correction=0)):.2g}")
    assert f"Gaussian(sigma={expected!r})" in chosen["noise"].seen
    assert "chosen here" in chosen["noise"].meaning
    assert amiss(doctor(body(), noise=ac.Gaussian(5.0))) == {"noise": "note"}
    lost = doctor(body(), noise=ac.Gaussian(1e-9))
    assert amiss(lost)["noise"] == "problem"
    assert "lost to rounding" in lost["noise"].seen


def test_fixed_entries_and_maps_of_another_shape():
    mask = torch.zeros(3, 8, 8, dtype=torch.bool)
    mask[0] = True
    assert doctor(body(), fixed=mask)["fixed entries"].seen == "64 of 192"
    wrong = doctor(body(), fixed=torch.tensor([True, False]))
    assert amiss(wrong)["fixed entries"] == "problem"
    pooled = ac.wrap(lambda x, t: x.mean(dim=1))
    found = ac.doctor(pooled, X)
    assert amiss(found) == {"map shape": "note"}
    assert found["map shape"].seen == "(8, 8); inputs (3, 8, 8)"
    assert "no classifier" in found["output"].seen


def test_declared_randomness_is_in_order():
    found = ac.doctor(ac.wrap(lambda x, t: x + torch.randn_like(x), random=True), X, n_samples=100)
    assert amiss(found) == {}
    assert found["repeats"].seen == "declared random"
    model = body(norm=BATCH_NORM)
    singly = ac.wrap(lambda x, t: x * model(x).sum() + torch.randn_like(x), random=True)
    assert amiss(ac.doctor(singly, X, n_samples=100)) == {"batch norm": "note"}


def test_nothing_is_warned_of_and_all_is_left_as_it_was():
    model = body(nn.Dropout(0.5))
    attribution = ac.Saliency(model)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ac.doctor(attribution, X, 0, n_samples=100)
    assert caught == []
    assert model.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("width", [64, 1_000, 4_000])
def test_memory_a_draw_against_what_layers_hold_at_their_peak(width):
    """Of linear, relu, linear: the hidden layer, its gradient after and before the relu, the input and its gradient.

    Weights are there once, whatever the number of draws. The estimate is within a factor of 2.
    """
    d = 300
    net = seeded(lambda: nn.Sequential(nn.Linear(d, width), nn.ReLU(), nn.Linear(width, 3)).eval())
    x = torch.rand(2, d, generator=torch.Generator().manual_seed(0))
    found = doctor(net, x).cost
    peak = 4 * (3 * width + 2 * d)  # float32
    own = 10 * 8 * d  # float64 copies of a map
    assert peak / 2 <= found.bytes_a_draw - own <= 2 * peak
    assert found.batch_size == 128


def test_memory_grows_with_what_is_kept():
    narrow, wide = (
        doctor(around(lambda m, x: m(x), body(*(nn.Linear(4, 4), nn.Tanh()) * n))).cost.bytes_a_draw for n in (0, 8)
    )
    assert wide >= narrow


def test_the_cost_is_what_is_told():
    found = doctor(body())
    assert found.cost.n_samples == 200
    assert found.cost.seconds_an_input == pytest.approx(200 * found.cost.seconds_a_draw)
    assert f"batches of {found.cost.batch_size}" in found["memory"].seen
    fixed = doctor(body(), batch_size=7)
    assert fixed.cost.batch_size == 7
    failed = doctor(around(raising)).cost
    assert (failed.bytes_a_draw, failed.batch_size, failed.seconds_a_draw, failed.seconds_an_input) == (None,) * 4


def test_it_shows_itself():
    found = doctor(around(lambda m, x: m(x - x.mean(0))))
    assert repr(found).startswith("Diagnosis(Saliency of Around, 3 inputs of shape (3, 8, 8), Gaussian(sigma=0.1)")
    assert "1 problem (rows)" in repr(found)
    page = found._repr_html_()
    assert "Diagnosis: 1 problem" in page
    assert "batch_size=1" in page
    assert "<script" not in page
    hostile = found.with_finding(dataclasses.replace(found["rows"], seen="<b>\u202e"))
    assert "&lt;b&gt;\\u202e" in hostile._repr_html_()
    with pytest.raises(ac.UnknownNameError, match="did you mean 'rows'"):
        found["row"]
    assert found.to_dict()["findings"][0]["name"] == "device"
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.subject = ""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: ac.doctor(s, X, 0, noise="gaussian"), "noise='gaussian': must be left out"),
        (lambda s: ac.doctor(s.attribution, X, 0, noise="gausian"), "did you mean 'gaussian'"),
        (lambda s: ac.doctor(s, X[0, 0, 0], 0), "must have shape"),
        (lambda s: ac.doctor(s, (255 * X).byte(), 0), "divide 8-bit images by 255"),
        (lambda s: ac.doctor(s, X, 0, n_samples=0), "n_samples=0"),
        (lambda s: ac.doctor(body(), X, 0), "must be an attribution"),
    ],
)
def test_bad_arguments_say_why(call, message):
    smoothed = ac.SmoothedAttribution(ac.Saliency(body()), ac.Gaussian(0.1))
    with pytest.raises(ac.ArgumentError, match=message):
        call(smoothed)


def test_bytes_per_draw_of_one():
    assert bytes_per_draw(lambda: X, 1, 10) == 10 * 8 * 10
