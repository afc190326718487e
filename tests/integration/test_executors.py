"""Local processes and Ray: workers are killed, nodes are lost, and every input is there once, with the same bits."""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import attricert as ac
from attricert import runs
from attricert.cli.main import main
from attricert.runs.executors import base, processes, rehearsal
from attricert.runs.results import gather

CONFIG = runs.Config(
    "mnist-standard", "mnist:sample[0:8]", noise="gaussian", parameters={"sigma": 0.125}, n_samples=400, seed=1
)
HUNG = 600  # seconds after which nothing will come: no test takes so long, however busy the machine
MINE = """
import os, signal
from pathlib import Path
import attricert as ac, torch
class Deadly(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = ac.models.load("mnist-standard")
    def forward(self, x):
        out = self.inner(x)
        if os.getpid() != {starter} and len(x) > 1 and (out.argmax(dim=1) == 1).any():
            Path("deaths").open("a").write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        return out
def model():
    return Deadly().eval()
def broken():
    if os.getpid() != {starter}:
        raise OSError("no licence on this node")
    return Deadly().eval()
def attribution(model):
    return ac.Saliency(model)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The uninterrupted run, in this process."""
    return runs.certify(CONFIG, tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A config with a model that kills its worker on ones, of which the first eight digits hold two."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(MINE.format(starter=os.getpid()))
    return dataclasses.replace(CONFIG, model="mine.py:model", attribution="mine.py:attribution")


def digests(run):
    rows = [row for part in run.parts() for row in part.rows()]
    found = {row.facts["id"]: row.facts["digest"] for row in rows}
    assert len(found) == len(rows)  # every input once
    return found


def seen(what):
    """Whether something is so before long."""
    deadline = time.monotonic() + HUNG
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def hears_interrupts():
    """Shells start what runs in the background with Ctrl-C ignored, which all that it starts inherits."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def started(command):
    """A process in a group of its own, of which nothing is left in the end, whatever the test finds."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=hears_interrupts)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def is_gone(group):
    """Whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_worker_and_three_give_the_same_bits(whole, tmp_path):
    assert digests(runs.certify(CONFIG, tmp_path, executor=runs.Processes(3))) == digests(whole)


def test_killed_workers_are_replaced(whole, tmp_path):
    """Each of the first three rows costs a worker its life, whatever it is doing."""
    killed = []

    def killer(state):
        workers = multiprocessing.active_children()
        if len(killed) < min(3, state.done) and workers:
            victim = workers[len(killed) % len(workers)]
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    found = runs.certify(CONFIG, tmp_path, executor=runs.Processes(2), on_progress=killer)
    assert len(set(killed)) == 3
    assert digests(found) == digests(whole)


def test_an_input_that_kills_its_workers_is_given_up(mine, tmp_path, monkeypatch):
    """As one does that takes too much memory; the others are certified."""
    for module in (base, processes):
        monkeypatch.setattr(module, "ATTEMPTS", 3)
    found = runs.certify(
        dataclasses.replace(mine, data="mnist:sample[1:4]"), tmp_path / "run", executor=runs.Processes(2)
    )
    rows = {row.facts["id"]: row.facts for row in gather(found)}
    assert [rows[f"mnist:test:{i}"]["status"] for i in (1, 2, 3)] == ["certified", "failed", "certified"]
    assert rows["mnist:test:2"]["reason"] == "its worker died 3 times (SIGKILL); out of memory?"
    assert len(Path("deaths").read_text()) == 3


def test_workers_that_cannot_begin_end_the_run(mine, tmp_path):
    with pytest.raises(ac.AttricertError, match="a worker cannot begin: .*no licence on this node"):
        runs.certify(dataclasses.replace(mine, model="mine.py:broken"), tmp_path / "run", executor=runs.Processes(2))
    assert not multiprocessing.active_children()


class Ending:
    """Whoever unpickles it calls a function: a process whose target it is ends before it has imported anything."""

    def __init__(self, call, *args):
        self.how = call, args

    def __reduce__(self):
        return self.how


def test_those_that_end_by_themselves_are_not_tried_for_long_and_it_is_said(tmp_path, monkeypatch):
    """Those that somebody kills as they begin are tried longer: whoever does that may stop, as the campaign does."""
    monkeypatch.setattr(processes, "_serve", Ending(os._exit, 3))
    notes = []
    with pytest.raises(ac.AttricertError, match=r"workers die as they begin \(exit code 3\), 3 in a row"):
        runs.certify(CONFIG, tmp_path, executor=runs.Processes(1), on_progress=lambda state: notes.append(state.note))
    assert [note for note in notes if note.startswith("a worker")] == [
        "a worker died as it began (exit code 3); another is started (1 of 3)",
        "a worker died as it began (exit code 3); another is started (2 of 3)",
    ]
    monkeypatch.setattr(processes, "_serve", Ending(signal.raise_signal, signal.SIGKILL))
    monkeypatch.setattr(processes, "_KILLINGS", 2)
    with pytest.raises(ac.AttricertError, match=r"workers die as they begin \(SIGKILL\), 2 in a row"):
        runs.certify(CONFIG, tmp_path, executor=runs.Processes(1))


LEAVING = """
import os, sys
import attricert as ac, torch
class Leaving(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = ac.models.load("mnist-standard")
    def forward(self, x):
        out = self.inner(x)
        if len(x) > 1 and (out.argmax(dim=1) == 1).any():
            {how}
        return out
def model():
    return Leaving().eval()
"""


@pytest.mark.parametrize(
    ("how", "executor", "reason"),
    [
        ("sys.exit(0)", None, "called sys.exit(0)"),
        ("sys.exit('bye')", runs.Processes(2), "called sys.exit('bye')"),
        ("raise BaseException('odd')", None, "BaseException: odd"),
        (
            "os._exit(5) if os.getpid() != STARTER else None",
            runs.Processes(1),
            "its worker died 2 times (exit code 5)",
        ),
    ],
)
def test_a_model_that_leaves_is_a_failed_row(tmp_path, monkeypatch, how, executor, reason):
    monkeypatch.chdir(tmp_path)
    for module in (base, processes):
        monkeypatch.setattr(module, "ATTEMPTS", 2)
    Path("mine.py").write_text(LEAVING.format(how=how.replace("STARTER", str(os.getpid()))))
    config = dataclasses.replace(CONFIG, model="mine.py:model", data="mnist:sample[1:4]", n_samples=100)
    found = runs.certify(config, tmp_path / "run", executor=executor)
    rows = {row.facts["id"]: row.facts for row in gather(found)}
    assert [rows[f"mnist:test:{i}"]["status"] for i in (1, 2, 3)] == ["certified", "failed", "certified"]
    assert rows["mnist:test:2"]["reason"] == reason


def test_code_that_ends_the_process_as_it_is_loaded_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(ac.ArgumentError, match=r"model='mine.py:model': mine.py called sys.exit\(0\)"):
        runs.certify(dataclasses.replace(CONFIG, model="mine.py:model"), tmp_path / "run")
    assert not Path("run").exists()


def test_a_part_that_is_gone_at_the_end_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(runs.running, "_SECONDS", 0.0)

    def thief(state):
        if state.done == 5:
            for path in (tmp_path / "parts").glob("*.parquet"):
                path.unlink()

    with pytest.raises(ac.IntegrityError, match="of 8 rows are not there, though all were written"):
        runs.certify(CONFIG, tmp_path, on_progress=thief)
    assert len(digests(runs.certify(CONFIG, tmp_path))) == 8


HELD = """
import os, time
from pathlib import Path
import attricert as ac, torch
class Held(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = ac.models.load("mnist-standard")
    def forward(self, x):
        out = self.inner(x)
        while len(x) > 1 and (out.argmax(dim=1) == 1).any() and Path("hold").exists():
            Path(f"held-{os.getpid()}").touch()
            time.sleep(0.05)
        return out
def model():
    return Held().eval()
"""


def test_ctrl_c_keeps_what_is_done_and_exits_130(tmp_path, monkeypatch):
    """A real process group gets a real Ctrl-C; its workers are gone afterwards, and the run is resumed.

    It comes when two ones, of eight digits the third and the sixth, keep both workers busy.
    """
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(HELD)
    Path("hold").touch()
    command = ["certify", "--model", "mine.py:model", "--data", CONFIG.data, "--noise", "gaussian", "--sigma", "0.125"]
    command += ["--n_samples", "400", "--seed", "1", "--workers", "2", "--out", "run"]
    python = [sys.executable, "-m", "attricert"]
    with started([*python, *command]) as process:
        assert seen(lambda: process.poll() is not None or len(list(Path().glob("held-*"))) == 2)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=HUNG)
        assert process.returncode == 130, err
        assert seen(lambda: is_gone(process.pid))
    go_on = "4 of 8 inputs are done and stored; go on with: attricert certify --out run --workers 2 --trust-code"
    assert err.decode().endswith(f"attricert: error: interrupted; {go_on}\n")
    assert json.loads(Path("run/log.jsonl").read_text().splitlines()[-1])["event"] == "stopped"
    run = runs.Store.open(Path("run"))
    assert sorted(digests(run)) == [f"mnist:test:{i}" for i in (0, 1, 3, 4)]
    Path("hold").unlink()
    assert digests(runs.certify(run.manifest.config, Path("run"))) == digests(
        runs.certify(run.manifest.config, Path("whole"))
    )


def test_sigterm_before_sampling_is_one_line_too(tmp_path, monkeypatch):
    """A scheduler's, while a user's code loads."""
    monkeypatch.chdir(tmp_path)
    Path("hung.py").write_text(HANGING)
    command = [sys.executable, "-m", "attricert", "certify", "--model", "hung.py:slow", "--data", CONFIG.data]
    with started([*command, "--sigma", "0.125"]) as process:
        assert seen(lambda: process.poll() is not None or Path("slow").exists())
        process.terminate()
        _, err = process.communicate(timeout=HUNG)
    assert (process.returncode, err.decode()) == (
        130,
        "attricert: error: interrupted; nothing is kept without --out FOLDER\n",
    )


def test_a_killed_run_is_resumed(whole, tmp_path, monkeypatch):
    """The process that writes is killed too, without notice."""
    script = f"""
import os, signal, sys
from pathlib import Path
from attricert import runs
from attricert.runs import running
running._SECONDS = 0.0
def killer(state):
    if state.done > state.before:
        os.kill(os.getpid(), signal.SIGKILL)
runs.certify(runs.Config.of({CONFIG.to_dict()!r}), Path(sys.argv[1]), on_progress=killer)
"""
    for _ in range(2):
        process = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
        assert process.returncode == -signal.SIGKILL
    assert len(digests(runs.Store.open(tmp_path))) < 8
    assert digests(runs.certify(CONFIG, tmp_path)) == digests(whole)


HANGING = """
import re, time
from pathlib import Path
import attricert as ac, torch
class Hung(torch.nn.Module):
    def __init__(self, hang):
        super().__init__()
        self.inner, self.hang = ac.models.load("mnist-standard"), hang
    def forward(self, x):
        out = self.inner(x)
        if len(x) > 1 and (out.argmax(dim=1) == 1).any():
            self.hang()
        return out
def hang():  # in C, and with the lock of the interpreter
    Path("hanging").touch()
    re.match("(a+)+b", "a" * 60)
def model():
    return Hung(hang).eval()
def slow():
    Path("slow").touch()
    time.sleep(1000)
"""


class Clock:
    """By which only what hangs takes long: some looks after it began, as the worker's start may be news by then."""

    def __init__(self):
        self.looks = 0

    def monotonic(self):
        self.looks += Path("hanging").exists()
        return time.monotonic() + (2 * HUNG if self.looks > 10 else 0)


def test_an_input_that_hangs_fails_and_the_others_do_not(tmp_path, monkeypatch, capsys):
    """The very first, which the command itself would have tried, and in one worker."""
    monkeypatch.chdir(tmp_path)
    Path("hung.py").write_text(HANGING)
    monkeypatch.setattr(processes, "time", Clock())
    monkeypatch.setattr(processes, "LONGEST_WAIT", 0.05)
    monkeypatch.setattr(rehearsal, "LONGEST_WAIT", 0.5)
    command = ["certify", "--model", "hung.py:model", "--data", "mnist:sample[2:4]", "--sigma", "0.125", "--json"]
    assert main([*command, "--n_samples", "100", "--seed", "1", "--out", "run", "--input_timeout", f"{HUNG}.5"]) == 1
    printed, said = capsys.readouterr()
    rows = {row["id"]: row for row in json.loads(printed)["rows"]}
    assert [rows[f"mnist:test:{i}"]["status"] for i in (2, 3)] == ["failed", "certified"]
    assert rows["mnist:test:2"]["reason"] == f"took more than {HUNG}.5 s (--input_timeout)"
    assert f"mnist:test:2 failed: took more than {HUNG}.5 s (--input_timeout)" in said
    assert not multiprocessing.active_children()


def test_a_run_that_is_in_time_is_the_same(whole, tmp_path):
    """The control, and that arguments are complained of as early as ever."""
    assert digests(runs.certify(CONFIG, tmp_path / "run", input_timeout=HUNG)) == digests(whole)
    bad = dataclasses.replace(CONFIG, target="11")
    with pytest.raises(ac.ArgumentError, match="target=11: must be a class index"):
        runs.certify(bad, tmp_path / "bad", executor=runs.Processes(1, input_timeout=HUNG))
    assert not (tmp_path / "bad").exists()


def test_time_outs_that_cannot_be_are_refused(tmp_path):
    for bad in (0, -1.0, float("nan"), True):
        with pytest.raises(ac.ArgumentError, match="input_timeout=.*must be"):
            runs.certify(CONFIG, tmp_path / "run", input_timeout=bad)
    with pytest.raises(ac.ArgumentError, match="input_timeout=5.0: goes with local processes, and not with Ray"):
        runs.certify(CONFIG, tmp_path / "run", executor=runs.Ray(1), input_timeout=5.0)
    assert not (tmp_path / "run").exists()


def test_bad_numbers_of_workers_are_refused():
    for kind in (runs.Processes, runs.Ray):
        with pytest.raises(ac.ArgumentError, match="workers=0"):
            kind(0)


def test_without_ray_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ac.ArgumentError, match=r"ray='ray': is not installed; pip install 'attricert\[ray\]'"):
        runs.Ray(2)


@pytest.fixture
def cluster():
    """A head without a CPU, and two nodes with one each; all with object stores of their own."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    memory = 80 * 2**20
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": memory})
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=memory) for _ in range(2)]
    cluster.wait_for_nodes()
    yield cluster, nodes
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.filterwarnings("ignore")
def test_a_ray_cluster_that_loses_a_node(cluster, whole, tmp_path):
    ray = pytest.importorskip("ray")
    cluster, nodes = cluster
    ray.init(address=cluster.address, log_to_driver=False)
    before = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
    assert len({node["ObjectStoreSocketName"] for node in before.values()}) == 3
    config = dataclasses.replace(CONFIG, data="mnist:sample[0:16]")
    lost = []

    def killer(state):
        if state.done >= 4 and not lost:
            cluster.remove_node(nodes[1], allow_graceful=False)
            lost.append(state.done)

    found = runs.certify(config, tmp_path / "ray", executor=runs.Ray(2, cluster.address), on_progress=killer)
    assert lost
    # The cluster takes a while to give a node up.
    assert seen(lambda: sum(node["Alive"] for node in ray.nodes()) == 2)
    assert digests(found) == digests(runs.certify(config, tmp_path / "here"))
