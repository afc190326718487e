"""Models that resize and normalize inside: what they are given, what they say of themselves, what eps is of."""

import collections
import copy
import enum
import types
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import attricert as ac
from attricert.errors import RangeWarning
from attricert.runs.manifest import model_digest

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LEVEL = 1 / 255


def colours(n, *shape, seed=0):
    return torch.rand(n, 3, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def pictures():
    """Real images: single ones, and many in one, with sharp edges between."""
    images = (ac.datasets.load("cifar10", "sample").images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    mosaic = images[:96].reshape(8, 12, 32, 32, 3).swapaxes(1, 2).reshape(256, 384, 3)
    return [*images[:6], mosaic, mosaic.swapaxes(0, 1)]


def tensor_of(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


def normalized(x, mean=MEAN, std=STD):
    """One channel after the other."""
    return torch.stack([(x[:, c] - mean[c]) / std[c] for c in range(x.shape[1])], dim=1)


def test_what_the_model_is_given():
    x = colours(2, 5, 7)
    torch.testing.assert_close(ac.Preprocessed(nn.Identity(), MEAN, STD)(x), normalized(x))
    levels = ac.Preprocessed(nn.Identity(), MEAN, STD, data_range=(0, 255))
    torch.testing.assert_close(levels(255 * x), normalized(x), rtol=1e-5, atol=1e-6)
    gray = ac.Preprocessed(nn.Identity(), 0.1307, 0.3081)
    torch.testing.assert_close(gray(x[:, :1]), (x[:, :1] - 0.1307) / 0.3081)
    for dtype in (torch.float64, torch.bfloat16):
        assert ac.Preprocessed(nn.Identity(), MEAN, STD, size=4)(x.to(dtype)).dtype == dtype
    torch.testing.assert_close(ac.Preprocessed(nn.Identity(), crop=3)(x), x[:, :, 1:4, 2:5])
    noisy = x + 3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        ac.Preprocessed(nn.Identity(), MEAN, STD)(noisy), normalized(noisy)
    )  # nothing is clipped


@pytest.mark.parametrize("filtering", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(20, 24), (300, 210), 40, (97, 64)])
def test_resizing_is_pillows_up_to_its_rounding(pictures, size, filtering):
    resample = Image.Resampling[filtering.upper()]
    model = ac.Preprocessed(nn.Identity(), size=size, interpolation=filtering)
    for picture in pictures:
        height, width = picture.shape[:2]
        if isinstance(size, int):  # the shorter side; the other is rounded down, as torchvision and transformers do
            rows, columns = (size, size * width // height) if height <= width else (size * height // width, size)
        else:
            rows, columns = size
        theirs = tensor_of(np.asarray(Image.fromarray(picture).resize((columns, rows), resample)))
        apart = (model(tensor_of(picture)) - theirs).abs() / LEVEL
        assert apart.shape[2:] == (rows, columns)
        assert apart.mean() < 0.35
        assert apart.max() < (1.1 if filtering == "bilinear" else 25)  # where Pillow cuts overshoot off
    control = nn.functional.interpolate(tensor_of(pictures[-1]), (20, 24), mode=filtering)  # without wider filters
    theirs = tensor_of(np.asarray(Image.fromarray(pictures[-1]).resize((24, 20), resample)))
    assert (control - theirs).abs().mean() > 10 * LEVEL


@pytest.mark.parametrize("filtering", ["bilinear", "bicubic"])
def test_it_can_be_differentiated_twice(filtering):
    body = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 2), nn.Tanh()).double()
    model = ac.Preprocessed(body, MEAN, STD, size=6, crop=4, interpolation=filtering)
    x = colours(2, 9, 11).double().requires_grad_()
    assert torch.autograd.gradcheck(model, x)
    assert torch.autograd.gradgradcheck(model, x)


