"""What a data set takes, against sums done by hand."""

import dataclasses

import pytest
import torch

import attricert as ac
from attricert.cli.main import main
from attricert.cli.whole_set import WholeSet, apart
from attricert.diagnosis import Cost
from attricert.workload import Workload, measured_on

# 50,000 inputs of 10,000 samples at 1,000 a second are 10 s each: 500,000 s, or 138.9 h.
IMAGENET = Workload(50_000, 10_000, 1_000.0, "some accelerator")


@pytest.mark.parametrize(("workers", "seconds"), [(1, 500_000.0), (8, 62_500.0), (64, 7_820.0), (60_000, 10.0)])
def test_inputs_are_divided_among_workers(workers, seconds):
    """64 workers: 782 inputs for the busiest, as 50,000 / 64 = 781.25."""
    assert IMAGENET.seconds(workers) == seconds


def test_overhead_start_and_scaling_count():
    found = dataclasses.replace(IMAGENET, overhead=2.5, startup=30.0, efficiency=0.8)
    assert found.seconds_an_input == 12.5
    assert found.seconds(1) == 30 + 50_000 * 12.5  # one worker has nobody beside it
    assert found.seconds(8) == pytest.approx(30 + 6_250 * 12.5 / 0.8, rel=1e-12)


def test_the_line_says_what_it_is_from():
    assert IMAGENET.told((1, 8, 64)) == (
        "50,000 inputs of 10,000 samples: 5.79 days on 1, 17.4 h on 8, 2.17 h on 64 workers, "
        "worked out from 1e+03 samples a second of one (some accelerator)"
    )
    one = Workload(1, 900, 10.0, "cpu, 2 threads")
    assert one.told((1,)).startswith("1 input of 900 samples: 90 s on 1 worker, ")
    assert one.to_dict((1, 2))["seconds"] == {"1": 90.0, "2": 90.0}


@pytest.mark.parametrize(
    ("name", "value"),
    [("inputs", 0), ("n_samples", 0), ("rate", 0.0), ("overhead", -1.0), ("startup", -1.0), ("efficiency", 1.1)],
)
def test_bad_values_are_refused(name, value):
    with pytest.raises(ac.ArgumentError, match=f"{name}="):
        dataclasses.replace(IMAGENET, **{name: value})
    with pytest.raises(ac.ArgumentError, match="workers=0"):
        IMAGENET.seconds(0)


@pytest.mark.parametrize("told", [IMAGENET.told, IMAGENET.to_dict, lambda workers: WholeSet(workers=workers)])
def test_no_number_of_workers_is_refused(told):
    with pytest.raises(ac.ArgumentError, match=r"workers=\(\): must name at least one number"):
        told(())


def test_what_doctor_measured_becomes_one():
    found = Cost(1, 1, 0.002, 5_000, "cpu, 1 thread").workload(100)
    assert (found.seconds(1), found.device) == (pytest.approx(1_000.0), "cpu, 1 thread")
    with pytest.raises(ac.UnavailableError, match="timed"):
        Cost(1, 1, None, 5_000).workload(100)


def test_the_device_is_named_in_general_words():
    assert measured_on(torch.device("cpu")) == "cpu, 1 thread"  # as all tests run
    assert measured_on(torch.device("meta")) == "meta"


def test_a_plan_says_what_its_scale_takes(model, digits):
    found = ac.plan(
        ac.Saliency(model), digits.images[:1], digits.labels[:1], scales=[0.2], n_pilot=50, n_samples=500, seed=0
    )
    takes = found.workload(50_000)
    assert takes.n_samples == 500
    assert takes.seconds(1) == pytest.approx(50_000 * 500 * found.scales[0].seconds_a_sample)
    assert takes.device == "cpu, 1 thread"
    # As the command that it prints: for a claim a tenth more than the claim needs.
    needed = dataclasses.replace(found.scales[0], samples_needed=600)
    claimed = dataclasses.replace(found, claim=ac.Claim(eps=0.02, cosine=0.9), scales=(needed,), entries=())
    assert claimed.workload(1).n_samples == claimed.samples == 660
    with pytest.raises(ac.UnavailableError, match="tried"):
        dataclasses.replace(found, scales=()).workload(1)


def test_what_is_asked_on_the_command_line_stands_for_what_was_measured():
    given = {"total_inputs": 7, "rate": 900.0, "efficiency": 0.5, "inputs": 4}
    asked, rest = apart(given, WholeSet)
    assert rest == {"inputs": 4}
    found = WholeSet(**asked).of(IMAGENET)
    assert (found.inputs, found.n_samples, found.rate, found.efficiency) == (7, 10_000, 900.0, 0.5)
    assert "not measured" in found.device
    assert WholeSet().of(IMAGENET) == IMAGENET


BAD = [
    ("workers", (0,)),
    ("total_inputs", 0),
    *((name, value) for name in ("rate", "overhead", "startup", "efficiency") for value in (-1.0, float("nan"))),
    ("efficiency", 1.1),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_what_is_asked_on_the_command_line_is_checked(name, value):
    with pytest.raises(ac.ArgumentError, match=f"^{name}="):
        WholeSet(**{name: value})


@pytest.mark.parametrize("command", ["plan", "doctor"])
def test_it_is_checked_before_anything_is_read(command, capsys):
    line = [command, "--model", "nowhere.py:model", "--data", "nowhere"]
    assert main([*line, "--efficiency", "2"]) != 0
    assert "efficiency=2.0: must be > 0 and <= 1" in capsys.readouterr().err
    assert main(line) != 0  # the control: there is nothing to read
    assert "nowhere" in capsys.readouterr().err
