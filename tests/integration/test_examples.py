"""The examples run on real data, and what they print is proven holds against estimates made without the library."""

import importlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import attricert as ac
from attricert import attacks
from attricert.errors import UnavailableError

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def _examples(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)


def example(name, *needs):
    """The module, or a test that says what it lacks."""
    for package in needs:
        pytest.importorskip(package)
    return importlib.import_module(name)


def fetched(main, *arguments, **settings):
    """What an example gives whose data are fetched once; a test that says so where they cannot be had."""
    try:
        return main(*arguments, **settings)
    except UnavailableError as error:
        pytest.skip(f"cannot be fetched: {error}")


def unit(maps):
    return maps / maps.flatten(1).norm(dim=1).clamp_min(1e-300).reshape(-1, *[1] * (maps.ndim - 1))


def cosine(a, b):
    a, b = np.ravel(a), np.ravel(b)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def plain_mean(g, x, sigma, n, seed, parts=8):
    """A mean of normalized maps over noise, and its standard error (l2): a loop, and nothing of the library."""
    rng = torch.Generator().manual_seed(seed)
    maps = []
    for _ in range(parts):
        noisy = x + sigma * torch.randn(n // parts, *x.shape[1:], generator=rng)
        maps.append(unit(g(noisy).detach().double()).mean(dim=0))
    stacked = torch.stack(maps).numpy()
    return stacked.mean(axis=0), float(np.sqrt(stacked.var(axis=0, ddof=1).sum() / parts))


def test_black_box(capsys):
    example("black_box").main()
    assert "bends this below cosine 0.9" in capsys.readouterr().out


def test_series_with_named_channels(tmp_path, capsys):
    module = example("series")
    certificate = fetched(module.main, str(tmp_path), steps=120, n_samples=1_000)
    out = capsys.readouterr().out
    assert certificate.maps.shape == (4, 6, 100)
    assert (certificate.max_eps(0.9) > 0.2).all()
    assert certificate.class_kept.all()
    assert int(out.split(" of 40 motions")[0].split()[-1]) > 30
    page = (tmp_path / "series.html").read_text(encoding="utf-8")
    for name in (*module.CHANNELS, *module.MOTIONS):
        assert name in page
    assert (tmp_path / "series.png").read_bytes().startswith(b"\x89PNG")
    # Sums by channel lie within what is proven of them, and those of the map make up the whole.
    low, high = certificate.functionals(0.0)
    sums = certificate.maps.sum(axis=2)
    assert (low <= sums).all()
    assert (sums <= high).all()
    assert {path.name for path in tmp_path.iterdir()} == {"series.html", "series.png"}


def test_text_by_its_embeddings(capsys):
    module = example("text", "transformers")
    certificate = fetched(module.main, n_texts=90, n_samples=120)
    out = capsys.readouterr().out
    words = module.SENTENCE.split()
    assert certificate.maps.shape == (1, len(words))
    assert certificate.terms.dimension == 384 * len(words)  # not of [CLS] and [SEP]
    assert certificate.terms.fixed.count == 2 * 384
    nearest = [float(line.split(" is ")[1].split()[0]) for line in out.splitlines() if " is " in line]
    eps = float(certificate.max_eps(0.5)[0])
    assert len(nearest) == len(words)
    assert 0 < eps < min(nearest)  # no other word is within what is certified


@pytest.fixture(scope="module")
def hub():
    """The Hugging Face model of the example, its image, and its certificates."""
    for package in ("transformers", "captum", "sklearn"):
        pytest.importorskip(package)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        module = importlib.import_module("hugging_face")
    data = ac.datasets.load("cifar10", split="sample")
    model = module.classifier(data.images, data.labels, steps=30)
    x = data.images[:1]
    target = model(x).argmax(dim=1)
    explained = module.explained(model)
    certificates = {
        name: one.smoothed.certify(x, target, n_samples=n, seed=0)
        for (name, one), n in zip(explained.items(), (1_000, 200, 120), strict=True)
    }
    return module, model, x, target, explained, certificates


def methods(module, model, target):
    """The three attributions, called as Captum's users do."""
    from captum.attr import KernelShap, LayerGradCam, Occlusion

    label = int(target)
    grad_cam, occlusion = LayerGradCam(model, module.last_layer(model)), Occlusion(model)
    shap = KernelShap(model)
    return {
        "Grad-CAM": lambda z: grad_cam.attribute(z.requires_grad_(), label, relu_attributions=True),
        "occlusion": lambda z: occlusion.attribute(z, (3, 8, 8), strides=(3, 8, 8), target=label),
        "KernelShap": lambda z: torch.cat(
            [
                shap.attribute(one[None], target=label, feature_mask=module.SQUARES, n_samples=64,
                               perturbations_per_eval=64, return_input_shape=False)
                for one in z
            ]
        ),
    }  # fmt: skip


DRAWS = {"Grad-CAM": 800, "occlusion": 160, "KernelShap": 80}


@pytest.mark.parametrize("name", DRAWS)
def test_maps_of_a_hugging_face_model_are_those_of_a_plain_loop(hub, name):
    module, model, x, target, _, certificates = hub
    certificate, n = certificates[name], DRAWS[name]
    g = methods(module, model, target)[name]
    mean, error = plain_mean(g, x, module.SIGMA, n, seed=5)
    here = certificate.maps[0]
    both = error * np.sqrt(1 + n / certificate.evidence.sampling.n_samples.item())
    apart = float(np.linalg.norm(here - mean))
    assert apart < 2.5 * both
    assert certificate.norm[0] <= np.linalg.norm(mean) + 2.5 * error
    # A control: the map without noise is another one.
    clean = unit(g(x.clone()).detach().double())[0].numpy()
    assert float(np.linalg.norm(here - clean)) > 2.5 * both


@pytest.mark.parametrize("name", DRAWS)
def test_nothing_turns_maps_of_a_hugging_face_model_further_than_certified(hub, name):
    module, model, x, target, _, certificates = hub
    certificate, n = certificates[name], DRAWS[name]
    g = methods(module, model, target)[name]
    eps = float(certificate.max_eps(0.6)[0])
    bound = float(certificate.cosine(eps)[0])
    assert eps > 0
    assert bound > 0.59
    # Random moves, and one against the score that is explained; the same noise on both sides.
    z = x.clone().requires_grad_()
    moves = [torch.autograd.grad(model(z)[0, int(target)], z)[0]]
    moves += [torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)) for seed in range(2)]
    mean, _ = plain_mean(g, x, module.SIGMA, n, seed=7)
    for move in moves:
        there, _ = plain_mean(g, x - eps * move / move.norm(), module.SIGMA, n, seed=7)
        assert cosine(mean, there) >= bound