def test_crops_are_in_the_middle():
    x = torch.arange(100.0).reshape(1, 1, 10, 10)
    # torchvision's int(round((10 - 7) / 2.0)) is 2, transformers' (10 - 7) // 2 is 1.
    assert ac.Preprocessed(nn.Identity(), crop=7)(x)[0, 0, 0, 0] == 22
    assert ac.Preprocessed(nn.Identity(), crop=7, crop_rounding="down")(x)[0, 0, 0, 0] == 11
    assert ac.Preprocessed(nn.Identity(), crop=(8, 4))(x)[0, 0].flatten()[[0, -1]].tolist() == [13, 86]
    with pytest.raises(ac.ArgumentError, match=r"crop=\(11, 11\): is larger than the images, \(10, 10\)"):
        ac.Preprocessed(nn.Identity(), crop=11)(x)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mean": MEAN}, "std=None: is needed with mean"),
        ({"std": STD}, "mean=None: is needed with std"),
        ({"mean": MEAN, "std": STD[:2]}, r"std=\(0.229, 0.224\): must have 3 numbers, as mean has"),
        ({"mean": MEAN, "std": (0.2, 0.0, 0.2)}, "std=0.0: must be a finite number > 0"),
        ({"mean": (0.5, float("nan"), 0.5), "std": STD}, "must be finite"),
        ({"mean": (), "std": ()}, "must have a number for each channel"),
        ({"mean": "imagenet", "std": STD}, "mean='imagenet': must be finite"),
        ({"size": 0}, "size=0: must be an integer >= 1"),
        ({"size": (3, 4, 5)}, r"size=\(3, 4, 5\): must be \(height, width\), or one number"),
        ({"crop": 2.5}, r"crop=2.5: must be \(height, width\)"),
        ({"data_range": (1, 0)}, "must be two finite numbers, the smaller first"),
        ({"interpolation": "bilinaer"}, "did you mean 'bilinear'"),
        ({"crop_rounding": "up"}, "crop_rounding='up': "),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ac.ArgumentError, match=message):
        ac.Preprocessed(nn.Identity(), **settings)


def test_bad_images_and_models_are_refused():
    model = ac.Preprocessed(nn.Identity(), MEAN, STD)
    with pytest.raises(ac.ArgumentError, match=r"inputs=\(2, 1, 4, 4\): must have 3 channels"):
        model(torch.zeros(2, 1, 4, 4))
    with pytest.raises(ac.ArgumentError, match=r"inputs=\(3, 4, 4\): must be images"):
        model(torch.zeros(3, 4, 4))
    with pytest.raises(ac.ArgumentError, match="must be a torch.nn.Module"):
        ac.Preprocessed(lambda x: x, MEAN, STD)
    with pytest.raises(ac.ArgumentError, match="must not be preprocessed twice"):
        ac.Preprocessed(nn.Sequential(model), MEAN, STD)


