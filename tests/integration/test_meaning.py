"""Certificates know which class was explained, and whether the smoothed model predicts it.

The classifier here has a smoothed class in closed form: class k is a slab |x_0 - k| < w, and class 0 is all else. At s
from the middle of a slab, Gaussian noise gives its class the mass Phi((w - s)/sigma) - Phi((-w - s)/sigma).
"""

import dataclasses
import json
import re
import shutil
import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import beta, norm

import attricert as ac
from attricert import runs
from attricert.attacks import Sandwich
from attricert.certificates import Meaning, note
from attricert.cli.main import main
from attricert.plots import curves, notes, sandwich
from attricert.report import rows_of
from attricert.runs.results import stream
from attricert.runs.rows import EXPLAINED, evidence_of_rows

WIDTH, D = 0.1, 8
RUN = runs.Config(
    "mnist-standard",
    "mnist:sample[1:4]",
    noise="gaussian",
    parameters={"sigma": 0.9},
    n_samples=300,
    seed=3,
    maps="drop",
)  # digits 2, 1, 0, of which the smoothed model keeps the first and the last, and puts 1 among the 8s


def slabs(x):
    scores = torch.full((len(x), 4), -1.0)
    scores[:, 0] = 0.0
    for k in (1, 2, 3):
        scores[:, k] = WIDTH - (x[:, 0] - k).abs()
    return scores


def ones(x, target):
    return torch.ones_like(x)


def smoothed(sigma):
    return ac.SmoothedAttribution(ac.wrap(ones), ac.Gaussian(sigma), classifier=slabs)


def middle(*classes):
    x = torch.zeros(len(classes), D)
    x[:, 0] = torch.tensor(classes)
    return x


def mass(sigma, s=0.0):
    """Of the slab's class, at s from its middle; the other slabs are far away."""
    return norm.cdf((WIDTH - s) / sigma) - norm.cdf((-WIDTH - s) / sigma)


def without(certificate):
    """As an earlier version would have it."""
    return ac.Certificate(dataclasses.replace(certificate.evidence, explained=None))


@pytest.fixture(scope="module")
def lost():
    """Three inputs of classes 1, 2, 3 under noise that puts all of them in class 0."""
    with pytest.warns(ac.MeaningWarning) as said:
        certificate = smoothed(2 * WIDTH).certify(middle(1, 2, 3), [1, 2, 3], n_samples=1_000, seed=0)
    return certificate, [str(warning.message) for warning in said]


def test_a_class_that_the_noise_loses_is_said_to_be(lost):
    certificate, said = lost
    assert mass(2 * WIDTH) < 0.4
    assert slabs(middle(1, 2, 3)).argmax(dim=1).tolist() == certificate.explained.tolist() == [1, 2, 3]
    assert certificate.prediction.tolist() == [0, 0, 0]
    assert not certificate.class_kept.any()
    assert (certificate.prediction_radius() > 0).all()  # it is about the smoothed class, as ever
    assert len(said) == 2
    assert said[0].startswith(
        "on 3 of 3 inputs the explained class is not the class of the smoothed model (1 explained, 0"
    )
    assert said[1].startswith("all 3 inputs are 0 under this noise, though different classes are explained")


def test_joint_claims_nothing_of_another_class(lost):
    certificate, _ = lost
    assert (certificate.cosine([0.0, 0.01]) > 0.9).all()
    assert (certificate.joint([0.0, 0.01]) == -1.0).all()
    # What is claimed is that class 1 has more than half of the mass at x: false, and what was claimed before.
    assert (without(certificate).joint([0.0, 0.01]) > 0.9).all()


def test_little_noise_keeps_the_class_and_says_nothing():
    sigma = WIDTH / 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        c = smoothed(sigma).certify(middle(1, 2, 3), [1, 2, 3], n_samples=1_000, seed=0)
    assert c.class_kept.all()
    assert c.meaning == Meaning(3)
    grid = np.linspace(0, 0.2, 41)
    keeps = grid < c.prediction_radius()[:, None]
    assert (c.joint(grid) == np.where(keeps, c.cosine(grid), -1.0)).all()
    # The largest shift at which the class still has more than half of the mass: no joint claim goes beyond.
    farthest = brentq(lambda s: mass(sigma, s) - 0.5, 0, 1)
    assert (c.joint(farthest) == -1.0).all()
    assert (c.joint(farthest / 3) > 0.9).all()


