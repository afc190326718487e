"""A part of ``make coverage``: all claims of an input at once, on maps whose smoothed values are known."""

import coverage_campaign as campaign
import numpy as np
import pytest
import torch

import attricert as ac

TRIALS = 200


@pytest.fixture(autouse=True)
def _one_thread():
    """Thousands of tiny arrays: threads would cost more than they give."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_all_claims_hold_at_once_but_for_alpha():
    each = TRIALS // len(campaign.WORLDS)
    found = {world: campaign.failures(world, each) for world in campaign.WORLDS}
    assert sum(failed for failed, _ in found.values()) <= campaign.most(TRIALS), found


@pytest.mark.parametrize("world", campaign.WORLDS[:1], ids=repr)
def test_what_the_draws_plainly_say_fails_in_every_part(world):
    """The control: plain means for bounds, and nothing outside of what was seen."""
    trials = 100
    certificate = ac.Certificate(campaign.naive(world.certificates(trials).evidence))
    found = campaign.false_pieces(world, certificate.evidence)
    for name in ("norm", "drift", "entries", "functionals", "masses"):
        assert found[name].sum() > campaign.most(trials), name


def test_the_worlds_are_what_they_are_said_to_be():
    """The rotor's norm in closed form, rare events as rare as said, norms at most 1."""
    for world in campaign.WORLDS:
        assert (np.linalg.norm(world.rows, axis=1) <= 1 + 1e-12).all()
        assert world.phases.std() == pytest.approx(world.unit, rel=2e-3)
    wave, rare = campaign.WORLDS[0], campaign.WORLDS[4]
    assert np.linalg.norm(wave.rows.mean(axis=0)) == pytest.approx(np.exp(-(wave.unit**2) / 2), rel=1e-4)
    assert (rare.rows[:, 0] < 0).mean() == pytest.approx(campaign.RARE)


def test_more_failures_than_allowed_make_the_campaign_fail(monkeypatch, capsys):
    monkeypatch.setattr(campaign, "failures", lambda world, trials: (trials, {"norm": trials}))
    assert campaign.main(["--trials", "24"]) == 1
    monkeypatch.setattr(campaign, "failures", lambda world, trials: (0, {}))
    assert campaign.main(["--trials", "24"]) == 0
    assert "all: 0 of 24 failed" in capsys.readouterr().out
