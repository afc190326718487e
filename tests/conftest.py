"""What tests share: reference values, the zoo model, real digits."""

import importlib
import json
import math
import os
from pathlib import Path

import hypothesis
import jaxtyping
import pytest
import threadpoolctl
import torch
from hypothesis.internal.conjecture import providers

ac = importlib.import_module("attricert")
# For good, as most modules are imported when they are first asked for. Those whose annotations say shapes: mypy looks
# at all others, and checking each of their many small calls would take some tenth of the tests' time.
_SOURCE = Path(ac.__file__).parent
_SHAPED = [path for path in sorted(_SOURCE.rglob("*.py")) if "jaxtyping" in path.read_text(encoding="utf-8")]
_SHAPED = [
    path for path in _SHAPED if path.parent.name != "baselines"
]  # which refuse wrong types themselves, as tests see
if "ATTRICERT_UNTYPED" not in os.environ:  # tests of arguments that are of a wrong type (pytest -m untyped)
    _NAMES = [".".join(("attricert", *path.relative_to(_SOURCE).with_suffix("").parts)) for path in _SHAPED]
    jaxtyping.install_import_hook(_NAMES, "shape_checks.checker")

# Sums have an order of their own for each number of threads: one, here and in processes that tests start, whatever the
# number of cores, which several test processes share.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)
threadpoolctl.threadpool_limits(1)

# Tables are as wide as in a pipe, whatever width the tests' own runner gives its workers.
os.environ.pop("COLUMNS", None)

# The same examples in every run, however slow the machine.
hypothesis.settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("repeatable")
# Nor do they hold numbers from the modules that happen to be imported by then, as Hypothesis would have it.
providers._get_local_constants = lambda: providers._local_constants

running = importlib.import_module("attricert.runs.running")

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


@pytest.fixture(scope="session")
def model():
    return ac.models.load("mnist-standard")


@pytest.fixture(scope="session")
def digits():
    return ac.datasets.load("mnist", split="sample")


@pytest.fixture(scope="session", autouse=True)
def _parts_are_full():
    """On a busy machine runs would write parts of fewer rows, lest time pass without any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "_SECONDS", math.inf)
        yield


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
