"""What eps amounts to: by hand, and JPEG as Pillow does it."""

import io
import math

import numpy as np
import pytest
from PIL import Image

import attricert as ac
from attricert.units import InputUnits, perturbation

DIGIT = InputUnits("image", (1, 28, 28))
PHOTO = InputUnits("image", (3, 64, 64))


def test_an_image_by_hand():
    assert DIGIT.dimension == 784
    assert DIGIT.rms(0.19) == pytest.approx(0.19 / 28)
    assert DIGIT.levels(0.19) == pytest.approx(1.7303571428571427)
    assert DIGIT.words(0.19) == "eps 0.19 = 1.73 of 255 grey levels in every pixel (root mean square)"
    assert PHOTO.words(1) == "eps 1.0 = 2.3 of 255 levels in every pixel value (root mean square)"
    assert InputUnits("image", 784).amount(0.05) == "0.455 of 255 levels"
    assert InputUnits("image", [28, 28], data_range=[-1, 1]).levels(0.19) == pytest.approx(1.7303571428571427 / 2)
    assert DIGIT.note(0.05).endswith("(root mean square); 8-bit rounding alone is eps 0.0316")


def test_columns_by_hand():
    plain = InputUnits("columns", 4)
    assert plain.in_deviations(0.5) == 0.25
    assert plain.words(0.5) == "eps 0.5 = 0.25 standard deviations in every column (root mean square)"
    # Each column moves by 0.25: 0.25, 0.125, 0.125 and 0.0625 of its standard deviation.
    scaled = InputUnits("columns", 4, deviations=(1, 2, 2, 4))
    by_hand = math.sqrt((0.25**2 + 2 * 0.125**2 + 0.0625**2) / 4)
    assert scaled.in_deviations(0.5) == pytest.approx(by_hand)
    assert [mark.eps for mark in scaled.landmarks()] == pytest.approx([0.5, 5.0])
    assert scaled.compared(5.0) == "about as much as a standard deviation in every column"


def test_other_inputs_have_input_units():
    other = InputUnits("other", 100)
    assert other.words(2) == "eps 2.0 = 0.2 input units in every value (root mean square)"
    assert other.note(2) == other.words(2)
    assert (other.landmarks(), other.compared(1.0)) == ((), "")


def test_rounding_to_8_bits_is_what_rounding_does():
    image = np.random.default_rng(0).random((3, 64, 64))
    rounded = np.round(image * 255) / 255
    sizes = {mark.name: mark.eps for mark in PHOTO.landmarks()}
    assert sizes["8-bit rounding"] == pytest.approx(np.linalg.norm(rounded - image), rel=0.02)
    assert sizes["one level of brightness"] == pytest.approx(np.linalg.norm(np.full(image.shape, 1 / 255)))


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_is_within_a_factor_of_two_of_what_pillow_does_to_photographs(side, mode):
    images = (ac.datasets.load("cifar10", split="sample").images.permute(0, 2, 3, 1).numpy() * 255).round()
    sizes = []
    for pixels in images.astype(np.uint8):
        before = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS).convert(mode)
        file = io.BytesIO()
        before.save(file, "JPEG", quality=95)
        after = Image.open(io.BytesIO(file.getvalue())).convert(mode)
        sizes.append(np.linalg.norm(np.asarray(after, float) - np.asarray(before, float)) / 255)
    units = InputUnits("image", (len(mode), side, side))
    assert 0.5 < units.landmarks()[-1].eps / np.median(sizes) < 2.2


def test_jpeg_is_told_only_where_the_channels_are_known():
    assert len(InputUnits("image", 12_288).landmarks()) == 2
    assert len(InputUnits("image", (4, 8, 8)).landmarks()) == 2