class ImageNormalizer(nn.Module):
    """As others put it in front of their models."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN)[None, :, None, None])
        self.register_buffer("std", torch.tensor(STD)[None, :, None, None])

    def forward(self, x):
        return (x - self.mean) / self.std


def test_a_model_that_normalizes_already_is_told():
    model = nn.Sequential(ImageNormalizer(), nn.Flatten())
    with pytest.warns(RangeWarning, match="begins with ImageNormalizer.*would be normalized twice"):
        ac.Preprocessed(model, MEAN, STD)
    ac.Preprocessed(model, size=8)
    ac.Preprocessed(nn.Sequential(nn.BatchNorm2d(3)), MEAN, STD)


def test_modes_are_the_models_own():
    for inner in (nn.Sequential(nn.Dropout()).eval(), nn.Sequential(nn.Dropout())):
        model = ac.Preprocessed(inner, MEAN, STD)
        assert model.training == inner.training
        assert not model.eval().model[0].training
    with pytest.warns(ac.ModelModeWarning, match="Dropout"):
        ac.Saliency(ac.Preprocessed(nn.Sequential(nn.Dropout()), MEAN, STD))


def test_settings_are_part_of_the_weights():
    def made(**changed):
        return ac.Preprocessed(nn.Identity(), **{"mean": MEAN, "std": STD, "size": 8, "crop": 6, **changed})

    assert model_digest(made()) == model_digest(made()) == model_digest(copy.deepcopy(made()))
    others = [
        made(mean=(0.5, 0.456, 0.406)),
        made(std=(0.5, 0.224, 0.225)),
        made(size=(8, 8)),
        made(crop=5),
        made(data_range=(0, 255)),
        made(interpolation="bicubic"),
        made(crop_rounding="down"),
        made(mean=None, std=None),
    ]
    assert len({model_digest(one) for one in (made(), *others)}) == 1 + len(others)
    state = made(size=(5, 9), interpolation="bicubic", mean=(0.1, 0.2, 0.3)).state_dict()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    loaded = made()
    loaded.load_state_dict(state)
    assert (loaded.size, loaded.interpolation) == ((5, 9), "bicubic")
    torch.testing.assert_close(loaded.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))
    with pytest.raises(ac.ArgumentError, match="state_dict='Preprocessed': holds no settings of one"):
        loaded.load_state_dict({**state, "_extra_state": torch.zeros(3, dtype=torch.uint8)})


# What eps is a distance of.


class Line(nn.Module):
    """Two classes by the sign of <w, x> + b."""

    def __init__(self, weight, bias=0.0):
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), bias

    def forward(self, x):
        return (x * self.weight).sum(dim=(1, 2, 3)) + self.bias


def test_noise_and_eps_are_in_pixels_with_unequal_deviations():
    std, sigma, x = (0.1, 0.5, 2.0), 0.3, torch.full((1, 3, 4, 4), 0.5)
    weight = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(2))
    per_pixel = weight / torch.tensor(std)[:, None, None]
    given = normalized(x, (0.4,) * 3, std)
    score = 1.1 * sigma * float(per_pixel.norm())
    network = Line(weight, score - float((given * weight).sum())).eval().requires_grad_(False)
    model = ac.Preprocessed(network, (0.4, 0.4, 0.4), std)
    torch.testing.assert_close(ac.Saliency(model)(x, 1)[0], per_pixel)  # by the chain rule, with 1 / std
    # The boundary is score / ||w / std|| away in pixels; in the network's inputs it is score / ||w||. As deviations
    # differ, the two have no fixed ratio. A smoothed line has the boundary of the line itself.
    in_pixels, in_its_inputs = score / float(per_pixel.norm()), score / float(weight.norm())
    settings = {"target": 1, "n_samples": 4000, "seed": 0, "prove": ["prediction"]}
    inside = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(sigma)).certify(x, **settings)
    assert 0.85 * in_pixels < float(inside.prediction_radius()[0]) <= in_pixels
    scale = sigma * in_its_inputs / in_pixels
    outside = ac.SmoothedAttribution(ac.Saliency(network), ac.Gaussian(scale)).certify(given, **settings)
    assert 0.85 * in_its_inputs < float(outside.prediction_radius()[0]) <= in_its_inputs
    assert abs(in_its_inputs / in_pixels - 1) > 0.5
    # A shift of one channel alone, by less than what is certified outside, turns the class: no distance in pixels.
    shift = torch.zeros_like(x)
    shift[:, 0] = -per_pixel[0] / float(per_pixel[0].norm()) * 1.02 * score / float(per_pixel[0].norm())
    assert float(model(x)) > 0 > float(model(x + shift))
    assert float(inside.prediction_radius()[0]) < float(shift.norm()) < float(outside.prediction_radius()[0])


# Ranges.


def certify(attribution, inputs, how="certify"):
    smoothed = ac.SmoothedAttribution(attribution, ac.Gaussian(0.25))
    if how == "certify":
        return smoothed.certify(inputs, 1, n_samples=120, seed=0, prove=[])
    return getattr(smoothed, how)(inputs, 1, n_samples=120, seed=0)


def line(channels=3, side=8):
    weight = torch.randn(channels, side, side, generator=torch.Generator().manual_seed(3))
    return Line(weight).eval()


@pytest.fixture(scope="module")
def declared():
    return ac.Saliency(ac.Preprocessed(line(), MEAN, STD))


@pytest.fixture(scope="module")
def real():
    return ac.datasets.load("cifar10", "sample").images[:8, :, ::4, ::4].contiguous()


pytestmark = pytest.mark.filterwarnings("ignore::attricert.errors.MeaningWarning")


@pytest.mark.parametrize("how", ["certify", "attribute", "forecast"])
def test_inputs_outside_the_declared_range_are_told(declared, real, how):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RangeWarning)
        certify(declared, real, how)  # whose noisy copies leave the range
    with pytest.warns(
        RangeWarning, match=r"from -[\d.]+ to [\d.]+, the model declares images from 0 to 1; if they are norm"
    ):
        certify(declared, normalized(real), how)
    with pytest.warns(
        RangeWarning, match="8-bit levels, it seems; eps would be in these, 255 times smaller than it looks"
    ):
        certify(declared, 255 * real, how)


def test_other_ways_to_leave_a_range(real):
    levels = ac.Saliency(ac.Preprocessed(line(), MEAN, STD, data_range=(0, 255)))
    certify(levels, 255 * real)
    for attribution, inputs in ((levels, real), (ac.Saliency(ac.Preprocessed(line(), MEAN, STD)), real / 255)):
        with pytest.warns(RangeWarning, match="fill less than one of 255 levels"):
            certify(attribution, inputs)
    with pytest.warns(RangeWarning, match="eps is a distance between what is given"):
        certify(ac.Saliency(ac.Preprocessed(line(), MEAN, STD)), 60_000 * real)
    certify(ac.Saliency(ac.Preprocessed(line(), MEAN, STD)), torch.zeros(1, 3, 8, 8))  # black, and no more
    inside = nn.Sequential(nn.Identity(), ac.Preprocessed(line(), MEAN, STD)).eval()
    certify(ac.Saliency(inside), 255 * real)  # what comes first may have made them so
    classifier = ac.Preprocessed(line(), MEAN, STD)
    smoothed = ac.SmoothedAttribution(ac.wrap(lambda x, t: x), ac.Gaussian(0.25), classifier=classifier)
    with pytest.warns(RangeWarning, match="declares images"):
        smoothed.certify(2 * real, 1, n_samples=120, seed=0, prove=[])


def test_normalized_images_are_told_where_no_range_is_declared(real):
    with pytest.warns(RangeWarning, match="look like normalized images .*counts by 1 / std of its channel.*ac.Preproc"):
        certify(ac.Saliency(line()), normalized(real, real.mean((0, 2, 3)), real.std((0, 2, 3))))


def test_what_is_no_normalized_image_is_not_told(real):
    generator = torch.Generator().manual_seed(4)
    noise = torch.randn(4, 3, 8, 8, generator=generator)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RangeWarning)
        certify(ac.Saliency(line()), real)
        certify(ac.Saliency(line()), 2 * real - 1)  # [-1, 1] is a range of its own
        certify(ac.Saliency(line(1)), noise[:, :1])  # gray
        certify(ac.Saliency(line(3, 6)), noise[..., :6, :6])
        certify(ac.Saliency(line()), 5 * noise)
        for shape in ((4, 30), (4, 3, 64)):  # tables, series
            given = torch.randn(shape, generator=generator)
            certify(ac.wrap(lambda x, t: x.sin()), given)


# What other libraries say.


class InterpolationMode(enum.Enum):
    """torchvision's."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"
    NEAREST = "nearest"


