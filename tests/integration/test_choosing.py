"""What a plan says of a model: eps, likeness, classes and bounds on entries, against the truth."""

import dataclasses
import itertools
import json
import math
import shlex

import numpy as np
import pytest
import torch
from scipy.stats import norm

import attricert as ac
from attricert import datasets, plots
from attricert.cli.main import main
from attricert.planning import PlannedEntry, PlannedScale

SIGMA, N = 0.1, 3_000


def one_in_ten(certificate, eps):
    signs = (certificate.signs(eps) != 0).reshape(len(certificate), -1).mean(axis=1)
    return signs, certificate.top_k_overlap(eps, 78)


@pytest.mark.parametrize("max_entry", [None, 0.15])
def test_forecasts_of_entries_come_true(model, digits, max_entry):
    x, y = digits.images[:2], digits.labels[:2]
    plain = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(SIGMA))
    found = [f.clipped(max_entry) for f in plain.forecast(x, y, n_samples=400, seed=1, entries=True)]
    signs, top = zip(*(f.entries(0.01, 78, N) for f in found), strict=True)
    bounded = dataclasses.replace(plain, bound=ac.Normalize(max_entry=max_entry))
    certified = bounded.certify(x, y, n_samples=N, seed=0)
    np.testing.assert_allclose(signs, one_in_ten(certified, 0.01)[0], rtol=0.05)
    np.testing.assert_allclose(top, one_in_ten(certified, 0.01)[1], atol=0.1)
    np.testing.assert_allclose([f.max_eps(0.9, N) for f in found], certified.max_eps(0.9), rtol=0.15)


def test_entries_of_noise_alone_are_not_said_to_be_certain():
    blank = ac.wrap(lambda x, target: torch.sign(x))
    sm = ac.SmoothedAttribution(blank, ac.Gaussian(1.0), ac.Normalize(max_entry=0.1))
    (found,) = sm.forecast(torch.zeros(1, 400), n_samples=400, seed=0, entries=True)
    assert found.entries(0.1, 40, 10_000)[0] < 0.01
    assert (np.abs(sm.certify(torch.zeros(1, 400), n_samples=10_000, seed=0).signs(0.1)) > 0).mean() < 0.01


def test_draws_are_kept_where_they_are_asked_for(model, digits):
    sm = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(SIGMA))
    (none,) = sm.forecast(digits.images[:1], 7, n_samples=50, seed=0)
    assert none.rows is None
    with pytest.raises(ac.ArgumentError, match="draws must be kept for this; use entries=True"):
        none.clipped(0.1)
    (kept,) = sm.forecast(digits.images[:1], 7, n_samples=50, seed=0, entries=True)
    assert kept.rows.shape == (50, 784)
    assert (kept.norm, kept.max_eps(0.9, 5_000)) == (none.norm, none.max_eps(0.9, 5_000))


def test_likeness_is_that_of_the_smoothed_map():
    # E cos(k (x + a)) = exp(-k^2 sigma^2 / 2) cos(k x): the faster half of the entries is lost first.
    k, x = torch.tensor([1.0] * 20 + [12.0] * 20), torch.linspace(0.1, 3, 40)
    waves = ac.SmoothedAttribution(ac.wrap(lambda x, target: torch.cos(k * x)), ac.Gaussian(0.1), ac.Clip(10.0))
    (found,) = waves.forecast(x[None], n_samples=2_000, seed=0)
    plain = torch.cos(k * x).double()
    smoothed = torch.exp(-(k.double() ** 2) * 0.01 / 2) * plain
    true = float(smoothed @ plain / smoothed.norm() / plain.norm())
    assert 0.85 < true < 0.95
    assert found.likeness == pytest.approx(true, abs=0.01)
    random = ac.wrap(lambda x, target: x + torch.rand_like(x), random=True)
    (unknown,) = dataclasses.replace(waves, attribution=random).forecast(x[None], n_samples=50, seed=0)
    assert unknown.likeness is None


