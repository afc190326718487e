"""Experiments: what they print follows from direct calls, is measured once, and says when a claim fails."""

import csv
import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from scipy import special

import attricert as ac
from attricert.cli.main import main
from attricert.errors import ArgumentError, IntegrityError
from attricert.lab import experiments
from attricert.lab.baselines import CenterSmoothing
from attricert.lab.experiments import (
    Bench,
    bench,
    claims,
    figure3,
    largest_eps,
    montecarlo,
    paper,
    table4,
    table5,
    table8,
    table9,
)
from attricert.lab.experiments.bench import Measurement
from attricert.lab.experiments.journal import Journal
from attricert.lab.experiments.subject import slices
from attricert.report import Column, rounded, shown, to_csv, to_markdown

pytestmark = pytest.mark.filterwarnings("ignore::attricert.errors.NotABoundWarning")  # they print the paper's formula

MODEL = "mnist-standard"
TINY = {"inputs": 2, "radii": (2.0,), "models": (MODEL,), "n_samples": 200, "n_steps": 1}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A bench on which runs are shared, as on the command line."""
    return Bench(tmp_path_factory.mktemp("bench"))


def direct(model, noise, n_samples=200, **settings):
    """What users would call."""
    data = ac.datasets.load("mnist", "sample").slice(0, 2)
    smoothed = ac.SmoothedAttribution(ac.IntegratedGradients(model, n_steps=1), noise)
    target = model(data.images).argmax(dim=1)
    settings = {"prove": ("top_variance", "cone"), "seed": 0, "sample_ids": data.ids, **settings}
    return smoothed.certify(data.images, target, n_samples=n_samples, **settings)


def test_largest_eps_are_means_of_what_certify_says(shared, model):
    rows = table5.FULL.adjusted(TINY).run(shared).rows
    uniform, gaussian = (direct(model, noise) for noise in (ac.UniformBall(2.0), ac.Gaussian(2.0 / 786**0.5)))
    assert [row["cosine"] for row in rows] == [0.9, 0.8]
    for row in rows:
        t = row["cosine"]
        assert row["sound"] == pytest.approx(uniform.max_eps(t).mean(), rel=1e-5)
        assert row["variance"] == pytest.approx(gaussian.max_eps(t).mean(), rel=1e-5)
        assert row["printed"] == pytest.approx(ac.PaperCertificate(uniform.evidence).max_eps(t).mean(), rel=1e-5)
        # With c = M = 1 the printed theorem allows p = sqrt(1/T^2 - 1) / 2.
        half_chord = special.betaincinv(0.5, 785 / 2, math.sqrt(1 / t**2 - 1) / 2) ** 0.5
        assert row["ceiling"] == pytest.approx(2 * 2.0 * half_chord, rel=1e-9)
        assert row["sound"] < row["printed"] < row["ceiling"]


def test_the_papers_figure_is_above_what_its_theorem_allows(shared):
    settings = {**TINY, "radii": (0.5,), "inputs": 1, "n_samples": 100}
    result = table5.FULL.adjusted(settings).run(Bench(shared.folder / "half"))
    assert [row["paper"] for row in result.rows] == [0.0389, 0.0447]
    assert result.rows[0]["needed"] == pytest.approx(0.724, abs=5e-4)
    assert [row["allowed"] for row in result.rows] == pytest.approx([0.242, 0.375], abs=5e-4)
    assert all(row["paper"] > 2 * row["ceiling"] for row in result.rows)
    assert all(row["sound_by_paper"] == row["sound"] / row["paper"] for row in result.rows)
    assert any("Of its 2 figures here 0 are possible at all: they need p from 0.724" in note for note in result.notes)
    assert "| 0.0389 | 0.724 | 0.242 |" in result.to_markdown()


def test_published():
    assert paper.published("table5", "mnist-igr", 0.5, 0.8) == 0.0452
    assert paper.published("table6", "cifar10-standard", 3.5, 0.9) == 0.2683
    assert paper.published("table7", "imagenet-efficientnet-lite0", 3.5, 0.8) == 0.1040
    assert paper.published("table8", "mnist-ig-norm", 2.0, 0.8) == 0.8728
    assert paper.published("table9", "cifar10-igr", 1.0, 0.9) == 6.5790
    assert paper.published("table4", "mnist-ig-norm", 0.3) == 1.843
    assert paper.published("table4", "mnist-standard", 0.3) is None
    assert paper.published("table5", "mnist-noise", 0.5, 0.8) is None
    assert paper.published("table5", "mnist-igr", 0.7, 0.8) is None


def test_all_figures_are_there_and_none_of_the_papers_claims_is_possible():
    """By the incomplete beta function: a shift of a ball loses the mass of a slab."""
    counts = {f"table{n}": sum(row["table"] == f"table{n}" for row in paper.entries()) for n in range(4, 10)}
    assert counts == {"table4": 5, "table5": 42, "table6": 42, "table7": 14, "table8": 21, "table9": 28}
    sizes = {"mnist": 784, "cifar10": 3072, "imagenet": 150_528}
    for row in paper.entries():
        if row["table"] in ("table4", "table8"):
            continue
        d, t, scale, value = sizes[row["data"]], float(row["cosine"]), float(row["scale"]), float(row["value"])
        radius, eps = (value, scale) if row["table"] == "table9" else (scale, value)
        slab = special.betainc(0.5, (d + 1) / 2, (eps / (2 * radius)) ** 2)
        assert paper.mass_needed(eps, radius, d) == pytest.approx(slab, rel=1e-9)
        assert slab > 1.3 * math.sqrt(1 / t**2 - 1) / 2


def test_runs_are_shared_and_not_made_again(shared, monkeypatch):
    first = table5.FULL.adjusted(TINY).run(shared)

    def refuse(*_):
        raise AssertionError("certified again")

    monkeypatch.setattr(ac.runs.running.Inline, "run", lambda *_: iter(()))
    monkeypatch.setattr("attricert.runs.work.Worker.certify", refuse)
    assert table5.FULL.adjusted(TINY).run(shared).rows == first.rows


def test_attacks_leave_the_certificates_standing(shared):
    result = table8.FULL.adjusted({**TINY, "attacks": 2, "thorough": 1, "n_judged": 100}).run(shared)
    assert [row["bound"] for row in result.rows] == list(table8.BOUNDS.values())
    assert not result.failures
    for row in result.rows:
        assert (row["quick_inputs"], row["full_inputs"]) == (2, 1)
        assert row["below"] == row["refuted"] == 0
        assert 0.8 < row["smallest"] <= row["quick_mean"] <= 1.0
        assert row["smallest"] == min(row["quick_smallest"], row["full_smallest"])
        assert row["full_smallest"] == row["full_mean"]


def test_a_planted_false_claim_is_refuted(shared, monkeypatch):
    """Certificates a hundred times too large."""
    true = ac.Certificate.max_eps
    monkeypatch.setattr(ac.Certificate, "max_eps", lambda self, cosine: 100 * true(self, cosine))
    settings = {**TINY, "attacks": 2, "thorough": 1, "n_judged": 100, "inputs": 2}
    result = table8.FULL.adjusted(settings).run(shared)
    refuted = {row["bound"]: row["refuted"] for row in result.rows}
    assert refuted[table8.BOUNDS["variance"]] > 0
    assert any("refute the" in text for text in result.failures)


CLAIMS = {"models": (MODEL,), "inputs": 1, "radii": (2.0,), "thresholds": (0.8,), "n_steps": 1}
CLAIMS |= {"budget": 0.01, "n_judged": 100}


def test_the_papers_eps_are_attacked_in_both_ways(shared):
    result = claims.FULL.adjusted(CLAIMS).run(shared)
    assert [(row["map"], row["attack"]) for row in result.rows] == [
        (name, attacker) for name in ("SmoothIG", "SmoothSM") for attacker in ("the paper's", "ours")
    ]
    assert {row["eps"] for row in result.rows} == {0.2345}
    for row in result.rows:
        assert row["refuted"] <= row["below"] <= row["inputs"] == 1
        assert row["smallest"] == row["mean"] < 1.0
    assert not result.failures  # they are not our claims


def test_claims_that_are_false_are_refuted(shared, monkeypatch):
    """At ten times the eps."""
    monkeypatch.setattr(claims, "published", lambda *_: 2.345)
    result = claims.FULL.adjusted({**CLAIMS, "attributions": ("saliency",), "budget": 0.05}).run(shared)
    assert result.rows[1]["refuted"] == 1
    assert any("1 of 2 attacks refute" in note or "2 of 2 attacks refute" in note for note in result.notes)


def test_the_attack_of_a_job_keeps_its_size(model):
    job = table8.AttackedInput(
        model=MODEL, data="mnist:test[1:2]", seed=0, noise="uniform", scale=2.0, n_steps=1, eps=0.3,
        attacks=2, attack="quick", draws=4, n_compared=8, n_judged=100,
    )  # fmt: skip
    found = table8.attack(job)
    assert 0.29 < found["size"] <= 0.3
    assert found == table8.attack(job)


def test_center_smoothing_beside_ours(shared, model):
    settings = {"inputs": 1, "eps": (0.3,), "n_pred": 1_500, "n_cert": 3_000, "n_samples": 500, "models": (MODEL,)}
    row = table4.FULL.adjusted(settings).run(shared).rows[0]
    x = ac.datasets.load("mnist", "sample").images[:1]
    y = model(x).argmax(dim=1)
    smoothing = CenterSmoothing(ac.Saliency(model), 0.3, distance="cosine", n_pred=1_500, n_cert=3_000)
    center = smoothing.certify(x, y, eps=0.3, seed=0, sample_ids=["mnist:test:0"])
    assert row["center_cosine"] == pytest.approx(center.cosine[0, 0], rel=1e-6)
    assert row["eps_out"] == pytest.approx(min(center.eps_out[0, 0], 2.0), rel=1e-6)
    assert row["calls"] == center.calls[0]
    ours = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(0.3))
    prove = ("top_variance", "cone")
    certificate = ours.certify(
        x, y, n_samples=500, alpha=smoothing.alpha, seed=0, prove=prove, sample_ids=["mnist:test:0"]
    )
    assert row["gaussian"] == pytest.approx(certificate.cosine(0.3)[0], rel=1e-6)


def test_smallest_radii(shared, model):
    settings = {"models": (MODEL,), "inputs": 1, "eps": (0.05,), "thresholds": (0.8,), "n_samples": 300, "n_steps": 1}
    result = table9.FULL.adjusted({**settings, "norm_at": 2.0}).run(shared)
    row = result.rows[0]
    x = ac.datasets.load("mnist", "sample").images[:1]
    y = model(x).argmax(dim=1)
    smoothed = ac.SmoothedAttribution(ac.IntegratedGradients(model, n_steps=1), ac.UniformBall(9.0))
    radius = smoothed.min_noise_scale(x, y, claim=ac.Claim(eps=0.05, cosine=0.8), n_samples=300, seed=0)[0]
    assert row["uniform"] == pytest.approx(radius, rel=1e-6)
    assert row["uniform_found"] == row["gaussian_found"] == 1
    assert row["gaussian"] < row["uniform"]
    # The closed form by hand, from the norm at r = 2: D(eps) = 2p, and D = c sqrt(1 - T^2).
    c = direct(model, ac.UniformBall(2.0), n_samples=300).norm[0]
    half_chord = special.betaincinv(0.5, 785 / 2, c * math.sqrt(1 - 0.8**2) / 2) ** 0.5
    assert row["sound"] == pytest.approx(0.05 / (2 * half_chord), rel=1e-6)
    assert row["printed"] < row["sound"]


def test_what_is_not_found_is_a_dash(shared):
    """No average of so few draws proves anything."""
    row = {"uniform": None, "model": MODEL}
    assert to_markdown([row], [Column("uniform", "radius")]).splitlines()[-1] == "| - |"


def test_headings_of_a_table_differ():
    """Two alike would be one, and all cells beyond stand under another heading."""
    known = (module._COLUMNS for module in (claims, figure3, largest_eps, montecarlo, table4, table8, table9))
    for columns in known:
        assert len({column.title for column in columns}) == len(columns)
    with pytest.raises(ValueError, match="same heading"):
        to_markdown([{"a": 1, "b": 2}], [Column("a", "inputs"), Column("b", "inputs")])


def test_figure_3(shared):
    settings = {"inputs": 1, "n_steps": 1, "n_samples": 100, "steps": 2, "restarts": 1}
    result = figure3.FULL.adjusted(settings).run(shared)
    assert len(result.rows) == 1
    assert -1 <= result.rows[0]["plain_cosine"] <= 1
    assert 0 <= result.rows[0]["smoothed_top_k"] <= 1
    titles = [ax.get_title() for ax in result.figure.axes]
    assert titles == list(figure3._PICTURES.values())


REPEATED = montecarlo.RepeatedIntervals(
    model=MODEL, data="mnist:test[0:1]", seed=0, radius=3.5, n_steps=1, pool=300, counts=(100, 1_600),
    repeats=60, alpha=0.1, max_norm=None,
)  # fmt: skip


@pytest.fixture(scope="module")
def found():
    """Intervals of a small study."""
    return montecarlo.repeat(REPEATED)


class TestMonteCarlo:
    def test_truth_is_the_norm_of_the_pools_mean(self, found, model):
        smoothed = ac.SmoothedAttribution(ac.IntegratedGradients(model, n_steps=1), ac.UniformBall(3.5))
        x = ac.datasets.load("mnist", "sample").images[:1]
        other = smoothed.attribute(x, model(x).argmax(dim=1), n_samples=3_000, seed=7).norm()
        assert found["norm"] == pytest.approx(float(other), abs=0.01)

    def test_finite_sample_intervals_cover(self, found):
        for ends in found["finite"]:
            low, high = np.array(ends["low"]), np.array(ends["high"])
            assert ((low <= found["norm"]) & (found["norm"] <= high)).mean() >= 0.9

    def test_asymptotic_width_falls_with_the_root_of_n(self, found):
        few, many = (np.subtract(ends["high"], ends["low"]).mean() for ends in found["asymptotic"])
        assert few / many == pytest.approx(4, rel=0.1)

    def test_where_maps_differ_in_length_the_asymptotic_interval_fails_and_ours_does_not(self):
        """Their entries are correlated: all grow together (errata 5)."""
        found = montecarlo.repeat(dataclasses.replace(REPEATED, max_norm=5.0, counts=(1_000,)))
        covers = {
            law: np.mean([low <= found["norm"] <= high for low, high in zip(ends["low"], ends["high"], strict=True)])
            for law in ("asymptotic", "finite")
            for ends in found[law]
        }
        assert covers["finite"] >= 0.9
        assert covers["asymptotic"] < 0.8

    def test_table_and_picture_have_both_kinds_of_maps(self, tmp_path):
        settings = {"models": (MODEL,), "inputs": 1, "n_steps": 1}
        small = dataclasses.replace(montecarlo.QUICK.adjusted(settings), pool=50, counts=(20, 40), repeats=3)
        result = small.run(Bench(tmp_path))
        kinds = ["normalized", "clipped at 5.0"]
        assert [(row["maps"], row["n"]) for row in result.rows] == [(kind, n) for kind in kinds for n in (20, 40)]
        assert [ax.get_title() for ax in result.figure.axes[::2]] == [f"maps {kind}" for kind in kinds]
        assert [len(line.get_xdata()) for line in result.figure.axes[2].lines] == [2, 2]

    def test_an_interval_that_is_too_narrow_is_seen_not_to_cover(self, found):
        """The control: a tenth of the asymptotic interval around its middle."""
        ends = found["asymptotic"][1]
        middle = np.add(ends["low"], ends["high"]) / 2
        half = np.subtract(ends["high"], ends["low"]) / 20
        assert (np.abs(middle - found["norm"]) <= half).mean() < 0.8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Squared(Measurement):
    """Something to measure."""

    value: int


CALLS = []


def square(job):
    CALLS.append(job.value)
    return {"square": job.value**2}


class TestMeasure:
    @pytest.fixture
    def jobs(self):
        CALLS.clear()
        return [Squared(model=MODEL, data=data, seed=0, value=i) for i, data in enumerate(slices("mnist", 3))]

    def test_once(self, tmp_path, jobs):
        for _ in range(2):
            found = Bench(tmp_path).measure("squares", square, jobs)
            assert [one["square"] for one in found] == [0, 1, 4]
        assert CALLS == [0, 1, 2]

    def test_a_line_that_was_cut_off_is_measured_again(self, tmp_path, jobs):
        Bench(tmp_path).measure("squares", square, jobs)
        path = tmp_path / "measured" / "squares.jsonl"
        path.write_bytes(path.read_bytes()[:-7])
        assert [one["square"] for one in Bench(tmp_path).measure("squares", square, jobs)] == [0, 1, 4]
        assert CALLS == [0, 1, 2, 2]
        assert len([json.loads(line) for line in path.read_text().splitlines()]) == 3

    def test_a_line_that_is_no_result(self, tmp_path, jobs):
        Bench(tmp_path).measure("squares", square, jobs)
        path = tmp_path / "measured" / "squares.jsonl"
        path.write_text("nonsense\n" + path.read_text())
        with pytest.raises(IntegrityError, match="squares.jsonl, line 1: not a result"):
            Bench(tmp_path).measure("squares", square, jobs)

    def test_one_process_at_a_time(self, tmp_path, jobs):
        with Journal(tmp_path / "measured" / "squares.jsonl").writing(), pytest.raises(ArgumentError, match="another"):
            Bench(tmp_path).measure("squares", square, jobs)
        assert not CALLS

    def test_anything_that_decides_the_result_is_in_the_key(self, tmp_path, jobs, monkeypatch):
        Bench(tmp_path).measure("squares", square, jobs[:1])
        for name, value in {"model": "mnist-igr", "data": "mnist:test[5:6]", "seed": 1, "value": 7}.items():
            Bench(tmp_path).measure("squares", square, [dataclasses.replace(jobs[0], **{name: value})])
        monkeypatch.setattr(bench, "__version__", "other")
        Bench(tmp_path).measure("squares", square, jobs[:1])
        assert CALLS == [0, 0, 0, 0, 7, 0]

    def test_processes_give_the_same(self, tmp_path):
        jobs = [dataclasses.replace(REPEATED, data=data, repeats=2) for data in slices("mnist", 2)]
        one, two = (Bench(tmp_path / str(n), n).measure("montecarlo", montecarlo.repeat, jobs) for n in (1, 2))
        assert one == two


class TestTables:
    def test_bounds_are_rounded_to_the_safe_side(self):
        assert shown(0.29999) == "0.2999"
        assert shown(-0.00001) == "-0.0001"
        assert rounded(0.20001, 4, "up") == "0.2001"
        assert rounded(0.25, 1, "nearest") == "0.2"
        assert rounded(math.inf, 2, "up") == "inf"

    def test_csv_has_all_digits(self):
        rows = [{"a": 0.1 + 0.2, "b": None, "c": "x, y"}]
        text = to_csv(rows)
        back = next(csv.DictReader(text.splitlines()))
        assert float(back["a"]) == 0.1 + 0.2
        assert (back["b"], back["c"]) == ("", "x, y")

    def test_markdown(self):
        rows = [{"a": 0.12349, "b": 3}]
        text = to_markdown(rows, [Column("b", "count"), Column("a", "at least", 3, "down")])
        assert text == "| count | at least |\n| --- | --- |\n| 3 | 0.123 |\n"


class TestCommand:
    def test_writes_table_page_and_picture(self, tmp_path, capsys):
        command = [
            "reproduce",
            "table5",
            "--quick",
            "--out",
            str(tmp_path),
            "--inputs",
            "1",
            "--radii",
            "2",
            "--models",
        ]
        code = main([*command, MODEL, "--n-samples", "100", "--n-steps", "1"])
        assert code == 0
        out = capsys.readouterr().out
        assert "mnist-standard 0.9 2.0" in " ".join(out.split())
        page = (tmp_path / "table5.md").read_text()
        assert f"attricert reproduce table5 --quick --models {MODEL} --inputs 1 --radii 2.0" in page
        rows = list(csv.DictReader((tmp_path / "table5.csv").read_text().splitlines()))
        assert len(rows) == 2
        assert (tmp_path / "table5.png").read_bytes()[:4] == b"\x89PNG"
        assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
            f"{MODEL}-gaussian-2.0",
            f"{MODEL}-uniform-2.0",
        ]

    def test_a_claim_that_fails_gives_1(self, tmp_path, monkeypatch, capsys):
        failing = dataclasses.replace(
            experiments.Result("t", [{"a": 1}], [Column("a", "a")], montecarlo.Figure()), failures=("it does not hold",)
        )
        monkeypatch.setattr(table8.AttackedEps, "run", lambda *_: failing)
        assert main(["reproduce", "table8", "--quick", "--out", str(tmp_path)]) == 1
        assert "FAILED: it does not hold" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["table3"], "what='table3'"),
            (["table4", "--radii", "1"], "radii=(1.0,): is no setting of this experiment"),
            (["table5", "--workers", "0"], "workers=0"),
            (["table5", "--models", "nothing"], "model='nothing'"),
            (["table9", "--quick", "--inputs", "0"], "inputs=0: must be an integer >= 1"),
            (["table9", "--quick", "--inputs", "10001"], "inputs=10001: must be <= 10000, as many as there are in"),
            (["table9", "--quick", "--n_samples", "10"], "n_samples=10: must be an integer >= 100"),
            (["claims", "--n_steps", "0"], "n_steps=0: must be an integer >= 1"),
            (["table8", "--seed", "-1"], "seed=-1: must be an integer >= 0"),
            (["table5", "--radii", "0.5", "-1"], "radii=-1.0: must be a finite number > 0"),
        ],
    )
    def test_bad_input(self, arguments, said, tmp_path, capsys):
        assert main(["reproduce", *arguments, "--out", str(tmp_path / "out")]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_all_names_and_settings_exist(self):
        assert list(experiments.FULL) == list(experiments.QUICK)
        assert [type(one) for one in experiments.FULL.values()] == [type(one) for one in experiments.QUICK.values()]
        for one in experiments.FULL.values():
            one.adjusted({"inputs": 3, "seed": 1})
            with pytest.raises(ArgumentError, match="is no setting"):
                one.adjusted({"nonsense": 1})


def test_slices():
    assert slices("mnist", 2) == ["mnist:test[0:1]", "mnist:test[1:2]"]
    data = ac.datasets.parse(slices("mnist", 2)[1])
    assert torch.equal(data.images, ac.datasets.load("mnist", "sample").images[1:2])
