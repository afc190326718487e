"""Tables: what is held fixed, that models get their own rows, and that what is certified holds."""

import json
import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import attricert as ac

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    shap = pytest.importorskip("shap", reason="shap is not installed")
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    ensemble = pytest.importorskip("sklearn.ensemble", reason="scikit-learn is not installed")
    import matplotlib

    matplotlib.use("Agg")

NOISE = ac.Gaussian(sigma=0.3)


def loans(n=200, seed=0):
    """Somebody's loans: two amounts, a count, a flag, a category and a text."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "income": rng.lognormal(8, 0.5, n),
            "debt": rng.gamma(2.0, 500.0, n).astype(np.float32),
            "age": rng.integers(18, 80, n),
            "owner": rng.random(n) < 0.5,
            "purpose": pd.Categorical(rng.choice(["car", "house", "study"], n)),
            "region": rng.choice(["north", "south"], n),
        }
    )
    odds = rows.income / 3000 - rows.debt / 900 + 0.8 * (rows.purpose == "house") + 0.5 * rows.owner
    return rows, (odds + rng.normal(0, 0.3, n) > odds.median()).astype(int).to_numpy()


def coded(rows):
    return rows.assign(region=rows.region.astype("category"))


@pytest.fixture(scope="module")
def boosted():
    rows, labels = loans()
    rows = coded(rows)
    model = xgboost.XGBClassifier(n_estimators=8, max_depth=3, n_jobs=1, enable_categorical=True).fit(rows, labels)
    return model, rows


@pytest.fixture(scope="module")
def numeric():
    rng = np.random.default_rng(1)
    rows = rng.normal(3.0, [1.0, 2.0, 0.5, 4.0], (150, 4))
    labels = (rows[:, 0] - rows[:, 1] / 2 + rows[:, 2] > 3).astype(int)
    return rows, labels


def test_what_is_continuous_is_taken_in_standard_deviations_and_all_else_is_held_fixed(boosted):
    table = ac.tabular.Standardized(*boosted)
    assert table.free == ("income", "debt")
    assert table.fixed.tolist() == [False, False, True, True, True, True]
    inputs = table.inputs(boosted[1])
    for j, name in enumerate(table.free):
        values = boosted[1][name].to_numpy(dtype=float)
        torch.testing.assert_close(inputs[:, j], torch.from_numpy((values - values.mean()) / values.std()))
    assert inputs[:, 2].tolist() == boosted[1].age.tolist()


def test_floats_that_count_and_constants_are_held_fixed_unless_names_say_otherwise():
    rows, _ = loans()
    rows = rows.assign(rank=np.arange(200) % 5.0, same=1.5)[["income", "rank", "same", "age"]]
    assert ac.tabular.TableColumns.of(rows, None, None).fixed.tolist() == [False, True, True, True]
    assert ac.tabular.TableColumns.of(rows, None, ["same"]).fixed.tolist() == [False, False, True, False]
    with pytest.raises(ac.ArgumentError, match="'same'.*is constant"):
        ac.tabular.TableColumns.of(rows, None, ["rank"])


def test_models_get_rows_of_the_types_that_they_know():
    rows, _ = loans()
    columns = ac.tabular.TableColumns.of(rows, None, None)
    back = columns.table(columns.raw(columns.standardized(columns.numbers(rows))))
    assert back.dtypes.to_dict() == rows.dtypes.to_dict()
    pd.testing.assert_frame_equal(back, rows, check_exact=False, rtol=1e-6)
    pd.testing.assert_frame_equal(
        back[["age", "owner", "purpose", "region"]], rows[["age", "owner", "purpose", "region"]]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.assign(income=r.income.where(r.index != 3)), "row 3, column income.*is missing"),
        (lambda r: r.assign(region=r.region.where(r.index != 2)), "row 2, column region.*is missing"),
        (lambda r: r.assign(region="west"), "'west'.*no such value"),
        (lambda r: r.assign(income=np.inf), "must be finite"),
        (lambda r: r.rename(columns={"income": "incom"}), "did you mean 'incom'"),
        (lambda r: r.to_numpy(), "must be a data frame"),
        (lambda r: r[["income", "debt", "owner", "purpose", "region"]], "column age must be there too$"),
        (lambda r: r[["income"]], "columns debt, age, owner, purpose, region must be there too$"),
        (lambda r: r.iloc[0], r"Series of 6 values.*frame.iloc\[\[0\]\]"),
    ],
)
def test_rows_that_do_not_fit_are_refused_in_one_line(change, message):
    rows, _ = loans()
    columns = ac.tabular.TableColumns.of(rows, None, None)
    with pytest.raises(ac.ArgumentError, match=message):
        columns.numbers(change(rows))


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (np.ones((5, 2), dtype=int), {}, "has no column that is continuous"),
        (np.zeros(4), {}, "must be a data frame, or an array"),
        (np.random.default_rng(0).random((5, 2)), {"columns": ["a"]}, "must be one for each of 2"),
        (np.random.default_rng(0).random((5, 2)), {"fixed_columns": ["b"]}, "must be one of"),
        (np.random.default_rng(0).random((5, 2)), {"classifier": 3}, "must have predict_proba"),
        (pd.Series([0.5, 1.5]), {}, "must be a data frame"),
        (pd.DataFrame(np.random.default_rng(0).random((5, 2))), {}, "must be named by texts"),
        (pd.DataFrame({"a": [1.5, None]}), {}, "row 1, column a.*is missing"),
    ],
)
def test_reference_tables_that_do_not_fit_are_refused(data, settings, message):
    with pytest.raises(ac.ArgumentError, match=message):
        ac.tabular.Standardized(lambda rows: rows, data, **settings)


def test_maps_are_the_explainers_own(boosted):
    model, rows = boosted
    table = ac.tabular.Standardized(shap.TreeExplainer(model), rows, classifier=model)
    inputs = table.inputs(rows[:20])
    own = shap.TreeExplainer(model).shap_values(rows[:20])
    torch.testing.assert_close(table(inputs, None), torch.from_numpy(own).double(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(table(inputs, torch.zeros(20, dtype=int)), -table(inputs, 1))
    np.testing.assert_allclose(table.model(inputs), model.predict_proba(rows[:20]), rtol=1e-5)


def test_of_several_outputs_one_is_explained(numeric):
    rows, labels = numeric
    forest = ensemble.RandomForestClassifier(5, max_depth=3, random_state=0).fit(rows, labels)
    table = ac.tabular.Standardized(forest, rows)
    own, inputs = shap.TreeExplainer(forest).shap_values(rows[:6]), table.inputs(rows[:6])
    for target in (0, 1):
        np.testing.assert_allclose(table(inputs, target), own[:, :, target], atol=1e-9)
    assert table.targets(inputs).tolist() == forest.predict(rows[:6]).tolist()
    with pytest.raises(ac.ArgumentError, match="several outputs"):
        table(inputs, None)
    with pytest.raises(ac.ArgumentError, match="from 0 to 1"):
        table(inputs, 2)


def test_noise_touches_continuous_columns_alone_and_terms_say_so(boosted):
    model, rows = boosted
    seen = []

    def predict(given):
        seen.append(given)
        return model.predict_proba(given)

    table = ac.tabular.Standardized(shap.TreeExplainer(model), rows, classifier=predict)
    certificate = table.certify(rows[:2], noise=NOISE, n_samples=300, seed=0)
    assert certificate.terms.dimension == 2
    assert "4 entries held fixed" in certificate.terms.about
    assert (certificate.prediction >= 0).all()
    given = pd.concat(seen)
    assert given.income.nunique() > 300
    kept = rows[:2][["age", "owner", "purpose", "region"]].drop_duplicates()
    assert len(given[kept.columns].drop_duplicates().merge(kept)) == len(kept)


def test_intervals_hold_for_a_linear_model_whose_shap_values_are_known(numeric):
    rows, labels = numeric
    model = linear_model.LogisticRegression().fit(rows, labels)
    table = ac.tabular.Standardized(model, rows)
    assert "LinearExplainer" in repr(table)
    weights, mean, std = model.coef_[0], rows.mean(axis=0), rows.std(axis=0)
    background = np.asarray(table.explaining.explainer.masker.data).mean(axis=0)
    bound = ac.Clip(50.0, 20.0)  # so wide that nothing is clipped: h is linear, too
    certificate = table.certify(rows[:5], noise=NOISE, bound=bound, n_samples=2_000, seed=0)
    eps = 0.1
    low, high = certificate.intervals(eps)
    stays, signs = certificate.top_k_stable(eps, 2, absolute=True), certificate.signs(eps)
    worst = np.concatenate([np.eye(4), -np.eye(4), np.full((1, 4), 0.5)]) * eps
    for step in worst:
        values = weights * (rows[:5] + step * std - background)
        assert ((low <= values) & (values <= high)).all()
        assert (values * signs >= 0).all()
        top = np.argsort(-np.abs(values), axis=1)[:, :2]
        assert (np.take_along_axis(stays, top, axis=1).sum(axis=1) == stays.sum(axis=1)).all()
    assert signs.any()
    assert mean.shape == (4,)


def test_the_bound_is_as_large_as_maps_of_the_reference_table_get(boosted):
    table = ac.tabular.Standardized(*boosted)
    maps = shap.TreeExplainer(boosted[0]).shap_values(boosted[1])
    bound = table.bound()
    norm = np.linalg.norm(maps, axis=1).max()
    assert norm <= bound.max_norm * (1 + 1e-5) <= 1.2 * norm
    assert np.abs(maps).max() <= bound.max_entry * (1 + 1e-5) <= 1.2 * np.abs(maps).max()


def test_results_by_column_and_as_shap_draws_them(boosted):
    model, rows = boosted
    table = ac.tabular.Standardized(model, rows)
    certificate = table.certify(rows[:3], noise=NOISE, n_samples=1_000, seed=0)
    top = table.top(certificate, k=3, eps=0.02)
    assert top.groupby("row").size().tolist() == [3, 3, 3]
    low, high = certificate.intervals(0.02)
    for line in top.itertuples():
        j = table.names.index(line.column)
        assert line.value == certificate.maps[line.row, j]
        assert (line.lower, line.upper) == (low[line.row, j], high[line.row, j])
        assert line.sign == ("+" if line.lower > 0 else "-" if line.upper < 0 else "")
    found = table.explanation(certificate, rows[:3], eps=0.02)
    assert found.feature_names == list(table.names)
    assert (found[1].lower_bounds <= found[1].values).all()
    assert (found[1].upper_bounds >= found[1].values).all()
    np.testing.assert_allclose(found.base_values, shap.TreeExplainer(model)(rows[:3]).base_values, rtol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shap.plots.waterfall(found[1], show=False)
    matplotlib.pyplot.close("all")
    page = table.page(certificate, rows[:3], eps=(0.02,))
    assert "4 are held fixed (age, owner, purpose, region)" in page
    assert "4 held fixed: age, owner, purpose, region" in page
    assert "standard deviations" in page
    with pytest.raises(ac.ArgumentError, match="must be those of the certificate"):
        table.explanation(certificate, rows[:2], eps=0.02)


def test_certificates_of_something_else_get_no_names_of_columns(boosted, numeric):
    other = ac.tabular.Standardized(linear_model.LogisticRegression().fit(*numeric), numeric[0])
    certificate = other.certify(numeric[0][:2], noise=NOISE, n_samples=200, seed=0)
    square = ac.SmoothedAttribution(ac.wrap(lambda x, target: x), NOISE).certify(torch.rand(2, 2, 2), n_samples=200)
    table, rows = ac.tabular.Standardized(*boosted), boosted[1][:2]
    for one, named, given in ((certificate, table, rows), (square, other, numeric[0][:2])):
        for call in (
            lambda one=one, named=named: named.top(one, k=2, eps=0.01),
            lambda one=one, named=named, given=given: named.explanation(one, given, eps=0.01),
            lambda one=one, named=named, given=given: named.page(one, given),
        ):
            with pytest.raises(ac.ArgumentError, match=f"certificate=.*must be of rows.*{len(named.names)} columns"):
                call()


def test_explainers_that_sample_are_called_row_by_row_with_numbers_of_their_own(numeric):
    rows, labels = numeric
    model = linear_model.LogisticRegression().fit(rows, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernel = shap.KernelExplainer(lambda x: model.predict_proba(x)[:, 1], rows[:5])
    table = ac.tabular.Standardized(kernel, rows)
    assert table.random
    assert not ac.tabular.Standardized(lambda x: model.predict_proba(x), rows).random  # exact up to ten columns
    certificate = table.certify(rows[:1], noise=NOISE, bound=ac.Clip(1.0), n_samples=100, seed=0)
    assert certificate.terms.random


def test_a_bare_function_of_rows_gets_an_explainer(numeric):
    rows, labels = numeric
    model = linear_model.LogisticRegression().fit(rows, labels)
    table = ac.tabular.Standardized(model.predict_proba, rows, columns=["a", "b", "c", "d"])
    assert repr(table) == "Standardized(ExactExplainer of 4 columns)"
    values, base = table.explaining(rows[:3])
    np.testing.assert_allclose(values.sum(axis=1) + base, model.predict_proba(rows[:3]), atol=1e-6)


def failing(rows):
    raise KeyError("incom")


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (failing, ac.CallError, "explainer .* failed on inputs .*incom"),
        (ensemble.RandomForestClassifier().predict_proba, ac.CallError, "is not fitted"),
        (lambda rows: 0.5, ac.ArgumentError, r"explainer='a function that gave shape \(\)'.*a number a row"),
        (lambda rows: np.zeros(len(rows) + 1), ac.ArgumentError, "a number a row"),
    ],
)
def test_functions_of_rows_that_fail_are_told_in_one_line(function, error, message, numeric):
    with pytest.raises(error, match=message):
        ac.tabular.Standardized(function, numeric[0]).certify(numeric[0][:2], noise=NOISE, n_samples=100)


def test_what_takes_no_rows_of_a_table_is_refused(numeric):
    with pytest.raises(ac.ArgumentError, match="explainer='Linear'.*torch module.*Saliency.*function of rows"):
        ac.tabular.Standardized(nn.Linear(4, 2), numeric[0])
    with pytest.raises(ac.ArgumentError, match="classifier='Linear'.*must have predict_proba, or be a function"):
        ac.tabular.Standardized(lambda rows: rows[:, 0], numeric[0], classifier=nn.Linear(4, 2))


@pytest.mark.parametrize("kind", ["array", "frame"])
def test_arrays_and_data_frames_go_through_wrap(kind, numeric):
    rows = numeric[0][:2] if kind == "array" else pd.DataFrame(numeric[0][:2])
    g = ac.wrap(lambda x, target: pd.DataFrame(x) if kind == "frame" else x, numpy=True)
    certificate = ac.SmoothedAttribution(g, NOISE).certify(rows, n_samples=200, seed=0)
    assert certificate.maps.shape == (2, 4)


class Steps(nn.Module):
    """As trees are: constant but for jumps."""

    def forward(self, x):
        return torch.round(x).flatten(1)[:, :3]


def test_gradients_of_steps_are_zero_and_a_warning_says_why():
    sm = ac.SmoothedAttribution(ac.Saliency(Steps().eval()), NOISE)
    with pytest.warns(ac.ZeroMapsWarning, match="steps.*SHAP"):
        certificate = sm.certify(torch.rand(1, 5), 0, n_samples=200, seed=0)
    assert not certificate.certified(0.01).any()


CODE = """
import numpy as np
import xgboost
import attricert as ac

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(120, 3))