def linear(x):
    return torch.stack([x.sum(dim=1) / 4, -x.sum(dim=1) / 4], dim=1)  # 16 entries: a score's deviation is sigma


@pytest.mark.parametrize("noise", [ac.Gaussian(9.0), ac.UniformBall(9.0)])
def test_without_a_claim_scales_end_where_classes_are_lost(noise):
    x = torch.full((2, 16), 0.25) + torch.linspace(-2, 2, 16)  # score 1
    g = ac.wrap(lambda x, target: torch.tanh(x) + 1)
    found = ac.plan(g, x, [0, 0], classifier=linear, noise=noise, n_pilot=50, n_samples=2_000, seed=0)
    deviations = [float(noise.with_scale(row.scale).deviation(16)) for row in found.scales]
    kept = norm.cdf(1 / np.array(deviations))  # about, for the ball
    assert deviations == sorted(deviations)
    assert kept[0] > 0.99
    assert 0.53 < kept[-1] < 0.72
    assert found.claim is None
    assert found.best is max((row for row in found.scales if row.kept == 2), key=lambda row: row.least_max_eps)
    assert [row.samples_needed for row in found.scales] == [2_000] * 7
    nowhere = ac.plan(g, x, noise=noise, n_pilot=50, n_samples=500, seed=0, entries=False)
    middle = noise.with_scale(nowhere.scales[-2].scale).deviation(16)
    assert middle == pytest.approx(float(x.std(correction=0)), rel=0.05)
    assert (nowhere.entries, nowhere.max_entry, nowhere.entries_eps) == ((), None, None)


def test_the_chosen_bound_makes_most_of_other_inputs_certain(model, digits):
    g = ac.Saliency(model)
    found = ac.plan(g, digits.images[:2], digits.labels[:2], scales=[SIGMA], n_pilot=300, n_samples=N, seed=0)
    assert found.entries_eps == 0.01
    assert found.entries[0].max_entry is None
    assert found.best_entry.signs > 1.3 * found.entries[0].signs
    others = digits.images[10:12], digits.labels[10:12]
    with_it, without = (
        ac.SmoothedAttribution(g, ac.Gaussian(SIGMA), ac.Normalize(max_entry=bound)).certify(
            *others, n_samples=N, seed=0
        )
        for bound in (found.max_entry, None)
    )
    for better, plain in zip(one_in_ten(with_it, 0.01), one_in_ten(without, 0.01), strict=True):
        assert (better > 1.2 * plain).all()
    assert (with_it.max_eps(0.9) > 0.85 * without.max_eps(0.9)).all()


def entry(bound, signs, top, eps, reached=2):
    return PlannedEntry(bound, reached, signs, top, eps, eps)


def test_the_bound_is_chosen_by_its_rule():
    row = PlannedScale(0.1, 2, 500, 1.0, 0.7, 0.1, 0.1, 0.1)
    plan = ac.Plan(None, ac.Gaussian(1.0), 2, 1_000, (row,))
    assert (plan.best_entry, plan.max_entry) == (None, None)
    some = [entry(None, 0.2, 0.1, 0.1), entry(0.3, 0.5, 0.6, 0.095), entry(0.2, 0.9, 0.4, 0.0901)]
    assert dataclasses.replace(plan, entries=tuple(some)).max_entry == 0.2
    for worse in (entry(0.1, 1.0, 1.0, 0.089), entry(0.1, 1.0, 1.0, 0.2, reached=1)):
        assert dataclasses.replace(plan, entries=(*some, worse)).max_entry == 0.2
    assert dataclasses.replace(plan, entries=(some[0], entry(0.1, 0.1, 0.1, 0.1))).max_entry is None
    assert "max_entry=0.2" in repr(dataclasses.replace(plan, entries=tuple(some)))


