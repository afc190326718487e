"""What people see: tables that fit, reasons with their figures, how to go on."""

import io
import os
import pty
import re
import shlex
import subprocess
import sys

import pytest
from rich.cells import cell_len

from attricert.cli import certify, reproduce, train
from attricert.cli.going_on import command, resumable
from attricert.cli.main import main
from attricert.cli.output import show_table
from attricert.progress import clock, reporting, status_bar
from attricert.runs.reasons import grouped

WIDTHS = [60, 80, 200]
LONG = "folder/" + "x" * 200 + "/17.png"


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self):
        return True


def drawn(monkeypatch, width, rows, **options):
    """Lines of the table, on a terminal of that width."""
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stdout", terminal)
    show_table(rows, "a title of 3 words or more, which wraps where it is longer than that", "a caption", **options)
    return re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue()).splitlines()


def numbers(lines):
    return sorted(number for line in lines for number in re.findall(r"(?<![\w.])-?\d+\.\d+(?![\w.])", line))


ROWS = [
    {
        "input": f"mnist:test:{i}",
        "prediction": str(i),
        "norm >=": f"{0.1234 + i}",
        **{f"cos, eps={eps}": f"{-0.9876 + i:.4f}" for eps in ("0.0123456789", "0.05", "0.1", "0.2")},
        **{f"eps, T={t}": f"{100.4321 + i}" for t in (0.8, 0.9)},
    }
    for i in range(3)
]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_number_is_there_whole(monkeypatch, width):
    lines = drawn(monkeypatch, width, ROWS)
    assert all(cell_len(line) <= width for line in lines)
    cells = [cell for row in ROWS for name, cell in row.items() if name not in ("input", "prediction")]
    found = numbers(line for line in lines if "mnist:test:" in line)
    assert found == sorted(cells)
    assert "…" not in "\n".join(lines)
    headings = " ".join(" ".join(lines).split())
    assert "eps=0.0123456789" in headings


def test_blocks_repeat_the_input(monkeypatch):
    counts = [sum("mnist:test:1" in line for line in drawn(monkeypatch, width, ROWS)) for width in WIDTHS]
    assert counts[0] > 1
    assert counts[-1] == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_long_names_are_shortened_in_the_middle_and_numbers_are_not(monkeypatch, width):
    rows = [{**row, "input": LONG} for row in ROWS]
    lines = drawn(monkeypatch, width, rows)
    assert all(cell_len(line) <= width for line in lines)
    text = "\n".join(lines)
    for row in ROWS:
        assert all(cell in text for name, cell in row.items() if name != "input")
    assert "folder/xxx" in text
    assert "xxx/17.png" in text


def test_a_table_without_names_repeats_nothing(monkeypatch):
    row = {f"eps {i / 100}": f"{1 - i / 40:.3f}" for i in range(20)}
    lines = drawn(monkeypatch, 60, [row], repeat=False)
    assert all(sum(f" {value} " in f"{line} " for line in lines) == 1 for value in row.values())


def test_a_cell_wider_than_the_terminal_is_folded(monkeypatch):
    lines = drawn(monkeypatch, 60, [{"name": "a", "path": "y" * 150}])
    assert "".join(lines).count("y") == 150