class ImageClassification(nn.Module):
    """What torchvision's preset of this name says of itself; steps as its documentation has them."""

    def __init__(self, *, crop_size, resize_size=256, mean=MEAN, std=STD, interpolation=InterpolationMode.BILINEAR):
        super().__init__()
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean, self.std = list(mean), list(std)
        self.interpolation = interpolation
        self.antialias = True

    def forward(self, picture):
        width, height = picture.size
        side, crop = self.resize_size[0], self.crop_size[0]
        sizes = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
        resample = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[
            self.interpolation.value
        ]
        resized = tensor_of(np.asarray(picture.resize(sizes, resample)))
        top, left = round((sizes[1] - crop) / 2.0), round((sizes[0] - crop) / 2.0)
        return normalized(resized[:, :, top : top + crop, left : left + crop], self.mean, self.std)


def test_torchvision_is_read(pictures):
    for mode in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC):
        like = ImageClassification(crop_size=175, resize_size=232, interpolation=mode)
        model = ac.preprocessed(nn.Identity(), like=like)
        for picture in pictures[-2:]:
            apart = (model(tensor_of(picture)) - like(Image.fromarray(np.ascontiguousarray(picture)))).abs()
            in_levels = apart * torch.tensor(STD)[:, None, None] / LEVEL
            assert in_levels.mean() < 0.35
            assert in_levels.max() < (1.01 if mode.value == "bilinear" else 20)
    weights = types.SimpleNamespace(transforms=lambda: ImageClassification(crop_size=224))
    assert ac.preprocessed(nn.Identity(), like=weights).crop == (224, 224)
    segmentation = types.SimpleNamespace(
        mean=MEAN, std=STD, resize_size=[520], interpolation=InterpolationMode.BILINEAR
    )
    assert (ac.preprocessed(nn.Identity(), like=segmentation).size, model.crop) == (520, (175, 175))
    for changed, message in [
        ({"interpolation": InterpolationMode.NEAREST}, "interpolation='nearest': cannot be done here"),
        ({"antialias": False}, "antialias=False: cannot be done here"),
        ({"resize_size": [1, 2, 3]}, r"resize_size=\[1, 2, 3\]: cannot be done here"),
    ]:
        like = types.SimpleNamespace(**{**vars(segmentation), **changed})
        with pytest.raises(ac.ArgumentError, match=message):
            ac.preprocessed(nn.Identity(), like=like)


