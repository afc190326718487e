"""What the suite relies on to say the same in every run, on every machine."""

import sys
import types

import hypothesis
import torch
from hypothesis import strategies as st

NUMBER = 271_828_182


def examples():
    found = []

    @hypothesis.settings(max_examples=1000)
    @hypothesis.given(st.integers(0, 10**9))
    def drawn(n):
        found.append(n)

    drawn()
    return found


def test_examples_are_the_same_whatever_has_been_imported(tmp_path, monkeypatch):
    """The control is Hypothesis itself: it takes such a number for an example, unless told not to."""
    before = examples()
    assert len(set(before)) > 500
    assert examples() == before
    ours = types.ModuleType("ours")
    ours.__file__ = str(tmp_path / "ours.py")
    (tmp_path / "ours.py").write_text(f"N = {NUMBER}\n")
    monkeypatch.setitem(sys.modules, "ours", ours)
    assert NUMBER not in examples()
    assert examples() == before


def test_no_clock_decides_what_is_drawn_or_passes():
    found = hypothesis.settings.default
    assert found.derandomize
    assert found.deadline is None
    assert hypothesis.HealthCheck.too_slow in found.suppress_health_check


def test_one_thread_adds_up():
    assert torch.get_num_threads() == 1
