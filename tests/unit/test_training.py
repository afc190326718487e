"""The training loop: it learns, it repeats itself, and it goes on where it was killed."""

import dataclasses
import json
import pickle
from pathlib import Path

import pytest
import torch
import yaml

import attricert as ac
from attricert.lab.training import Checkpoint, Recipe, accuracy, event_writer, loop, make, train
from attricert.lab.training.objectives import IGR, Ball, IGNorm, NoiseAugmented, Standard, Trades

ROOT = Path(__file__).parents[2]
TINY = Recipe("tiny", "mnist_cnn", "mnist", 6, 20, 3e-3, 1e-2, seed=0)
BALL = Ball(1.0, steps=2)


def weights(model):
    return torch.cat([parameter.flatten() for parameter in model.state_dict().values()])


@pytest.fixture(scope="module")
def trained(digits):
    said = []
    return train(TINY, digits, on_progress=lambda *said_now: said.append(said_now)), said


def test_training_learns_and_says_so(trained, digits):
    model, said = trained
    shares, texts = zip(*said, strict=True)
    assert len(said) == 6 * 5
    assert shares == pytest.approx([(i + 1) / 30 for i in range(30)])
    assert texts[0].startswith("epoch 1/6, loss 2.")
    assert "accuracy" in texts[-1]
    assert accuracy(model, digits) > 0.6
    assert not model.training


def test_the_same_seed_gives_the_same_bits_and_another_does_not(trained, digits):
    state = torch.random.get_rng_state()
    again = train(TINY, digits)
    assert torch.equal(torch.random.get_rng_state(), state)  # nobody else's randomness is touched
    other = train(dataclasses.replace(TINY, seed=1), digits)
    assert torch.equal(weights(trained[0]), weights(again))
    assert not torch.equal(weights(again), weights(other))


def test_training_starts_from_a_zoo_model(digits):
    recipe = dataclasses.replace(TINY, start="mnist-noise", learning_rate=1e-12, weight_decay=0.0, epochs=1)
    model, begun = train(recipe, digits), ac.models.load("mnist-noise")
    assert torch.allclose(weights(model), weights(begun), atol=1e-9)
    assert not torch.equal(weights(train(dataclasses.replace(recipe, learning_rate=1e-3), digits)), weights(begun))


def test_an_epoch_of_fewer_images_draws_anew_from_all(digits, monkeypatch):
    seen = []
    monkeypatch.setattr(
        Standard, "__call__", lambda self, model, images, *_: seen.append(images) or model(images).sum() * 0
    )
    train(dataclasses.replace(TINY, images=50), digits)
    assert [len(images) for images in seen] == [20, 20] * 6
    which = [int((digits.images == image).flatten(1).all(dim=1).nonzero()[0]) for images in seen for image in images]
    assert all(len(set(which[i : i + 40])) == 40 for i in range(0, 240, 40))
    assert len(set(which)) > 90


def test_figures_for_tensorboard(digits, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    on_epoch = event_writer(tmp_path / "board")
    assert not (tmp_path / "board").exists()
    train(SHORT, digits, folder=tmp_path, on_epoch=on_epoch)
    lines = [json.loads(line) for line in (tmp_path / "tiny.jsonl").read_text().splitlines()]
    figures = []
    for path in sorted((tmp_path / "board").iterdir(), key=lambda path: path.name.rpartition(".")[2]):
        board = EventAccumulator(str(path)).Reload()
        figures.append({name: board.Scalars(name)[0] for name in board.Tags()["scalars"]})
    assert [event["loss"].step for event in figures] == [1, 2, 3]
    for event, line in zip(figures, lines, strict=True):
        assert {name: scalar.value for name, scalar in event.items()} == pytest.approx(
            {name: value for name, value in line.items() if name != "epoch"}
        )


def test_without_tensorboard_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ac.ArgumentError, match=r"not installed; pip install 'attricert\[tensorboard\]'"):
        event_writer(tmp_path)


class KilledError(Exception):
    pass


