import dataclasses
from pathlib import Path

import pytest
import torch

import attricert as ac
from attricert.training import Recipe, accuracy, train

ROOT = Path(__file__).parents[2]
TINY = Recipe("tiny", "mnist_cnn", "mnist", 6, 20, 3e-3, 1e-2, seed=0)


@pytest.fixture(scope="module")
def trained(digits):
    said = []
    return train(TINY, digits, said.append), said


def test_training_learns(trained, digits):
    model, said = trained
    losses = [float(line.split()[-1]) for line in said]
    assert len(losses) == 6
    assert losses[-1] < 0.5 * losses[0]
    assert accuracy(model, digits) > 0.6
    assert not model.training


def test_the_same_seed_gives_the_same_bits_and_another_does_not(trained, digits):
    state = torch.random.get_rng_state()
    again = train(TINY, digits, lambda _: None)
    assert torch.equal(torch.random.get_rng_state(), state)  # nobody else's randomness is touched
    other = train(dataclasses.replace(TINY, seed=1), digits, lambda _: None)
    for a, b, c in zip(trained[0].parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_the_committed_recipe_is_the_one_on_the_card():
    facts = ac.models.card("mnist-standard").facts
    recipe = Recipe.read(ROOT / facts["recipe"])
    assert (recipe.name, recipe.architecture, recipe.seed) == ("mnist-standard", facts["architecture"], facts["seed"])


def test_bad_recipes_are_refused(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x")
    with pytest.raises(ac.ArgumentError, match="must set exactly architecture, batch_size"):
        Recipe.read(path)
    with pytest.raises(ac.UnknownNameError, match="did you mean 'mnist_cnn'"):
        dataclasses.replace(TINY, architecture="mnist_cn")
    with pytest.raises(ac.ArgumentError, match="^epochs=0"):
        dataclasses.replace(TINY, epochs=0)