@pytest.mark.parametrize(
    ("eps", "words"),
    [
        (0.0, "no change"),
        (0.1, "about three quarters of 8-bit rounding"),
        (0.43, "about as much as one level of brightness"),
        (0.6, "about one and a half times one level of brightness"),
        (0.87, "about half of JPEG at quality 95 (typical)"),
        (1.7, "about as much as JPEG at quality 95 (typical)"),
        (0.001, "less than a tenth of 8-bit rounding"),
        (99, "more than ten times JPEG at quality 95 (typical)"),
    ],
)
def test_comparisons(eps, words):
    assert PHOTO.compared(eps) == words


@pytest.mark.parametrize(("eps", "amount"), [(1e-9, "9.1e-09"), (0.1, "0.91"), (5e3, "4.55e+04"), (0, "0")])
def test_amounts_are_rounded_down(eps, amount):
    shown = DIGIT.amount(eps).split()[0]
    assert shown == amount
    assert float(shown) <= DIGIT.levels(eps) <= float(shown) * 1.01


def test_a_perturbation_has_the_size_and_its_seed_decides_it():
    found = perturbation((3, 8, 8), 0.7, seed=3)
    assert found.shape == (3, 8, 8)
    assert math.sqrt(math.fsum((found**2).ravel())) == pytest.approx(0.7, rel=1e-12)
    assert np.array_equal(found, perturbation([3, 8, 8], 0.7, seed=3))
    assert not np.array_equal(found, perturbation((3, 8, 8), 0.7, seed=4))
    assert not perturbation(5, 0.0).any()
    # In no direction more than in others: of 300 values, each is as large as any other on average.
    many = np.stack([perturbation(2, 1.0, seed) for seed in range(300)])
    assert np.abs(many.mean(axis=0)).max() < 4 * math.sqrt(0.5 / 300)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: InputUnits("picture", 4), "kind='picture'"),
        (lambda: InputUnits(3, 4), "kind=3"),
        (lambda: InputUnits("image", 0), "shape=0"),
        (lambda: InputUnits("image", True), "shape=True"),
        (lambda: InputUnits("image", ()), r"shape=\(\)"),
        (lambda: InputUnits("image", "12"), "shape='12'"),
        (lambda: InputUnits("image", 1.5), "shape=1.5"),
        (lambda: InputUnits("image", (2, 0)), "shape=0"),
        (lambda: InputUnits("image", 4, data_range=(1, 0)), r"data_range=\(1, 0\)"),
        (lambda: InputUnits("image", 4, data_range=(0, math.inf)), "data_range"),
        (lambda: InputUnits("image", 4, data_range=(0, 1, 2)), "data_range"),
        (lambda: InputUnits("image", 4, data_range=3), "data_range=3"),
        (lambda: InputUnits("image", 1, deviations=(1.0,)), "goes with columns"),
        (lambda: InputUnits("columns", 2, deviations=(1.0,)), "must be 2 numbers > 0"),
        (lambda: InputUnits("columns", 2, deviations=(1.0, 0.0)), "must be 2 numbers > 0"),
        (lambda: InputUnits("columns", 2, deviations=(1.0, math.nan)), "deviations"),
        (lambda: InputUnits("columns", 2).levels(1.0), "has no levels"),
        (lambda: DIGIT.in_deviations(1.0), "has no standard deviations"),
        (lambda: DIGIT.rms(-1), "eps=-1"),
        (lambda: DIGIT.words(math.nan), "eps=nan"),
        (lambda: DIGIT.compared("much"), "eps='much'"),
        (lambda: DIGIT.rms(False), "eps=False"),
        (lambda: perturbation((2, 2), math.inf), "eps=inf"),
        (lambda: perturbation((2, 2), 1.0, seed=-1), "seed=-1"),
        (lambda: perturbation(None, 1.0), "shape=None"),
    ],
)
def test_bad_arguments_get_one_clear_error(call, message):
    with pytest.raises(ac.ArgumentError, match=message):
        call()


def test_they_are_offered_when_asked_for():
    assert ac.InputUnits is InputUnits
    assert ac.perturbation is perturbation