TIMM = {"input_size": (3, 224, 224), "interpolation": "bicubic", "mean": MEAN, "std": STD, "crop_pct": 0.9}


def test_timm_is_read():
    model = ac.preprocessed(nn.Identity(), like={**TIMM, "crop_mode": "center"})
    assert (model.size, model.crop, model.interpolation, model.crop_rounding) == (248, (224, 224), "bicubic", "even")
    squash = ac.preprocessed(nn.Identity(), like={**TIMM, "input_size": (3, 224, 192), "crop_mode": "squash"})
    assert (squash.size, squash.crop) == ((248, 213), (224, 192))
    assert ac.preprocessed(nn.Identity(), like=TIMM)(colours(1, 300, 400)).shape == (1, 3, 224, 224)
    for changed, message in [
        ({"crop_mode": "border"}, "crop_mode='border': cannot be done here"),
        ({"input_size": (3, 224, 192)}, "crop_mode='center of 224 x 192': cannot be done here"),
        ({"interpolation": "random"}, "interpolation='random': cannot be done here"),
        ({"mean": None}, "mean=None: is needed with std"),
        ({"crop_pt": 1}, "like='crop_pt': did you mean 'crop_pct'"),
    ]:
        with pytest.raises(ac.ArgumentError, match=message):
            ac.preprocessed(nn.Identity(), like={**TIMM, **changed})


def test_a_dict_is_read_and_nothing_else_is():
    model = ac.preprocessed(nn.Identity(), like={"mean": MEAN, "std": STD, "size": 8})
    assert model_digest(model) == model_digest(ac.Preprocessed(nn.Identity(), MEAN, STD, 8))
    with pytest.raises(ac.ArgumentError, match="like='means': did you mean 'mean'"):
        ac.preprocessed(nn.Identity(), like={"means": MEAN})
    compose = collections.namedtuple("Compose", "transforms")([])
    for like in (compose, "google/vit-base-patch16-224", None, 3):
        with pytest.raises(ac.ArgumentError, match=rf"like='{type(like).__name__}': must be torchvision's weights.tr"):
            ac.preprocessed(nn.Identity(), like=like)


