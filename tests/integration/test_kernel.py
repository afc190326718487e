"""A real notebook, run by a real kernel: what it shows under its cells."""

import nbformat
import pytest
from nbclient import NotebookClient

SETUP = """
import attricert as ac
from attricert import attacks
model = ac.models.load("mnist-standard")
data = ac.datasets.load("mnist", split="sample")
x, y = data.images[:2], data.labels[:2]
sm = ac.SmoothedAttribution(ac.Saliency(model), noise=ac.Gaussian(sigma=0.125), bound=ac.Normalize(max_entry=0.15))
cert = sm.certify(x, target=y, n_samples=1000, seed=0)
"""
PAGE = "cert.show(x, labels=y, eps=[0.02])"
SANDWICH = """
attack = attacks.RandomNoise()
attacks.sandwich(cert[:1], sm, x[:1], y[:1], cosine=0.9, attack=attack, steps=0, n_samples=100, seed=0)
"""
PLAN = "ac.plan(ac.Saliency(model), x, y, claim=ac.Claim(eps=0.05, cosine=0.9), scales=[0.125], n_samples=1000)"
CELLS = {
    "setup": SETUP,
    "certificate": "cert",
    "plot": "cert.plot()",
    "frame": "cert.to_frame(eps=[0.02], cosine=0.9)",
    "forecast": "sm.forecast(x[:1], y[:1], seed=0)[0]",
    "sandwich": SANDWICH,
    "plan": PLAN,
    "page": PAGE,
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Of each cell."""
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
            patch.setenv(name, str(folder / name))
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS.values()])
        client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}})
        client.execute()
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}


def test_nothing_is_said_beside(outputs):
    assert outputs["setup"] == []
    assert {name: len(found) for name, found in outputs.items() if name != "setup"} == dict.fromkeys([*CELLS][1:], 1)
    assert {found[0].output_type for name, found in outputs.items() if found} == {"execute_result"}


@pytest.mark.parametrize("name", ["certificate", "frame", "forecast", "sandwich", "plan"])
def test_values_are_shown_as_html(outputs, name):
    data = outputs[name][0].data
    assert "<table" in data["text/html"]
    assert len(data["text/html"]) < 100_000
    if name != "frame":  # pandas has its own
        assert "<script" not in data["text/html"]
        assert len(data["text/plain"]) < 300
    assert ("<svg" in data["text/html"]) == (name in ("certificate", "sandwich"))


def test_plots_are_shown_as_pictures(outputs):
    assert outputs["plot"][0].data["image/png"].startswith("iVBOR")


def test_the_page_is_shown_in_a_frame(outputs):
    data = outputs["page"][0].data
    assert data["text/html"].startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert "Certified explanations" in data["text/html"]
    assert "<script" not in data["text/html"]
