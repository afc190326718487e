"""``certify --pictures``: what a run leaves beside its results."""

from pathlib import Path

import numpy as np
import pytest

import attricert as ac
from attricert import runs
from attricert.cli import pictures
from attricert.cli.main import main

CERTIFY = ["certify", "--model", "mnist-standard", "--data", "mnist:sample[0:3]", "--noise", "gaussian", "--sigma"]
CERTIFY += ["0.125", "--n_samples", "300", "--seed", "1", "--eps", "0.03", "0.01", "--out", "run"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def figures(monkeypatch):
    """Those that are saved."""
    saved, save = [], pictures.save_figure

    def keep(figure, path):
        saved.append(figure)
        save(figure, path)

    monkeypatch.setattr(pictures, "save_figure", keep)
    return saved


def test_the_first_inputs_are_drawn(figures, digits, capsys):
    assert main([*CERTIFY, "--pictures", "2"]) == 0
    assert "written to run; pictures in pictures.png" in capsys.readouterr().out
    assert Path("run/pictures.png").read_bytes().startswith(b"\x89PNG")
    (whole,) = figures
    assert len(whole.subfigs) == 2
    certificate = runs.load("run")
    for i, part in enumerate(whole.subfigs):
        image, map_ = (ax.images[0].get_array() for ax in part.axes[:2])
        np.testing.assert_array_equal(image, digits.images[i, 0])
        np.testing.assert_array_equal(map_, certificate.maps[i, 0])
        assert part.get_suptitle().startswith(f"mnist:test:{i}: cosine >= ")
        assert part.get_suptitle().endswith("at eps = 0.03, alpha = 0.001")
    # The results are there: again, from the evidence.
    Path("run/pictures.png").unlink()
    assert main(["certify", "--out", "run"]) == 0
    assert [len(figure.subfigs) for figure in figures] == [2, 3]
    assert main(["verify", "run"]) == 0


def test_none_are_asked_for(figures, capsys):
    assert main([*CERTIFY, "--pictures", "0"]) == 0
    assert "pictures" not in capsys.readouterr().out
    assert not figures
    assert Path("run/results.parquet").exists()
    assert not Path("run/pictures.png").exists()
    assert main([*CERTIFY, "--pictures", "-1"]) == 2
    assert "pictures=-1: must be an integer >= 0" in capsys.readouterr().err


def test_nothing_is_drawn_of_a_shard_or_without_maps(figures):
    assert main([*CERTIFY, "--shard", "0/2"]) == 0
    assert main([*CERTIFY[:-1], "bare", "--maps", "drop"]) == 0
    assert not figures
    assert main([*CERTIFY, "--shard", "1/2"]) == 0  # with which all is there
    assert len(figures) == 1


def test_data_that_cannot_be_read_are_a_note(monkeypatch, capsys):
    assert main([*CERTIFY, "--pictures", "0"]) == 0
    others = ac.datasets.load("mnist", split="sample").slice(5, 8)
    for items, said in ((lambda store, **_: others, "the data are not those of the run"), (None, "TypeError")):
        monkeypatch.setattr(runs.Store, "items", items)
        capsys.readouterr()
        assert main(["certify", "--out", "run"]) == 0
        found = capsys.readouterr()
        assert f"no pictures were left: {'IntegrityError: mnist:test:0: ' * (items is not None)}{said}" in found.err
        assert "written to run\n" in found.out
    assert not Path("run/pictures.png").exists()