def test_a_plan_in_a_notebook_tells_of_entries():
    row = PlannedScale(0.1, 2, 500, 1.0, 0.7, 0.1, 0.1, 0.1, likeness=0.87654)
    some = (entry(None, 0.2, 0.1, 0.1), entry(0.2, 0.98765, 0.4, 0.1))
    page = ac.Plan(None, ac.Gaussian(1.0), 2, 1_000, (row,), entries=some, entries_eps=0.01)._repr_html_()
    assert "eps at a cosine of 0.9 under Gaussian noise" in page
    assert "<td>0.876</td>" in page or "<strong>0.876</strong>" in page
    assert "<strong>98.7%</strong>" in page
    assert "certify other inputs than these" in page


def test_only_a_claim_or_a_cosine(model, digits):
    one = digits.images[:1], digits.labels[:1]
    with pytest.raises(ac.ArgumentError, match=r"cosine=0\.8: must be left out where a claim has one"):
        ac.plan(ac.Saliency(model), *one, claim=ac.Claim(eps=0.1, cosine=0.9), cosine=0.8)
    with pytest.raises(ac.ArgumentError, match=r"cosine=2"):
        ac.plan(ac.Saliency(model), *one, cosine=2)


def test_options_of_certificates_are_those_of_the_plan(model, digits):
    sm = ac.SmoothedAttribution(ac.Saliency(model), ac.Gaussian(1.0))
    one = digits.images[:1], digits.labels[:1]
    settings = {"scales": [0.1], "n_pilot": 50}
    some = ac.Options(n_samples=500, seed=0, prove=["top_variance"], stop_at=ac.Claim(eps=0.03, cosine=0.9))
    found = sm.plan_with(some, *one, **settings)
    assert found.claim == some.stop_at
    assert (found.entries, found.scales[0].kept) == ((), None)
    bounded = dataclasses.replace(sm, bound=ac.Normalize(max_entry=0.2))
    assert bounded.plan(*one, n_samples=500, seed=0, **settings).entries == ()


def test_data_beyond_the_first():
    assert datasets.beyond("mnist:test[0:100]", 4) == "mnist:test[4:100]"
    assert datasets.beyond("mnist:test[7:]", 4) == "mnist:test[11:]"
    assert datasets.beyond("mnist:test", 4) == "mnist:test[4:]"
    assert datasets.beyond("mnist:test[0:4]", 4) is None
    assert datasets.beyond("images/", 4) is None


def test_a_picture_of_a_plan_shows_what_it_says():
    rows = (
        PlannedScale(0.2, 2, 1, 1.0, 0.7, 0.03, 0.04, 0.05, 1, 0.6, 0.7),
        PlannedScale(0.1, 2, 1, 1.0, 0.7, 0.02, 0.025, 0.03, 2, 0.9, 0.8),
    )
    plan = ac.Plan(ac.Claim(eps=0.01, cosine=0.9), ac.Gaussian(1.0), 2, 1_000, rows)
    sizes, shares = plots.plan(plan).axes
    drawn = {line.get_label(): np.asarray(line.get_ydata()).tolist() for ax in (sizes, shares) for line in ax.lines}
    assert drawn["least of 2 inputs, 1,000 samples"] == [0.02, 0.03]
    assert drawn["their mean"] == [0.025, 0.04]
    assert drawn["least, with very many samples"] == [0.03, 0.05]
    assert drawn["likeness to the map without noise, least"] == [0.8, 0.7]
    assert drawn["noisy copies in the explained class, mean"] == [0.9, 0.6]
    (chosen,) = (line for line in sizes.lines if line.get_label() == "chosen")
    assert chosen.get_xdata()[0] == 0.1
    (lost,) = (patch for patch in sizes.patches if patch.get_label() == "some class not kept")
    left, right = lost.get_extents().transformed(sizes.transData.inverted()).intervalx
    assert left == pytest.approx(math.sqrt(0.02))
    assert right >= 0.2
    bare = dataclasses.replace(plan, claim=None, scales=(PlannedScale(0.1, 0, None, None, 0.0, 0.0, 0.0, 0.0),))
    assert len(plots.plan(bare).axes) == 2
    for wrong in (dataclasses.replace(plan, scales=()), "plan"):
        with pytest.raises(ac.ArgumentError, match="must be a Plan of at least one scale"):
            plots.plan(wrong)


