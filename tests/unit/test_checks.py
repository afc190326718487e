import numpy as np
import pytest

import attricert as ac
from attricert import checks


@pytest.mark.parametrize("bad", ["1", True, None, 0, -1, float("nan"), float("inf")])
def test_positive(bad):
    assert checks.positive("x", np.float32(0.5)) == 0.5
    with pytest.raises(ac.ArgumentError, match="^x=.*: must be a finite number > 0"):
        checks.positive("x", bad)


@pytest.mark.parametrize("bad", ["1", True, None, -0.1, 1.1, float("nan"), pytest.param(10**400, id="huge")])
def test_within(bad):
    assert [checks.within("x", value, 0.0, 1.0, "rule") for value in (0, np.float32(0.5), 1.0)] == [0.0, 0.5, 1.0]
    with pytest.raises(ac.ArgumentError, match="^x=.*: rule"):
        checks.within("x", bad, 0.0, 1.0, "rule")


@pytest.mark.parametrize("bad", ["1", True, 0, 1, float("nan"), 1.5])
def test_fraction(bad):
    with pytest.raises(ac.ArgumentError, match="^x="):
        checks.fraction("x", bad)


@pytest.mark.parametrize("bad", [1.0, "3", True, 1])
def test_count(bad):
    assert checks.count("n", np.int64(5), 2) == 5
    with pytest.raises(ac.ArgumentError, match="^n=.*: must be an integer >= 2"):
        checks.count("n", bad, 2)


def test_errors_keep_their_parts():
    error = ac.ArgumentError("radius", -1.0, "must be > 0")
    assert str(error) == "radius=-1.0: must be > 0"
    assert (error.name, error.value, error.rule) == ("radius", -1.0, "must be > 0")
    assert isinstance(error, ValueError)
    assert isinstance(error, ac.AttricertError)


def test_a_name_like_no_other_gets_the_list():
    assert str(ac.UnknownNameError("model", "zzz", ["b", "a"])) == "model='zzz': must be one of a, b"