def test_attacks_do_not_cross_the_certificate_of_grad_cam(hub):
    _, _, x, target, explained, certificates = hub
    both = attacks.sandwich(
        certificates["Grad-CAM"],
        explained["Grad-CAM"].smoothed,
        x,
        target,
        cosine=0.8,
        attack=attacks.PGD(steps=4, restarts=1, draws=16, method="score"),
        steps=2,
        n_samples=500,
        seed=0,
    )
    assert not both.crossings.any()
    assert float(both.max_eps[0]) > 0.05
    assert (both.attacked < 0.999).any()  # a control: the attack does something


def test_quantus_measures_no_more_than_is_certified():
    module = example("quantus_metrics", "quantus")
    found = module.main(n_images=2, trials=2, n_samples=400)
    assert (found["smoothed"] < found["plain"]).all()
    assert (found["smoothed"] <= found["smoothed, certified"]).all()
    assert (found["smoothed, certified"] < 0.5).all()


def test_lrp_by_captum():
    module = example("lrp", "captum")
    certificate = module.main("captum", n_samples=300)
    assert certificate.maps.shape == (2, 1, 28, 28)
    assert (certificate.max_eps(0.5) > 0.05).all()


@pytest.fixture
def torchvision():
    """Two definitions let it be imported beside a torch of another build, which lacks its operators."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed: zennit and grad-cam, which need it, are not looked at")
    try:
        yield importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        yield importlib.import_module("torchvision")


def test_lrp_by_zennit(torchvision):
    certificate = example("lrp", "zennit").main("zennit", n_samples=300)
    assert (certificate.max_eps(0.5) > 0.05).all()


def test_grad_cam_of_its_package(torchvision):
    certificate = example("grad_cam", "pytorch_grad_cam").main(n_samples=300)
    assert certificate.maps.shape == (2, 28, 28)
    assert (certificate.max_eps(0.5) > 0.05).all()


@pytest.mark.filterwarnings("default")  # the trackers' own, about what they stand on
@pytest.mark.parametrize("tracker", [None, "mlflow", "wandb"])
def test_tracking(tmp_path, monkeypatch, tracker):
    monkeypatch.chdir(tmp_path)
    trackers = () if tracker is None else (tracker,)
    certificate = example("tracking", *trackers).main(str(tmp_path), *trackers, n_samples=200)
    made = {path.name for path in (tmp_path / "certified").iterdir()}
    assert made == {"evidence.safetensors", "report.html", "map.png"}
    again = ac.Certificate.load(tmp_path / "certified" / "evidence.safetensors")
    assert np.array_equal(again.maps, certificate.maps)
    assert (tmp_path / tracker).exists() if tracker else len(list(tmp_path.iterdir())) == 1


def test_every_example_is_tested_and_named_in_the_documents():
    names = {path.stem for path in EXAMPLES.glob("*.py")} - {"real_data"}
    tests = [Path(__file__), Path(__file__).parents[1] / "unit" / "test_tabular.py"]
    here = "".join(path.read_text(encoding="utf-8") for path in tests)
    listed = (EXAMPLES.parent / "docs" / "examples.md").read_text(encoding="utf-8")
    for name in names:
        assert any(words in here for words in (f'example("{name}"', f'import_module("{name}")', f"{name}.py"))
        assert f"examples/{name}.py" in listed