@pytest.fixture(scope="module")
def transformers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("transformers")
        for name in ("ViT", "CLIP", "ConvNext", "MobileViT", "EfficientNet"):
            if not hasattr(module, f"{name}ImageProcessorPil"):
                pytest.skip(f"transformers has no {name}ImageProcessorPil, with which models are compared")
    return module


@pytest.mark.parametrize(
    ("name", "settings", "worst"),
    [
        ("ViT", {}, 1.01),
        ("ViT", {"size": {"height": 20, "width": 24}}, 1.01),
        ("ViT", {"rescale_factor": 1 / 127.5, "image_mean": [1.0, 1.0, 1.0]}, 1.01),
        ("ViT", {"do_normalize": False, "do_center_crop": True, "crop_size": {"height": 211, "width": 180}}, 1.01),
        ("ViT", {"do_resize": False}, 0.01),
        ("CLIP", {"resample": 2, "crop_size": {"height": 175, "width": 223}}, 1.01),
        ("CLIP", {}, 20),
        ("ConvNext", {"size": {"shortest_edge": 224}}, 20),
        ("ConvNext", {"size": {"shortest_edge": 384}}, 20),
    ],
)
def test_transformers_are_read(transformers, pictures, name, settings, worst):
    like = getattr(transformers, f"{name}ImageProcessorPil")(**settings)
    model = ac.preprocessed(nn.Identity(), like=like)
    std = torch.tensor(like.image_std if like.do_normalize else (1.0,) * 3)[:, None, None]
    for picture in pictures if settings.get("do_resize", True) else pictures[:2]:
        image = Image.fromarray(np.ascontiguousarray(picture))
        theirs = torch.as_tensor(np.asarray(like(image, return_tensors="np")["pixel_values"]))
        in_levels = (model(tensor_of(picture)) - theirs).abs() * std / (255 * like.rescale_factor) / LEVEL
        assert in_levels.shape[2:] == theirs.shape[2:]
        assert in_levels.mean() < 0.4
        assert in_levels.max() < worst


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ViT", {"do_rescale": False}, "do_rescale=False: leaves open what its mean and std are of"),
        ("ViT", {"resample": 1}, "interpolation='lanczos': cannot be done here"),
        ("ViT", {"resample": 0}, "interpolation='nearest': cannot be done here"),
        ("ViT", {"do_pad": True, "pad_size": {"height": 256, "width": 256}}, "do_pad=True: cannot be done here"),
        ("ViT", {"size": {"shortest_edge": 20, "longest_edge": 30}}, "size=.*longest_edge.*: cannot be done here"),
        ("ViT", {"image_mean": 0.5}, "image_mean=0.5: cannot be done here"),
        ("MobileViT", {}, "do_flip_channel_order=True: cannot be done here"),
        ("EfficientNet", {}, "does not do to an image what its settings say"),  # normalizes twice
    ],
)
def test_transformers_that_cannot_be_read_are_refused(transformers, name, settings, message):
    like = getattr(transformers, f"{name}ImageProcessorPil")(**settings)
    with pytest.raises(ac.ArgumentError, match=f"{message}.*give mean, std, size and crop by hand"):
        ac.preprocessed(nn.Identity(), like=like)


def test_a_mean_of_levels_is_told():
    with pytest.warns(RangeWarning, match=r"mean=\(123.7, 116.3, 103.5\) lies outside of \[0, 1\].*divided by 255"):
        ac.Preprocessed(nn.Flatten(), mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4))
    assert (
        ac.Preprocessed(nn.Flatten(), mean=(0.0, 1.0, 0.5), std=(1.0, 1.0, 1.0), data_range=(0, 255)).mean is not None
    )
