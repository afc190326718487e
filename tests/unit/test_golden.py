"""The committed reference values are what their generator computes: a quick case of each kind."""

import generate_golden
import pytest
from conftest import GOLDEN

# What takes longer is left out: large d, the least value of the program under Gaussian noise.
QUICK = {"overlap_ball": -5, "max_eps": -1, "min_radius": -1, "moment_weight": 4, "program": -1}


def test_every_key_has_a_generator():
    assert set(GOLDEN) == set(generate_golden.VALUES)


@pytest.mark.parametrize("key", generate_golden.VALUES)
def test_generated(key):
    row = GOLDEN[key][QUICK.get(key, 0)]
    new = generate_golden.computed(key, row)
    assert new.keys() == row.keys()
    for name, value in row.items():
        assert new[name] == (pytest.approx(value, rel=1e-15) if isinstance(value, float) else value)