def test_a_pipe_takes_wide_tables(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    show_table(ROWS[:1], "title")
    assert sum("mnist:test:0" in line for line in capsys.readouterr().out.splitlines()) == 1


def test_reasons_that_differ_in_numbers_are_one_with_their_ranges():
    reasons = [
        f"eps=0.1 may move the map by {m:.3g}, its norm is at least {n:.3g}" for m, n in ((0.42, 0.35), (0.31, 0.4))
    ]
    told = "eps=0.1 may move the map by 0.31 to 0.42, its norm is at least 0.35 to 0.4"
    assert grouped([*reasons, "something else"]) == {told: 2, "something else": 1}
    assert grouped(["at 1e-09.", "at 2e+03.", "at 5."]) == {"at 1e-09 to 2e+03.": 3}
    assert grouped(["its shape is (1, 9, 9)", "its shape is (3, 9, 10)"]) == {"its shape is (1 to 3, 9, 9 to 10)": 2}
    assert grouped(["same 3"] * 4) == {"same 3": 4}
    assert grouped([]) == {}


def test_numbers_in_names_are_no_ranges():
    assert grouped(["IMG_7.png: bad", "IMG_8.png: bad"]) == {"IMG_7.png: bad (and 1 like it)": 2}


def test_kinds_that_read_alike_are_counted_together():
    assert grouped(["at 1 to 2", "at 1", "at 2"]) == {"at 1 to 2": 3}


def test_commands_are_quoted():
    line = command("certify", out="my runs/a;b", workers=2, eps=(0.1, 0.2), json=True, ray=None, quiet=False)
    assert line == "attricert certify --out 'my runs/a;b' --workers 2 --eps 0.1 0.2 --json"
    assert shlex.split(line)[3] == "my runs/a;b"


def test_an_interrupt_says_how_to_go_on():
    with pytest.raises(KeyboardInterrupt, match="^go on$"), resumable(lambda: "go on"):
        raise KeyboardInterrupt
    with resumable(lambda: "go on"):
        pass


CERTIFY = [
    "certify",
    "--model",
    "mnist-standard",
    "--data",
    "mnist:sample[0:3]",
    "--sigma",
    "0.125",
    "--noise",
    "gaussian",
]
CERTIFY += ["--n_samples", "100", "--prove", "prediction", "--maps", "drop"]


@pytest.fixture
def interrupted(monkeypatch):
    """The third input is interrupted."""
    shown = certify.displaying

    class Report:
        def __init__(self, report):
            self.report = report

        def __call__(self, state):
            self.report(state)
            if state.done - state.before == 2:
                raise KeyboardInterrupt

    class Displaying:
        def __enter__(self):
            self.inner = shown()
            return Report(self.inner.__enter__())

        def __exit__(self, *error):
            return self.inner.__exit__(*error)

    monkeypatch.setattr(certify, "displaying", Displaying)


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_run_says_what_is_stored_and_how_to_go_on(tmp_path, monkeypatch, capsys):
    out = tmp_path / "my runs"
    assert main([*CERTIFY, "--out", str(out), "--shard", "0/1"]) == 130
    again = f"attricert certify --out '{out}' --shard 0/1"
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == f"attricert: error: interrupted; 2 of 3 inputs are done and stored; go on with: {again}"
    # What is said holds: the command, as it stands, ends the run.
    assert main([*shlex.split(again)[1:], "--eps", "0.07"]) == 0
    assert "3 of 3 inputs" in capsys.readouterr().err


def test_the_claim_at_which_draws_stop_is_put_in_words(tmp_path, capsys):
    stop = [
        "--noise",
        "gaussian",
        "--sigma",
        "0.125",
        "--stop_eps",
        "0.01",
        "--stop_cosine",
        "0.5",
        "--n_samples",
        "200",
    ]
    assert main([*CERTIFY[:5], *stop, "--out", str(tmp_path / "run")]) == 0
    assert main(["status", str(tmp_path / "run")]) == 0
    assert "draws stop at a claim of eps 0.01 = 0.091 of 255 levels in every pixel" in capsys.readouterr().out


def test_a_plan_says_what_its_eps_amounts_to(capsys):
    command = ["plan", *CERTIFY[1:3], "--data", "mnist:sample[0:1]", "--eps", "0.19", "--cosine", "0.5"]
    assert main([*command, "--scales", "0.2", "--n_pilot", "100"]) in (0, 1)
    assert "eps 0.19 = 1.73 of 255 grey levels in every pixel (root mean square)" in capsys.readouterr().out


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_run_without_a_folder_says_that_nothing_is_kept(capsys):
    assert main(CERTIFY) == 130
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == "attricert: error: interrupted; nothing is kept without --out FOLDER"


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_train_and_reproduce_go_on_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "make", interrupt)
    assert main(["train", "--recipe", "a b.yaml", "--out", "models"]) == 130
    line = "all whole epochs are kept; go on with: attricert train --recipe 'a b.yaml' --out models"
    assert capsys.readouterr().err.endswith(f"interrupted; {line}\n")
    monkeypatch.setattr(reproduce, "Bench", interrupt)
    assert main(["reproduce", "table4", "--quick", "--inputs", "1", "--out", "here", "--workers", "2"]) == 130
    line = capsys.readouterr().err.splitlines()[-1]
    begin, end = line.split("go on with: ")
    assert begin == "attricert: error: interrupted; all that was measured is kept; "
    assert sorted(shlex.split(end)) == sorted(
        shlex.split("attricert reproduce table4 --quick --inputs 1 --out here --workers 2")
    )


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00:00"), (65, "0:01:05"), (36_061, "10:01:01")])
def test_time(seconds, text):
    assert clock(seconds) == text


def test_progress_elsewhere_is_few_lines_and_a_last_one(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with reporting(True, 100, "certifying") as advance:
        for _ in range(100):
            now[0] += 0.3
            advance(1)
    with status_bar() as say:
        say(0.5, "epoch 1")
    assert capsys.readouterr().err.splitlines() == [
        "certifying: 34 of 100, 0:00:10 gone, 0:00:20 left",
        "certifying: 68 of 100, 0:00:20 gone, 0:00:10 left",
        "certifying: 100 of 100, 0:00:30 gone",
        "epoch 1 (50%), 0:00:00 gone",
    ]


def test_a_failure_has_no_last_line(capsys):
    def fail(done):
        raise ValueError(done)

    with pytest.raises(ValueError, match="1"), reporting(True, 10, "certifying") as advance:
        fail(advance(1) or 1)
    assert capsys.readouterr().err == ""


SCRIPT = """
from attricert.progress import reporting
with reporting(True, 3000, "certifying") as advance:
    for _ in range(3000):
        advance(1)
"""


def test_a_pipe_gets_one_line():
    done = subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"certifying: 3,000 of 3,000, 0:00:0\d gone\n", done.stderr)
    assert done.stdout == ""


@pytest.mark.parametrize(("term", "bar"), [("xterm", True), ("dumb", False)])
def test_a_terminal_gets_a_bar_unless_it_cannot_draw_one(term, bar):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        stderr=theirs,
        stdin=theirs,
        env={**os.environ, "TERM": term, "COLUMNS": "80"},
    )
    os.close(theirs)
    text = b""
    while True:
        try:
            read = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        text += read
    os.close(ours)
    assert process.wait() == 0
    assert (b"3000/3000" in text) == (b"\x1b[" in text) == bar
    assert (b"3,000 of 3,000" in text) != bar