SHORT = dataclasses.replace(TINY, epochs=3)
VARIANTS = {
    "adamw": SHORT,
    "sgd, noise, augmented": dataclasses.replace(SHORT, optimizer="sgd", objective=NoiseAugmented(0.2), augment=True),
    "trades": dataclasses.replace(SHORT, objective=Trades(BALL, beta=1.0)),
    "early stop": dataclasses.replace(SHORT, held_out=40, patience=2),
    "fine-tuned on some": dataclasses.replace(SHORT, start="mnist-standard", images=60),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("after", [1, 5, 8])
def test_killed_and_resumed_equals_uninterrupted(digits, tmp_path, name, after):
    recipe = VARIANTS[name]
    whole = train(recipe, digits, folder=tmp_path / "whole")
    calls = []

    def killer(share, text):
        calls.append(share)
        if len(calls) == after:
            raise KilledError

    folder = tmp_path / "broken"
    with pytest.raises(KilledError):
        train(recipe, digits, folder=folder, on_progress=killer)
    assert torch.equal(weights(train(recipe, digits, folder=folder)), weights(whole))
    lines = [
        [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in path.read_text().splitlines()]
        for path in (tmp_path / "whole" / "tiny.jsonl", folder / "tiny.jsonl")
    ]
    assert lines[0] == lines[1]
    assert [line["epoch"] for line in lines[0]] == list(range(1, len(lines[0]) + 1))
    assert set(lines[0][0]) == {"epoch", "loss", "accuracy"}


def test_a_checkpoint_of_another_recipe_is_refused(digits, tmp_path):
    train(dataclasses.replace(SHORT, epochs=1), digits, folder=tmp_path)
    with pytest.raises(ac.ArgumentError, match="another epochs, learning_rate"):
        train(dataclasses.replace(SHORT, learning_rate=1e-3), digits, folder=tmp_path)


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "pickle", "weights"])
def test_bad_checkpoints_are_refused_with_a_clear_line(digits, tmp_path, harm):
    train(dataclasses.replace(SHORT, epochs=1), digits, folder=tmp_path)
    path = tmp_path / "tiny.checkpoint"
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "cut": content[:middle],
            "flip": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "empty": b"",
            "pickle": pickle.dumps({"model": [1, 2, 3]}),
            "weights": (ROOT / "src/attricert/models/zoo/mnist-standard.safetensors").read_bytes(),
        }[harm]
    )
    with pytest.raises(ac.IntegrityError, match=r"tiny.checkpoint: .*; remove it to start anew$"):
        train(SHORT, digits, folder=tmp_path)


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3), "c": torch.zeros(0)}
    Checkpoint(tensors, {"x": [1, 2.5, None]}).save(tmp_path / "c")
    loaded = Checkpoint.load(tmp_path / "c")
    assert loaded.facts == {"x": [1, 2.5, None]}
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in tensors.items())


def test_early_stopping_takes_the_best_epoch(digits, monkeypatch):
    scores = iter([0.3, 0.5, 0.4, 0.5, 0.2, 0.9])
    kept = []

    def judged(model, data):
        kept.append(weights(model).clone())
        assert len(data) == 40
        return next(scores)

    monkeypatch.setattr(loop, "accuracy", judged)
    model = train(dataclasses.replace(TINY, held_out=40, patience=2), digits)
    assert len(kept) == 5  # two epochs no better than the second, and one more
    assert torch.equal(weights(model), kept[1])


def test_held_out_images_are_not_trained_on(digits):
    poisoned = digits.images.clone()
    poisoned[60:] = torch.nan
    model = train(
        dataclasses.replace(SHORT, held_out=40),
        dataclasses.replace(digits, inputs=poisoned),
    )
    assert torch.isfinite(weights(model)).all()