def model():
    labels = (ROWS[:, 0] > ROWS[:, 1]).astype(int)
    return xgboost.XGBClassifier(n_estimators=5, max_depth=2, n_jobs=1).fit(ROWS, labels)

def explainer(model):
    return ac.tabular.Standardized(model, ROWS, columns=["a", "b", "c"])
"""


def test_a_table_is_certified_verified_and_reported_by_command_line(tmp_path, capsys):
    from attricert.cli.main import main

    (tmp_path / "mine.py").write_text(CODE)
    rows = np.random.default_rng(1).normal(size=(3, 3))
    pd.DataFrame(rows, columns=["a", "b", "c"]).assign(y=[0, 1, 0]).to_csv(tmp_path / "rows.csv", index=False)
    own = ["--model", f"{tmp_path}/mine.py:model", "--attribution", f"{tmp_path}/mine.py:explainer"]
    data = ["--data", f"{tmp_path}/rows.csv", "--label_column", "y"]
    how = ["--sigma", "0.3", "--bound", "clip", "--max_norm", "3", "--n_samples", "500", "--seed", "1"]
    assert main(["certify", *own, *data, *how, "--out", f"{tmp_path}/run"]) == 0
    assert "standard deviations" in capsys.readouterr().out
    assert main(["verify", f"{tmp_path}/run", "--trust-code"]) == 0
    assert "MISMATCH" not in capsys.readouterr().out
    assert main(["report", f"{tmp_path}/run", "--trust-code"]) == 0
    other = pd.DataFrame(rows, columns=["b", "a", "c"]).assign(y=0)
    other.to_csv(tmp_path / "rows.csv", index=False)
    assert main(["certify", *own, *data, *how, "--out", f"{tmp_path}/other"]) != 0
    assert "in this order: a, b, c" in capsys.readouterr().err


def test_claim_and_pictures_of_a_run_call_columns_by_their_names(tmp_path, monkeypatch):
    from attricert.cli import pictures
    from attricert.cli.main import main

    drawn = []

    def certified(*given):
        drawn.append(ac.plots.certified(*given))

    monkeypatch.setattr(pictures, "certified", certified)

    (tmp_path / "mine.py").write_text(CODE.replace('"c"])', '"c"], fixed_columns=["b"])'))
    rows = pd.DataFrame(np.random.default_rng(1).normal(size=(1, 3)), columns=["a", "b", "c"])
    rows.assign(y=0).to_csv(tmp_path / "rows.csv", index=False)
    own = ["--model", f"{tmp_path}/mine.py:model", "--attribution", f"{tmp_path}/mine.py:explainer"]
    data = ["--data", f"{tmp_path}/rows.csv", "--label_column", "y"]
    how = ["--sigma", "0.3", "--bound", "clip", "--max_norm", "3", "--n_samples", "500", "--seed", "1"]
    assert main(["certify", *own, *data, *how, "--out", f"{tmp_path}/run"]) == 0
    (figure,) = drawn
    assert [tick.get_text() for tick in figure.axes[1].get_xticklabels()] == ["a", "b", "c"]
    assert "1 is held fixed (b)" in " ".join((tmp_path / "run" / "claim.txt").read_text().split())


def test_doctor_looks_at_tables_in_standard_deviations(tmp_path, capsys):
    from attricert.cli.main import main

    # A column in thousands and one that is held fixed: neither is a measure of the noise.
    code = CODE.replace("size=(120, 3))", "size=(120, 3)) * [1000, 1, 1]\nROWS[:, 2] = np.arange(120) % 5 * 500")
    (tmp_path / "mine.py").write_text(code)
    rng = np.random.default_rng(1)
    rows = np.stack([1000 * rng.normal(size=8), rng.normal(size=8), 500.0 * (np.arange(8) % 5)], axis=1)
    pd.DataFrame(rows, columns=["a", "b", "c"]).assign(y=0).to_csv(tmp_path / "rows.csv", index=False)
    own = ["--model", f"{tmp_path}/mine.py:model", "--attribution", f"{tmp_path}/mine.py:explainer"]
    main(["doctor", *own, "--data", f"{tmp_path}/rows.csv", "--label_column", "y", "--json"])
    found = json.loads(capsys.readouterr().out)
    seen = {one["name"]: one for one in found["findings"]}
    reference = np.random.default_rng(0).normal(size=(120, 3))[:, :2] * [1000, 1]
    inputs = (rows[:4, :2] - reference.mean(axis=0)) / reference.std(axis=0)
    assert f"Gaussian(sigma={inputs.std() / 4:.2g})" in seen["noise"]["seen"]
    assert "standard deviations" in seen["input range"]["meaning"]
    assert seen["fixed entries"]["seen"] == "1 of 3"
    assert not [one for one in found["findings"] if one["status"] == "problem"]


def test_the_example_runs(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    found = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "tabular.py"))
    found["main"](rows=2, n_samples=500, out=str(tmp_path / "page.html"))
    assert "worst" in capsys.readouterr().out
    assert "standard deviations" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_attacks_touch_continuous_columns_alone_and_cross_nothing(boosted):
    model, rows = boosted
    table = ac.tabular.Standardized(model, rows)
    smoothed, inputs, eps = table.smoothed(NOISE), table.inputs(rows[:3]), 0.1
    certificate = smoothed.certify(inputs, n_samples=1_000, seed=0)
    attack = ac.attacks.RandomNoise(trials=4)
    found = attack.run(
        smoothed, inputs, eps=eps, keep_label=False, data_range=None, n_samples=500, n_compared=64, seed=0
    ).inputs
    assert torch.equal(found[:, 2:], inputs[:, 2:])
    assert (found[:, :2] != inputs[:, :2]).all()
    maps = smoothed.attribute(found, n_samples=4_000, seed=1).numpy()
    low, high = certificate.intervals(eps)
    slack = 5 * certificate.terms.max_entry / np.sqrt(4_000)
    assert ((low - slack <= maps) & (maps <= high + slack)).all()


def test_fingerprints_of_black_boxes_are_those_of_what_they_consist_of(numeric):
    from attricert.runs.black_box import as_module
    from attricert.runs.fingerprint import model_digest

    rows, labels = numeric

    def digest(model):
        fitted = model.fit(rows, labels)
        found = model_digest(as_module(fitted, "mine"))
        fitted.predict_proba(rows)
        assert model_digest(as_module(fitted, "mine")) == found
        return found

    for make in (
        lambda seed: ensemble.RandomForestClassifier(3, max_depth=3, random_state=seed),
        lambda seed: xgboost.XGBClassifier(n_estimators=3, subsample=0.5, n_jobs=1, random_state=seed),
        lambda seed: linear_model.LogisticRegression(C=1.0 + seed),
    ):
        assert digest(make(0)) == digest(make(0)) != digest(make(1))
    with pytest.raises(ac.ArgumentError, match="must be a torch.nn.Module, or have predict_proba"):
        as_module(3, "mine")
