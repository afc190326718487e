"""A few files of the campaign, in every test run; `make fuzz` takes ten thousand."""

import pytest
from fuzz import campaign, kinds


def test_damaged_and_forged_files_are_refused_or_as_they_were_written():
    counts = campaign.campaign(200, seed=3)
    assert sum(counts.values()) == 200
    assert [name for name in counts if name.startswith("FAULT")] == []
    assert counts["refused (IntegrityError)"] > 60
    assert counts["certificate: taken"] > 5  # not everything is refused


@pytest.mark.untyped
def test_kinds_put_together_work_or_are_refused_in_one_line():
    outcomes = kinds.campaign(80, seed=3)
    assert [name for name in outcomes if name.startswith("FAULT")] == []
    assert min(outcomes["works"], outcomes["refused (ArgumentError)"], outcomes["refused (CallError)"]) > 1


def test_honest_evidence_is_taken():
    campaign.honest(60, seed=3)