def test_crops_and_flips():
    n = 400
    images = torch.rand(n, 3, 8, 6)
    moved = loop._augmented(images, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    seen = set()
    for i in range(n):
        windows = {
            (top, left, flip): window.flip(-1) if flip else window
            for top in range(9)
            for left in range(9)
            for window in [padded[i, :, top : top + 8, left : left + 6]]
            for flip in (False, True)
        }
        found = [key for key, window in windows.items() if torch.equal(window, moved[i])]
        assert found
        seen.add(found[0])
    assert len(seen) > 120  # of 162 equally likely ones
    assert {flip for *_, flip in seen} == {False, True}


def test_the_committed_recipes_are_those_on_the_cards():
    for name in ac.models.names():
        facts = ac.models.card(name).facts
        if "package" in facts:
            continue  # somebody else's
        recipe = Recipe.read(ROOT / facts["recipe"])
        assert (recipe.name, recipe.architecture, recipe.seed) == (name, facts["architecture"], facts["seed"])
        assert recipe.start == facts.get("start")
        if recipe.start is not None:
            assert facts["start_sha256"] == ac.models.card(recipe.start).facts["sha256"]


@pytest.mark.parametrize(
    "objective",
    [
        Standard(),
        NoiseAugmented(0.2),
        Trades(BALL, beta=2.0, clean=True),
        IGNorm(BALL, 0.5),
        IGR(Trades(BALL, beta=1.0), 2.0),
    ],
    ids=repr,
)
def test_a_recipe_is_read_as_it_was_written(tmp_path, objective):
    recipe = dataclasses.replace(TINY, objective=objective)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe.to_dict()))
    assert Recipe.read(path) == recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, "recipe='without name': takes name, architecture"),
        ({"colour": "red"}, "recipe='with colour': takes"),
        ({"architecture": "mnist_cn"}, "did you mean 'mnist_cnn'"),
        ({"epochs": 0}, "^epochs=0"),
        ({"optimizer": "adam"}, "did you mean 'adamw'"),
        ({"start": "mnist-standrd"}, "start='mnist-standrd': did you mean 'mnist-standard'"),
        ({"architecture": "cifar_resnet", "start": "mnist-noise"}, "start='mnist-noise': must be a cifar_resnet"),
        ({"images": 19}, "^images=19: must be an integer >= 20"),
        ({"patience": 2}, "patience=2: needs held_out"),
        ({"objective": "trades"}, "objective='trades': must be a mapping with a name"),
        ({"objective": {"name": "trade"}}, "did you mean 'trades'"),
        ({"objective": {"name": "trades", "beta": 1.0}}, "objective='without ball'"),
        ({"objective": {"name": "trades", "beta": 1.0, "ball": {"eps": 1.0, "size": 2}}}, "ball='with size'"),
        ({"objective": {"name": "noise", "sigma": -1.0}}, "sigma=-1.0"),
    ],
)
def test_bad_recipes_are_refused(tmp_path, changes, message):
    values = {
        key: value for key, value in {**TINY.to_dict(), **changes}.items() if value is not None or key == "patience"
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(ac.AttricertError, match=message):
        Recipe.read(path)


def test_unreadable_recipes_are_refused(tmp_path):
    for path, content in (
        (tmp_path / "none.yaml", None),
        (tmp_path / "a.yaml", "["),
        (tmp_path / "b.yaml", "just text"),
    ):
        if content is not None:
            path.write_text(content)
        with pytest.raises(ac.ArgumentError, match="recipe="):
            Recipe.read(path)


def test_too_few_images_are_refused(digits):
    with pytest.raises(ac.ArgumentError, match="held_out=90: must leave a batch of 20 among 100"):
        train(dataclasses.replace(TINY, held_out=90), digits)


def test_a_model_is_made_with_its_card(tmp_path, monkeypatch):
    monkeypatch.setattr(ac.datasets, "load", lambda name, split: load(name, "sample"))
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(dataclasses.replace(SHORT, start="mnist-noise").to_dict()))
    threads = torch.get_num_threads()
    facts = make(path, tmp_path / "out", "cpu", lambda *_: None)
    assert torch.get_num_threads() == threads
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["tiny.jsonl", "tiny.md", "tiny.safetensors"]
    card = ac.models.zoo.Card.read(tmp_path / "out" / "tiny.md")
    assert card.facts["test_accuracy"] == facts["test_accuracy"] > 0.3
    assert card.facts["recipe"] == "recipes/tiny.yaml"
    assert card.facts["start_sha256"] == ac.models.card("mnist-noise").facts["sha256"]
    assert "CIFAR" not in card.text
    with pytest.raises(ac.ArgumentError, match="already holds tiny"):
        make(path, tmp_path / "out", "cpu", lambda *_: None)


load = ac.datasets.load
