"""A small part of ``make soundness``: certified samples under attack, and false claims that must be found out."""

import json

import campaign
import pytest


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(campaign, "INPUTS", 8)
    monkeypatch.setattr(campaign, "DIGITS", 1)
    monkeypatch.setattr(campaign, "DRAWS", 600)
    monkeypatch.setattr(campaign, "JUDGED", 200)
    monkeypatch.setattr(campaign, "BUDGET", 0.02)
    monkeypatch.setattr(campaign, "SEEDS", 20)


def test_nothing_is_crossed_and_planted_claims_are(tmp_path, capsys):
    arguments = [str(tmp_path), "--units", "waves=4", "steps=3", "digits=6"]
    assert campaign.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "0 crossings" in printed
    assert printed.count("caught; sound one holds: True") == 6
    results = [json.loads(path.read_text()) for path in tmp_path.glob("*-[0-9].json")]
    assert len(results) == 13
    assert sum(result["attacked"] for result in results) > 40
    # Again: nothing is computed, everything is counted.
    (tmp_path / "steps-2.json").unlink()
    assert campaign.main(arguments) == 0
    again = capsys.readouterr().out
    assert [line for line in again.splitlines() if line.startswith("steps-2: ")]
    assert len(again.splitlines()) == 1 + 10


def test_a_crossing_or_a_missed_plant_fails(tmp_path, monkeypatch):
    caught = {"caught": True, "sound_holds": True}
    crossed = {"attacked": 1, "crossed": 1, "margin": -0.1}
    monkeypatch.setattr(campaign, "analytic", lambda kind, index: crossed)
    monkeypatch.setattr(campaign, "PLANTED", {"spread": lambda: caught})
    arguments = ["--units", "waves=1", "steps=0", "digits=0"]
    assert campaign.main([str(tmp_path / "a"), *arguments]) == 1
    monkeypatch.setattr(campaign, "analytic", lambda kind, index: {**crossed, "crossed": 0})
    monkeypatch.setitem(campaign.PLANTED, "spread", lambda: {**caught, "caught": False})
    assert campaign.main([str(tmp_path / "b"), *arguments]) == 1
    monkeypatch.setitem(campaign.PLANTED, "spread", lambda: caught)
    assert campaign.main([str(tmp_path / "c"), *arguments]) == 0