@pytest.mark.parametrize("guarantee", ["population", "observed"])
def test_a_class_without_a_majority_is_hardly_ever_kept(guarantee):
    """At a mass of exactly one half "kept" is false: with probability at most its share of alpha it is said."""
    n, sigma = 150, WIDTH / norm.ppf(0.75)
    assert mass(sigma) == pytest.approx(0.5)
    settings = {"n_samples": 100, "alpha": 0.5, "seed": 1, "guarantee": guarantee, "prove": ["prediction"]}
    options = ac.Options(**settings)
    c = smoothed(sigma).certify_with(options, middle(*[1] * n), 1, sample_ids=[str(i) for i in range(n)])
    share = c.terms.share("prediction")
    assert c.class_kept.sum() <= beta.ppf(0.999, 1 + n * share, n - n * share) * n
    assert (c.prediction == 1).sum() > 0.3 * n  # the control: the votes of the pilot say so far too often
    better = smoothed(WIDTH / 3).certify_with(options, middle(*[1] * 3), 1, sample_ids=["a", "b", "c"])
    assert better.class_kept.all()


def test_where_no_class_is_known():
    c = smoothed(WIDTH / 2).certify(middle(1, 2), n_samples=400, seed=0)
    assert c.explained.tolist() == [-1, -1]
    assert c.meaning == Meaning()
    assert (c.joint(0.01) == c.cosine(0.01)).all()
    assert "class_kept" not in rows_of(c, {}, [], [])[0]
    with pytest.raises(ac.ArgumentError, match="target=None: is needed in certify"):
        _ = c.class_kept
    plain = dataclasses.replace(smoothed(0.1), classifier=None).certify(middle(1), 1, n_samples=400, seed=0)
    assert (plain.explained.tolist(), plain.meaning) == ([1], Meaning())
    with pytest.raises(ac.ArgumentError, match="classifier=None"):
        _ = plain.class_kept


def test_files_keep_it_and_those_without_are_read(lost, tmp_path):
    certificate, _ = lost
    certificate.save(tmp_path / "now")
    again = ac.Certificate.load(tmp_path / "now")
    assert again.explained.tolist() == [1, 2, 3]
    assert again[1:].meaning.others == ((2, 0, 1), (3, 0, 1))
    without(certificate).save(tmp_path / "then")
    old = ac.Certificate.load(tmp_path / "then")
    assert old.explained.tolist() == [-1] * 3
    assert (old.joint(0.01) == old.cosine(0.01)).all()


def test_results_and_pictures_say_it(lost):
    certificate, _ = lost
    row = rows_of(certificate, {}, [0.01], [])[1]
    said = (row["explained_class"], row["certified_prediction"], row["class_kept"], row["joint_eps_0.01"])
    assert said == (2, 0, False, -1.0)
    assert not {"explained_class", "class_kept"} & set(rows_of(without(certificate), {}, [0.01], [])[0])
    assert notes(certificate)[2] == "smoothed model says 0, explained 3"
    (axes,) = curves(certificate, ["a", "b", "$c"]).axes
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend[2] == "\\$c\nsmoothed model says 0, explained 3"
    cosines, sizes = np.ones((3, 1)), np.full((3, 1), 0.01)
    attacked = Sandwich(0.9, sizes, cosines, cosines, 0 * cosines, sizes[:, 0], sizes[:, 0], middle(1, 2, 3))
    assert sandwich(certificate, attacked, ["a", "b"]).axes[1].get_title() == "b\nsmoothed model says 0, explained 2"


def test_what_is_said_of_many():
    assert Meaning.of([], []) == Meaning() == Meaning.of([-1], [3])
    assert Meaning.of([1, 1, 2], [1, 1, 2]).lines() == []
    assert Meaning.of([3, 3, 3], [3, 3, 3]).one_class is None  # one class is explained
    assert Meaning.of([1, 2], [8, 8]).one_class is None  # two are chance
    found = Meaning.of([1, 1, 2, 8, -1], [8, 8, -1, 8, 0])
    assert found == Meaning(4, ((1, 8, 2), (2, -1, 1)))
    (line,) = found.lines()
    assert line.startswith("on 3 of 4 inputs")
    assert "(1 explained, 8 predicted, 2 times; 2 explained, no class predicted)" in line
    assert "; and so on)" in Meaning.of(range(1, 9), [0] * 8).lines()[0]
    assert (note(1, 1), note(-1, 3), note(3, 8)) == ("", "", "smoothed model says 8, explained 3")


