"""What tests share: reference values, the zoo model, real digits."""

import importlib
import json
import os
import pkgutil
from pathlib import Path

import hypothesis
import jaxtyping
import pytest
import torch

ac = importlib.import_module("attricert")
# For good, as most modules are imported when they are first asked for. Certificates are arithmetic of arrays whose
# annotations say no shapes: checking each of their many small calls would take most of the tests' time. What users call
# refuses wrong types by itself, which tests want to see.
_UNCHECKED = {"certificates", "lab", "lazy", "noise", "options", "progress", "smoothed"}
_CHECKED = {m.name for m in pkgutil.iter_modules(ac.__path__)} - _UNCHECKED
_CHECKED |= {"lab.experiments", "lab.training", "noise.samplers"}
if "ATTRICERT_UNTYPED" not in os.environ:  # tests of arguments that are of a wrong type (pytest -m untyped)
    jaxtyping.install_import_hook([f"attricert.{name}" for name in sorted(_CHECKED)], "shape_checks.checker")

# Several test processes share the cores.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)

# Repeatable: the same cases in every run, however slow the machine.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


@pytest.fixture(scope="session")
def model():
    return ac.models.load("mnist-standard")


@pytest.fixture(scope="session")
def digits():
    return ac.datasets.load("mnist", split="sample")


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
