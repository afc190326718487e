"""Progress in a notebook: a line that changes in place, without widgets and without warnings."""

import nbformat
from nbclient import NotebookClient

CELL = """
import importlib.util, warnings
warnings.simplefilter("error")
import attricert as ac
digits = ac.datasets.load("mnist", split="sample")
sm = ac.SmoothedAttribution(ac.Saliency(ac.models.load("mnist-standard")), ac.Gaussian(0.125))
certificate = sm.certify(digits.images[:1], digits.labels[:1], n_samples=2_000, seed=0, progress=True)
print(certificate.max_eps(0.9)[0] > 0, importlib.util.find_spec("ipywidgets"))
"""


def test_a_cell_shows_how_far_it_is(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = notebook.cells[0].outputs
    assert [output.output_type for output in outputs] == ["display_data", "stream"]
    place, stream = outputs
    assert list(place.data) == ["text/plain"]
    assert place.data["text/plain"].startswith("certifying: 2,000 of 2,000, 0:0")
    assert (stream.name, stream.text) == ("stdout", "True None\n")
    assert sum(len(str(output.get("text", "")).splitlines()) for output in outputs) < 40
