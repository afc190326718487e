"""Registries: words, plain values in and out, and what they refuse."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import torch
from torch import nn

import attricert as ac
from attricert.attributions import is_nonnegative
from attricert.registry import Registry


@pytest.fixture
def shapes():
    registry: Registry[Any] = Registry("shape")

    @registry.register("slab", flat=True)
    @registry.register("box", flat=False)
    @dataclass(frozen=True)
    class Box:
        """A box.

        Args:
            inside: what is in it; no plain value.
            width: in metres,
                at most 3.
            lid: on or off.
            flat: lies down.
        """

        inside: nn.Module
        width: float
        lid: Literal["on", "off"] = "on"
        flat: bool = False

    @registry.register("ball")
    @dataclass(frozen=True)
    class Ball:
        """A ball.

        Args:
            size: its radius.
            skins: how many.
        """

        inside: nn.Module
        size: float | None = None
        skins: int = 1

    return registry


def test_parameters_come_from_fields_and_docstrings(shapes):
    found = shapes.parameters()
    assert list(shapes) == ["box", "slab", "ball"]
    assert list(found) == ["width", "lid", "size", "skins"]
    assert found["width"].help == "in metres, at most 3."
    assert (found["width"].required, found["width"].type) == (True, float)
    assert (found["skins"].required, found["skins"].default) == (False, 1)
    assert shapes.required("slab") == ["width"]
    assert shapes.required("ball") == []


def test_plain_values_make_members_and_come_back(shapes):
    inside = nn.Identity()
    slab = shapes.build("slab", {"width": 2.0, "size": None, "skins": 1}, inside)
    assert (slab.inside, slab.width, slab.lid, slab.flat) == (inside, 2.0, "on", True)
    assert shapes.name_of(slab) == "slab"
    assert shapes.name_of(dataclasses.replace(slab, flat=False)) == "box"
    assert shapes.name_of(type(slab)) == "box"
    assert shapes.parameters_of(slab) == {"width": 2.0, "lid": "on"}
    assert shapes["ball"] is type(shapes.build("ball", {}, inside))
    assert shapes.fitting({"size": 1.0, "elsewhere": 3}) == "ball"
    assert shapes.fitting({"size": 1.0, "width": 1.0}) == shapes.fitting({}) == "box"


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("box", {}, "^shape='box': goes with --width$"),
        (
            "box",
            {"width": 1.0, "size": 2.0, "skins": 2},
            "^shape='box': goes with --width, without --size and --skins$",
        ),
        ("ball", {"width": 1.0}, "^shape='ball': goes without --width$"),
        ("box", {"widht": 1.0}, "^shape='widht': did you mean 'width'"),
        ("bal", {}, "^shape='bal': did you mean 'ball'"),
    ],
)
def test_what_does_not_fit_is_refused(shapes, name, parameters, message):
    with pytest.raises(ac.ArgumentError, match=message):
        shapes.build(name, parameters, nn.Identity())


def test_a_word_has_one_meaning(shapes):
    with pytest.raises(ac.ArgumentError, match="^shape='box': is taken, by Box"):
        shapes.register("box")
    with pytest.raises(ac.ArgumentError, match="^shape='Identity': has no name"):
        shapes.name_of(nn.Identity())


def test_the_librarys_own(model):
    assert list(ac.NOISES) == ["gaussian", "uniform"]
    assert list(ac.BOUNDS) == ["normalize", "clip"]
    assert list(ac.ATTRIBUTIONS) == [
        "saliency",
        "abs-saliency",
        "input-x-gradient",
        "integrated-gradients",
        "stochastic-integrated-gradients",
    ]
    assert sorted(ac.CONFIDENCE_BOUNDS) == ["bernstein", "betting", "hoeffding"]
    for made in (ac.Gaussian(0.5), ac.UniformBall(2.0)):
        assert ac.NOISES.build(ac.NOISES.name_of(made), ac.NOISES.parameters_of(made)) == made
    for made in (ac.Normalize(), ac.Normalize(0.1), ac.Clip(3.0), ac.Clip(3.0, 0.2)):
        assert ac.BOUNDS.build(ac.BOUNDS.name_of(made), ac.BOUNDS.parameters_of(made)) == made
    assert [is_nonnegative(ac.ATTRIBUTIONS.build(name, {}, model)) for name in ac.ATTRIBUTIONS] == [
        False,
        True,
        False,
        False,
        False,
    ]
    assert ac.ATTRIBUTIONS.build("integrated-gradients", {"n_steps": 3}, model).n_steps == 3
    assert list(ac.ATTRIBUTIONS.parameters()) == ["n_steps"]


def test_a_bound_of_ones_own_is_a_class_and_a_line(digits, model):
    bounds: Registry[ac.Bound] = Registry("bound")

    @bounds.register("shrink")
    @dataclass(frozen=True, repr=False)
    class Shrink(ac.Bound):
        """M g / (M + ||g||)."""

        def factor(self, norm):
            return self.max_norm / (self.max_norm + norm)

    shrink = bounds.build("shrink", {"max_norm": 2.0})
    assert repr(shrink) == "Shrink(max_norm=2.0)"
    assert torch.allclose(shrink(torch.tensor([[3.0, 4.0]])), torch.tensor([[6.0, 8.0]]) / 7)
    smoothed = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.1), shrink)
    certificate = smoothed.certify(digits.images[:1], digits.labels[:1], n_samples=200, seed=0)
    assert certificate.max_eps(0.5)[0] > 0
