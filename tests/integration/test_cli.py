"""The command line, in process but for one real command."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

import attricert as ac
from attricert.cli.main import main
from attricert.report import shown

CERTIFY = ["certify", "--model", "mnist-standard", "--data", "mnist:test[0:3]", "--radius", "3.5", "--n-samples", "300"]


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def fails(capsys, *arguments):
    """The single line that a bad call prints."""
    try:
        code = main(list(arguments))
    except SystemExit as error:
        code = error.code
    assert code == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = [line for line in err.splitlines() if line.strip()]
    assert not any(Path().iterdir())
    return line


def test_certify_writes_what_it_prints(capsys):
    arguments = [*CERTIFY, "--seed", "5", "--out", "run", "--eps", "0.01", "0.04", "--cosine", "0.9", "--json"]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    table = pq.read_table("run/results.parquet")
    assert table.to_pylist() == printed["rows"]
    row = printed["rows"][1]
    assert (row["id"], row["label"], row["prediction"]) == ("mnist:test:1", 2, 2)
    assert row["cosine_eps_0.01"] > row["cosine_eps_0.04"] > 0.9
    assert json.loads(table.schema.metadata[b"attricert"])["config"]["n_samples"] == 300
    assert json.loads(table.schema.metadata[b"attricert.shares"]) == printed["summary"]["shares"]
    assert [(s["eps"], s["cosine"]) for s in printed["summary"]["shares"]] == [(0.01, 0.9), (0.04, 0.9)]
    certificate = ac.runs.load("run")
    assert json.loads(certificate.terms.to_json()) == printed["terms"]
    assert {"norm", "entries", "prediction"} <= set(printed["terms"]["ledger"]["shares"])
    np.testing.assert_array_equal(certificate.max_eps(0.9), [r["max_eps_cosine_0.9"] for r in printed["rows"]])
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert (config["seed"], config["n_samples"], config["eps"]) == (5, 300, [0.01, 0.04])


def test_the_written_config_repeats_the_run(capsys):
    assert main([*CERTIFY, "--out", "a"]) == 0
    assert main(["certify", "--config", "a/config.yaml", "--out", "b"]) == 0
    assert pq.read_table("a/results.parquet").equals(pq.read_table("b/results.parquet"))


def test_another_run_is_refused_with_the_difference(capsys):
    assert main([*CERTIFY, "--seed", "5", "--out", "run"]) == 0
    before = {path: path.read_bytes() for path in sorted(Path("run").rglob("*")) if path.is_file()}
    assert main([*CERTIFY, "--out", "run", "--seed", "9", "--n-samples", "400"]) == 2
    assert "holds a run of something else (n_samples: 300 -> 400; seed: 5 -> 9)" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in sorted(Path("run").rglob("*")) if path.is_file()} == before


def test_the_table_rounds_down(capsys):
    assert main([*CERTIFY, "--seed", "5", "--out", "run", "--cosine", "0.9"]) == 0
    out = capsys.readouterr().out
    exact = pq.read_table("run/results.parquet").to_pylist()[0]["max_eps_cosine_0.9"]
    cell = next(line for line in out.splitlines() if "mnist:test:0" in line).split()[-1]
    assert float(cell) <= exact < float(cell) + 1e-4
    assert "sound lower bounds for UniformBall(radius=3.5)" in " ".join(out.split())


@pytest.mark.parametrize("value", [0.56289999999999996, 0.0551, 0.999999, 1e-9, 0.0, -1.0])
def test_no_printed_number_is_larger_than_the_bound(value):
    text = shown(value)
    assert Decimal(text) <= Decimal(value) < Decimal(text) + Decimal("0.0001")


def test_what_is_claimed_is_named_exactly(capsys):
    """Neither a tiny alpha as certainty, nor a rounded eps, nor two eps as one."""
    arguments = [*CERTIFY, "--alpha", "1e-9", "--eps", "0.0123456789", "0.0123456788", "--out", "run"]
    assert main(arguments) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "alpha = 1e-09" in out
    assert "confidence 1 " not in out
    names = pq.read_table("run/results.parquet").schema.names
    assert {"cosine_eps_0.0123456789", "cosine_eps_0.0123456788"} <= set(names)


def test_printed_is_labelled(capsys):
    ac.certificates.paper._warn_once.cache_clear()
    assert main([*CERTIFY, "--method", "printed"]) == 0
    out, err = capsys.readouterr()
    assert "NOT lower bounds" in " ".join(out.split())
    assert "attricert: note: PaperCertificate is the paper's Theorem 1 as printed; it is not a lower bound" in err


def test_a_users_own_model_attribution_and_images(capsys, digits):
    Path("mine.py").write_text(
        "import attricert as ac\n"
        "def model():\n    return ac.models.load('mnist-standard')\n"
        "def attribution(model):\n    g = ac.InputXGradient(model)\n    return lambda x, t: -g(x, t)\n"
    )
    Path("images").mkdir()
    for i in range(2):
        pixels = (digits.images[i, 0].numpy() * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(f"images/{i}.png")
    arguments = ["certify", "--model", "mine.py:model", "--attribution", "mine.py:attribution", "--data", "images"]
    assert main([*arguments, "--noise", "gaussian", "--sigma", "0.1", "--n_samples", "200", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(r["id"], r["label"], r["prediction"]) for r in rows] == [("0.png", -1, 7), ("1.png", -1, 2)]


def test_outcomes_are_shown(capsys):
    assert main([*CERTIFY, "--stop_eps", "0.01", "--stop_cosine", "0.9", "--target", "label"]) == 0
    assert capsys.readouterr().out.count("proven") == 3


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--radius", "-1"], "radius=-1.0: must be a finite number > 0"),
        (["--noise", "gaussian"], "goes with --sigma, without --radius"),
        (["--noise", "gausian"], "did you mean 'gaussian'"),
        (["--eps", "0.1", "-1"], "eps=[0.1, -1.0]: must be finite and >= 0"),
        (["--cosine", "1"], "cosine=[1.0]: must be > 0 and < 1"),
        (["--alpha", "2"], "alpha=2.0: must be > 0 and < 1"),
        (["--n-samples", "10"], "n_samples=10: must be an integer >= 100"),
        (["--n-samples", "many"], "--n_samples"),
        (["--model", "mnist-standart"], "did you mean 'mnist-standard'"),
        (["--model", "nowhere.py:f"], "there is no file nowhere.py"),
        (["--data", "mnisst:test[0:2]"], "did you mean 'mnist'"),
        (["--data", "nowhere"], "is not a folder"),
        (["--attribution", "salience"], "did you mean 'saliency'"),
        (["--confidence", "beting"], "did you mean 'betting'"),
        (["--method", "printd"], "did you mean 'printed'"),
        (["--method", "printed", "--guarantee", "observed"], "method='printed': the paper's theorem is for uniform"),
        (["--stop_eps", "0.01"], "stop_cosine=None: is needed with stop_eps"),
        (["--stop_cosine", "0.9"], "stop_eps=None: is needed with stop_cosine"),
        (["--stop_eps", "0.01", "--stop_cosine", "0.9", "--prove", "cone"], "cone: proven at a fixed number of draws"),
        (["--observed_samples", "300"], "observed_samples=300: goes with guarantee=observed"),
        (["--prove", "forth"], "did you mean 'fourth'"),
        (["--target", "12"], "target=12: must be a class index from 0 to 9"),
        (["--target", "dog"], "must be predicted, label, none, or a class number"),
        (["--bound", "clip"], "bound='clip': goes with --max_norm"),
        (["--max_norm", "2"], "bound='normalize': goes without --max_norm"),
        (["--attribution", "saliency", "--n_steps", "5"], "attribution='saliency': goes without --n_steps"),
        (["--device", "gpu"], "device='gpu': cannot be used here"),
        (["--no-such-flag", "1"], "--no-such-flag: no such flag"),
        (["--config", "nowhere.yaml"], "does not exist"),
    ],
)
def test_bad_input_is_one_line_and_exit_2_and_nothing_is_written(capsys, extra, message):
    line = fails(capsys, *CERTIFY, "--out", "run", *extra)
    assert line.startswith("attricert: error: ")
    assert message in line


def test_a_folder_that_cannot_be_made(capsys):
    assert "/proc/nowhere" in fails(capsys, *CERTIFY, "--out", "/proc/nowhere")


def test_bad_commands(capsys):
    assert "certfy: no such command; did you mean certify?" in fails(capsys, "certfy")
    assert "model=None: is needed, unless" in fails(capsys, "certify", "--data", "mnist:test[0:1]", "--radius", "1")
    assert "did you mean 'mnist'" in fails(capsys, "data", "mnis")
    assert "did you mean 'mnist-standard'" in fails(capsys, "models", "mnist-standrad")


def test_models_and_data(capsys):
    assert main(["models"]) == 0
    assert "mnist-standard" in capsys.readouterr().out
    assert main(["models", "mnist-standard"]) == 0
    assert "sha256" in capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    assert "mnist-standard" in [card["name"] for card in json.loads(capsys.readouterr().out)]
    assert main(["data"]) == 0
    assert "ATTRICERT_DATA" in capsys.readouterr().out


def test_train_makes_a_model_from_a_recipe(capsys, monkeypatch, digits):
    monkeypatch.setattr(ac.datasets, "load", lambda name, split: digits)
    settings = {"name": "tiny", "architecture": "mnist_cnn", "data": "mnist", "epochs": 4, "batch_size": 20}
    settings |= {"learning_rate": 3e-3, "weight_decay": 1e-2, "seed": 0, "objective": {"name": "noise", "sigma": 0.1}}
    Path("tiny.yaml").write_text(yaml.safe_dump(settings))
    assert main(["train", "--recipe", "tiny.yaml", "--out", "models"]) == 0
    assert "test accuracy 0." in capsys.readouterr().out
    assert sorted(path.name for path in Path("models").iterdir()) == ["tiny.jsonl", "tiny.md", "tiny.safetensors"]
    assert main(["train", "--recipe", "tiny.yaml", "--out", "models"]) == 2
    assert "already holds tiny" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "none.yaml"], "recipe='none.yaml': must be a readable YAML file"),
        (["--recipe", "none.yaml", "--device", "cuda:99"], "device='cuda:99'"),
        ([], "--recipe"),
    ],
)
def test_bad_training_gets_one_line(capsys, arguments, message):
    assert message in fails(capsys, "train", *arguments)


def test_interrupted_is_130_and_writes_nothing(capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("attricert.smoothed.SmoothedAttribution.certify_with", interrupt)
    assert main([*CERTIFY, "--out", "run"]) == 130
    assert not Path("run").exists()


def test_the_demo_draws_two_pictures(capsys):
    assert main(["demo", "--n-samples", "200"]) == 0
    assert capsys.readouterr().out.count("mnist:test:") == 16  # certificates, and prediction and entries
    for name in ("maps", "curves"):
        with Image.open(f"attricert-demo/{name}.png") as picture:
            pixels = np.asarray(picture.convert("RGB"))
        assert min(pixels.shape[:2]) > 400
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50


def test_the_installed_command_runs():
    command = Path(sys.executable).with_name("attricert")
    run = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == f"attricert {ac.__version__}"


DIGITS = ["--model", "mnist-standard", "--data", "mnist:sample[0:2]"]
GAUSSIAN = ["certify", *DIGITS, "--noise", "gaussian", "--sigma", "0.125"]


def test_gaussian_noise_brings_the_new_columns(capsys, tmp_path):
    np.save(tmp_path / "halves.npy", (np.arange(784) // 392).reshape(1, 28, 28))
    out = tmp_path / "run"
    more = ["--n_samples", "600", "--seed", "1", "--max_entry", "0.15", "--top_k", "50", "--eps", "0.02"]
    assert main([*GAUSSIAN, *more, "--functionals", str(tmp_path / "halves.npy"), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    for head in ("keeps it, eps <", "signs, eps=0.02", "tau, eps=0.02", "top 50, eps=0.02"):
        assert head in printed
    row = pq.read_table(out / "results.parquet").to_pylist()[0]
    certificate = ac.runs.load(out)
    assert row["certified_prediction"] == 7
    assert row["top_50_overlap_eps_0.02"] == certificate.top_k_overlap(0.02, 50)[0] > 0
    assert row["signs_eps_0.02"] == (certificate.signs(0.02)[0] != 0).mean() > 0.3
    assert row["kendall_tau_eps_0.02"] == certificate.kendall_tau(0.02)[0]
    assert row["joint_eps_0.02"] == row["cosine_eps_0.02"]
    assert row["binding_eps_0.02"] == certificate.binding(0.02)[0]
    assert len(row["functional_low_eps_0.02"]) == len(row["functional_high_eps_0.02"]) == 2


def test_what_is_proven_can_be_chosen(capsys, tmp_path):
    proven = ["--prove", "fourth", "entries", "--n_samples", "400", "--seed", "1", "--out", str(tmp_path / "run")]
    assert main([*GAUSSIAN, *proven, "--eps", "0.02", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    shares = printed["terms"]["ledger"]["shares"]
    assert set(shares) == {"norm", "top_variance", "inside_variance", "drift", "regions", "fourth", "entries"}
    assert sum(shares.values()) == pytest.approx(1e-3)
    assert {"signs_eps_0.02", "top_variance"} <= set(printed["rows"][0])
    assert "prediction_radius" not in printed["rows"][0]
    assert ac.runs.load(tmp_path / "run").evidence.fourth is not None
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["prove"] == ["fourth", "entries"]
    assert main(["certify", "--out", str(tmp_path / "run"), "--prove", "entries"]) == 2
    assert "(prove: ['fourth', 'entries'] -> ['entries'])" in capsys.readouterr().err


def test_a_config_file_of_version_0_1_is_read(capsys):
    old = {"model": "mnist-standard", "data": "mnist:sample[0:1]", "noise": "gaussian", "radius": None, "sigma": 0.125}
    old |= {"n_samples": 300, "moments": [2, 4], "skip_label": True, "stop_when": None, "functionals": None}
    Path("old.yaml").write_text(yaml.safe_dump({**old, "seed": 1, "eps": [0.02], "cosine": [0.9], "top_k": None}))
    assert main(["certify", "--config", "old.yaml", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {"fourth", "entries"} <= set(printed["terms"]["ledger"]["shares"])
    assert "prediction" not in printed["terms"]["ledger"]["shares"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--functionals", "nowhere.npy"], "functionals='nowhere.npy': must be a readable .npy file"),
        (["--top_k", "785"], "top_k=785: must be at most the number of features, 784"),
        (["--method", "printed"], "the paper's theorem is for uniform noise"),
        (["--max_entry", "-1"], "max_entry=-1.0: must be a finite number > 0"),
    ],
)
def test_bad_new_settings_get_one_line(capsys, arguments, message):
    assert main([*GAUSSIAN, "--n_samples", "100", *arguments]) == 2
    assert message in capsys.readouterr().err


PLAN = ["plan", *DIGITS, "--n_pilot", "100"]


def test_plan_names_a_scale_that_will_do(capsys):
    assert main([*PLAN, "--eps", "0.12", "--cosine", "0.9", "--scales", "0.05", "0.2", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [row["reached"] for row in plan["rows"]] == [0, 2]
    assert plan["best"]["scale"] == 0.2
    n = plan["best"]["samples_needed"]
    more = ["--noise", "gaussian", "--sigma", "0.2", "--n_samples", str(int(1.2 * n)), "--cosine", "0.9", "--json"]
    assert main(["certify", *DIGITS, *more]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert all(row["max_eps_cosine_0.9"] >= 0.12 for row in rows)


def test_plan_says_what_is_out_of_reach(capsys):
    assert main([*PLAN, "--eps", "5.0", "--cosine", "0.9", "--scales", "0.1", "0.2"]) == 1
    assert "out of reach for some input: the largest eps for all is about 0." in capsys.readouterr().out
    assert main([*PLAN, "--eps", "0.05", "--cosine", "0.9", "--noise", "uniform"]) == 0
    assert "certify --model mnist-standard" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "value"), [("eps", "-1"), ("cosine", "1.5"), ("n_pilot", "10"), ("noise", "pink")])
def test_bad_plans_get_one_line(capsys, name, value):
    settings = {"eps": "0.1", "cosine": "0.9", name: value}
    arguments = [part for key, setting in settings.items() for part in (f"--{key}", setting)]
    assert main([*PLAN, *arguments]) == 2
    assert f"{name}=" in capsys.readouterr().err