PLAN = ["plan", "--model", "mnist-standard", "--n_pilot", "60", "--n_samples", "600"]


def test_the_command_that_a_plan_prints_does_what_it_says(capsys, tmp_path):
    more = [
        "--data",
        "mnist:test[0:3]",
        "--inputs",
        "2",
        "--scales",
        "0.1",
        "--alpha",
        "0.01",
        "--no_preflight",
        "--channels_last",
        "false",
    ]
    assert main([*PLAN, *more, "--picture", str(tmp_path / "plan.png")]) == 0
    out = capsys.readouterr().out
    words = shlex.split(next(line for line in out.splitlines() if "attricert certify" in line).partition("certify ")[2])
    flags = dict(itertools.pairwise(words))
    assert flags["--data"] == "mnist:test[2:3]"
    assert (flags["--sigma"], flags["--n_samples"], flags["--alpha"]) == ("0.1", "600", "0.01")
    assert "--no_preflight" in words
    assert flags["--channels_last"] == "false"
    assert "--seed" not in words
    assert f"{flags['--max_entry']} " in out.partition("bounds on entries")[2]
    assert (tmp_path / "plan.png").read_bytes()[:4] == b"\x89PNG"
    assert main(["certify", *words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["terms"]["max_entry"] == float(flags["--max_entry"])
    assert {f"signs_eps_{eps}" for eps in (0.01, 0.025, 0.05)} <= set(printed["rows"][0])


def test_what_a_plan_takes_of_certify_counts(capsys):
    data = ["--data", "mnist:sample[0:1]"]
    assert main([*PLAN, *data, "--sigma", "0.1", "--max_entry", "0.2", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [row["scale"] for row in plan["rows"]] == [0.1]
    assert (plan["entries"], plan["max_entry"]) == ([], None)
    assert (plan["workload"]["inputs"], plan["workload"]["n_samples"]) == (1, 600)
    assert main([*PLAN, *data, "--sigma", "0.1", "--maps", "drop", "--target", "3"]) == 1
    out = capsys.readouterr().out
    assert "leaves the smoothed model the explained class" in out
    assert "1 input of" not in out  # of a scale that will not do
    assert main([*PLAN, *data, "--sigma", "0.1", "--max_entry", "0.2"]) == 0
    out = capsys.readouterr().out
    assert "--max_entry 0.2" in out
    assert out.splitlines()[-1].startswith("1 input of 600 samples: ")
    assert main([*PLAN, *data, "--scales", "0.1"]) == 0
    assert "a certificate of an input that it was chosen on is void" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--sigma", "0.1", "--scales", "0.2"], "must be left out where sigma is given"),
        (["--radius", "0.1", "--method", "printed"], "cannot be planned for"),
        (["--picture", "plan.gif"], "must end in .png, .pdf, .svg"),
        (["--inputs", "0"], "inputs=0: must be an integer >= 1"),
        (["--n_pilot", "5"], "n_pilot=5: must be an integer >= 50"),
        (["--scales", "0.1", "0"], "scales=0.0: must be a finite number > 0"),
        (["--cosine", "1"], "cosine=1.0: must be > 0 and < 1"),
        (["--target", "cat"], "must be predicted, label, none, or a class number"),
    ],
)
def test_what_makes_no_sense_gets_one_line(capsys, wrong, message):
    assert main([*PLAN, "--data", "mnist:sample[0:1]", *wrong]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "--target" in wrong or "data: " not in err  # else found before anything is read