# Plans: votes against exact masses, and what is recommended.

SCALES = [0.5 * WIDTH, 0.9 * WIDTH, 2 * WIDTH]


def planned(eps, scales=SCALES, **settings):
    claim = ac.Claim(eps=eps, cosine=0.9)
    given = {"n_pilot": 400, "seed": 0, "classifier": slabs, **settings}
    return ac.plan(ac.wrap(ones), middle(1, 2), [1, 2], claim=claim, scales=scales, **given)


def test_a_plan_tells_at_which_scales_the_classes_are_kept():
    found = planned(0.01)
    truth = [mass(sigma) for sigma in SCALES]
    assert truth[0] > truth[1] > 0.7 > 0.4 > truth[2]
    for row, p in zip(found.scales, truth, strict=True):
        assert abs(row.class_votes - p) < 4 * np.sqrt(p * (1 - p) / 800)
    assert [row.kept for row in found.scales] == [2, 2, 0]
    assert found.best is found.scales[0]
    assert found.shortfall == ""


def test_a_plan_counts_the_samples_that_the_class_takes():
    """A constant map needs few; a mass of 0.55 needs what Clopper and Pearson say."""
    sigma = WIDTH / norm.ppf(0.775)
    (forecast,) = smoothed(sigma).forecast(middle(1), [1], n_samples=1_000, seed=0)
    assert forecast.class_votes == pytest.approx(0.55, abs=4 * 0.5 / np.sqrt(1_000))
    needed = forecast.samples_for_class(500, 100_000)
    share = forecast.terms.share("prediction")

    def lower(n):
        hits = int(0.9 * n * forecast.class_votes)
        return beta.ppf(share, hits, 0.9 * n - hits + 1)

    assert lower(needed * 1.05) > 0.5 > lower(needed / 1.1)
    assert forecast.keeps_class(needed * 1.05)
    assert not forecast.keeps_class(needed / 1.1)
    assert forecast.samples_for_class(500, needed // 2) == np.inf
    row = planned(0.01, [0.9 * WIDTH], n_pilot=100).scales[0]
    assert row.kept == 2
    assert row.samples_needed == 500
    many = planned(0.01, [1.25 * WIDTH], n_samples=100_000).scales[0]
    assert many.kept == 2
    assert many.samples_needed > 1_000


def test_a_plan_recommends_no_scale_that_loses_a_class():
    eps = 5 * WIDTH  # only the larger of these scales proves so much
    found = planned(eps, SCALES[1:], n_pilot=100)
    assert [row.reached for row in found.scales] == [0, 2]
    assert found.best is None
    assert found.shortfall.startswith(
        "no sigma that was tried both proves the claim and keeps the classes: 0.2 proves it, but there the smoothed "
        "model predicts the explained class on 0 of 2 inputs; the largest eps with all classes kept is about 0."
    )
    assert "at sigma = 0.09 with 10,000 samples" in found.shortfall
    blind = planned(eps, SCALES[2:], n_pilot=100, classifier=None)
    assert blind.best is blind.scales[0]  # what was recommended before
    assert (blind.best.kept, blind.best.class_votes) == (None, None)


@pytest.mark.parametrize(
    ("scales", "text"),
    [
        ([(0.1, 0, 0), (0.2, 2, 1)], "no sigma that was tried leaves the smoothed model the explained class of all 2"),
        ([(0.1, 0, 2), (0.2, 1, 1)], "out of reach for some input, and more noise does not keep the classes of all"),
        (
            [(0.1, 0, 2), (0.2, 1, 2)],
            "out of reach for some input: the largest eps for all is about 0.2, at sigma = 0.2",
        ),
        (
            [(0.1, 0, None), (0.2, 1, None)],
            "out of reach for some input: the largest eps for all is about 0.2, at sigma",
        ),
        (
            [(0.1, 0, 2), (0.2, 2, 1), (0.3, 2, 0)],
            "no sigma that was tried both proves the claim and keeps .*: 0.2 proves",
        ),
        ([(0.3, 2, 2), (0.1, 0, 2), (0.2, 2, 2), (0.15, 2, 1)], None),
    ],
)
def test_what_falls_short_is_named(scales, text):
    rows = [ac.PlannedScale(s, reached, None, None, 0.5, s, s, s, kept) for s, reached, kept in scales]
    found = ac.Plan(ac.Claim(eps=0.25, cosine=0.9), ac.Gaussian(1.0), 2, 10_000, tuple(rows))
    if text is None:
        assert (found.best.scale, found.shortfall) == (0.2, "")
    else:
        assert found.best is None
        assert re.match(text, found.shortfall)


# Runs: rows, files, commands.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a run warns of no single input
        return runs.certify(RUN, tmp_path_factory.mktemp("run") / "r").folder


@pytest.fixture
def run(folder, tmp_path):
    """A copy that may be spoilt, results written."""
    shutil.copytree(folder, tmp_path / "copy")
    store = runs.Store.open(tmp_path / "copy")
    runs.write_results(store, runs.certificates(store, runs.Asked()))
    return store


def rewritten(run, change, which=(0, 1, 2)):
    """Rows whose facts are changed, digests right, as another version (or a forger) would have written them."""
    (part,) = run.parts()
    rows = part.rows()
    facts = [{**r.facts, **(change if r.facts["position"] in which else {})} for r in rows]
    for row in facts:
        del row["digest"]
    part.write([dataclasses.replace(row, facts=new) for row, new in zip(rows, facts, strict=True)])


def test_a_run_keeps_it(run):
    c = runs.load(run.folder)
    assert c.explained.tolist() == [2, 1, 0]
    assert c.prediction.tolist() == [2, 8, 0]
    assert c.class_kept.tolist() == [True, False, True]
    rows = runs.certificates(run, runs.Asked())
    found = runs.summary(run, rows, runs.Asked())
    assert (found.classes, found.class_kept) == (Meaning(3, ((1, 8, 1),)), 2)
    assert runs.meaning(run) == found.classes
    assert [check.state for check in runs.verify(run.folder, sample=1, seed=0)] == ["passed"] * 10


def test_commands_say_it(run, capsys):
    line = "on 1 of 3 inputs the explained class is not the class of the smoothed model (1 explained, 8 predicted)"
    for command, *flags in (["status"], ["verify", "--sample", "0"], ["certificates"]):
        assert main([command, str(run.folder), *flags]) == 0
        out = capsys.readouterr().out
        assert line in out
    assert "mnist:test:2: smoothed model says 8, explained 1: this map explains a class that the smoothed" in out
    assert "NO: 1" in out
    assert "explained class certain to be the smoothed model's: 2 of 3 inputs" in out
    assert main(["certify", "--out", str(run.folder), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert (summary["class_kept"], summary["classes"]) == (2, {"inputs": 3, "others": [[1, 8, 1]], "one_class": None})


def test_a_run_of_an_earlier_version_is_what_it_was(run):
    rewritten(run, {EXPLAINED: None})
    c = runs.load(run.folder)
    assert c.explained.tolist() == [-1] * 3
    assert (c.joint(0.001) == np.where(c.prediction_radius() > 0.001, c.cosine(0.001), -1.0)).all()
    rows = runs.certificates(run, runs.Asked())
    assert not {"explained_class", "class_kept"} & set(rows[0])
    assert runs.summary(run, rows, runs.Asked()).classes == Meaning() == runs.meaning(run)
    runs.write_results(run, rows)
    assert [check.state for check in runs.verify(run.folder, sample=1, seed=0)] == ["passed"] * 10


def test_a_run_that_an_earlier_version_began_goes_on(run):
    rewritten(run, {EXPLAINED: None}, which=(1,))
    assert runs.load(run.folder).explained.tolist() == [2, 1, 0]  # its target says the same
    rows = runs.certificates(run, runs.Asked())
    assert [row.get("class_kept") for row in rows] == [True, None, True]
    runs.write_results(run, rows)
    assert [check.state for check in runs.verify(run.folder, sample=1, seed=0)] == ["passed"] * 10


def test_a_row_explains_its_target(run):
    rewritten(run, {EXPLAINED: 8}, which=(1,))
    with pytest.raises(ac.IntegrityError, match="must explain its target, 1, not 8"):
        runs.load(run.folder)


def test_rows_of_both_kinds_are_one_evidence(run):
    rows = sorted(stream(run), key=lambda row: row.facts["position"])
    old = dataclasses.replace(rows[0], facts={k: v for k, v in rows[0].facts.items() if k != EXPLAINED})
    assert evidence_of_rows([old]).explained is None
    for some in ([old, *rows[1:]], [*rows[1:], old]):
        assert evidence_of_rows(some).explained.target.tolist() == [row.facts["target"] for row in some]
