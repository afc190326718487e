"""Local processes and Ray: workers are killed, nodes are lost, and every input is there once, with the same bits."""

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
from attricert.runs.executors import ATTEMPTS, base, processes
from attricert.runs.results import gather

CONFIG = runs.Config(
    "mnist-standard", "mnist:sample[0:8]", noise="gaussian", parameters={"sigma": 0.125}, n_samples=400, seed=1
)
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


def empty_within(seconds, group):
    """Whether all processes of a group are gone by then."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_one_worker_and_three_give_the_same_bits(whole, tmp_path):
    assert digests(runs.certify(CONFIG, tmp_path, executor=runs.Processes(3))) == digests(whole)


def test_killed_workers_are_replaced(whole, tmp_path):
    """Each of the first four rows costs a worker its life, whatever it is doing."""
    killed = []

    def killer(state):
        workers = multiprocessing.active_children()
        if len(killed) < min(4, state.done) and workers:
            victim = workers[len(killed) % len(workers)]
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    found = runs.certify(CONFIG, tmp_path, executor=runs.Processes(2), on_progress=killer)
    assert len(set(killed)) == 4
    assert digests(found) == digests(whole)


def test_an_input_that_kills_its_workers_is_given_up(mine, tmp_path):
    """As one does that takes too much memory; the others are certified."""
    found = runs.certify(
        dataclasses.replace(mine, data="mnist:sample[1:4]"), tmp_path / "run", executor=runs.Processes(2)
    )
    rows = {row.facts["id"]: row.facts for row in gather(found)}
    assert [rows[f"mnist:test:{i}"]["status"] for i in (1, 2, 3)] == ["certified", "failed", "certified"]
    assert rows["mnist:test:2"]["reason"] == f"its worker died {ATTEMPTS} times (SIGKILL); out of memory?"
    assert len(Path("deaths").read_text()) == ATTEMPTS


def test_workers_that_cannot_begin_end_the_run(mine, tmp_path):
    with pytest.raises(ac.AttricertError, match="a worker cannot begin: .*no licence on this node"):
        runs.certify(dataclasses.replace(mine, model="mine.py:broken"), tmp_path / "run", executor=runs.Processes(2))
    assert not multiprocessing.active_children()


def test_workers_that_die_as_they_begin_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_BEGINNINGS", 2)
    monkeypatch.setattr(processes, "_serve", _vanish)
    with pytest.raises(ac.AttricertError, match=r"workers die as they begin \(exit code 3\), 2 in a row"):
        runs.certify(CONFIG, tmp_path, executor=runs.Processes(1))


def _vanish(*_):
    os._exit(3)


def _be_killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_those_that_end_by_themselves_are_not_tried_for_long_and_it_is_said(tmp_path, monkeypatch):
    """Those that somebody kills as they begin are tried longer: whoever does that may stop, as the campaign does."""
    monkeypatch.setattr(processes, "_serve", _vanish)
    notes = []
    with pytest.raises(ac.AttricertError, match=r"workers die as they begin \(exit code 3\), 3 in a row"):
        runs.certify(CONFIG, tmp_path, executor=runs.Processes(1), on_progress=lambda state: notes.append(state.note))
    assert [note for note in notes if note] == [
        "a worker died as it began (exit code 3); another is started (1 of 3)",
        "a worker died as it began (exit code 3); another is started (2 of 3)",
    ]
    monkeypatch.setattr(processes, "_serve", _be_killed)
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


def test_ctrl_c_keeps_what_is_done_and_exits_130(whole, tmp_path):
    """A real process group gets a real Ctrl-C; its workers are gone afterwards, and the run is resumed."""
    command = [sys.executable, "-m", "attricert", "certify", "--model", CONFIG.model, "--data", CONFIG.data]
    command += ["--noise", "gaussian", "--sigma", "0.125", "--n_samples", "400", "--seed", "1", "--out", str(tmp_path)]
    process = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.PIPE, start_new_session=True)
    log = tmp_path / "log.jsonl"
    while not (log.exists() and "started" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(4)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    done = len(digests(runs.Store.open(tmp_path)))
    if process.returncode == 130:  # on a fast machine all may have been done
        assert "attricert: error: interrupted" in err.decode()
        assert json.loads(log.read_text().splitlines()[-1])["event"] == "stopped"
    assert done == 8 or process.returncode == 130
    assert empty_within(20, process.pid)
    assert main([*command[3:], "--workers", "2"]) == 0
    assert digests(runs.Store.open(tmp_path)) == digests(whole)


def test_sigterm_before_sampling_is_one_line_too(tmp_path):
    """A scheduler's, while a user's code loads."""
    (tmp_path / "hung.py").write_text(HUNG)
    command = [sys.executable, "-m", "attricert", "certify", "--model", "hung.py:slow", "--data", CONFIG.data]
    process = subprocess.Popen([*command, "--sigma", "0.125"], stderr=subprocess.PIPE, cwd=tmp_path)
    while not (tmp_path / "slow").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.decode()) == (130, "attricert: error: interrupted\n")


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
    for _ in range(3):
        process = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
        assert process.returncode == -signal.SIGKILL
    assert len(digests(runs.Store.open(tmp_path))) < 8
    assert digests(runs.certify(CONFIG, tmp_path)) == digests(whole)


HUNG = """
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
def model():  # in C, and with the lock of the interpreter
    return Hung(lambda: re.match("(a+)+b", "a" * 60)).eval()
def slow():
    Path("slow").write_text("")
    time.sleep(1000)
"""


def test_an_input_that_hangs_fails_and_the_others_do_not(tmp_path, monkeypatch, capsys):
    """The very first, which the command itself would have tried, and in one worker."""
    monkeypatch.chdir(tmp_path)
    Path("hung.py").write_text(HUNG)
    command = ["certify", "--model", "hung.py:model", "--data", "mnist:sample[2:4]", "--sigma", "0.125", "--json"]
    assert main([*command, "--n_samples", "100", "--seed", "1", "--out", "run", "--input_timeout", "1.5"]) == 1
    printed, said = capsys.readouterr()
    rows = {row["id"]: row for row in json.loads(printed)["rows"]}
    assert [rows[f"mnist:test:{i}"]["status"] for i in (2, 3)] == ["failed", "certified"]
    assert rows["mnist:test:2"]["reason"] == "took more than 1.5 s (--input_timeout)"
    assert "mnist:test:2 failed: took more than 1.5 s (--input_timeout)" in said
    assert not multiprocessing.active_children()


def test_a_run_that_is_in_time_is_the_same(whole, tmp_path):
    """The control, and that arguments are complained of as early as ever."""
    assert digests(runs.certify(CONFIG, tmp_path / "run", input_timeout=60.0)) == digests(whole)
    bad = dataclasses.replace(CONFIG, target="11")
    with pytest.raises(ac.ArgumentError, match="target=11: must be a class index"):
        runs.certify(bad, tmp_path / "bad", executor=runs.Processes(1, input_timeout=60.0))
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
    config = dataclasses.replace(CONFIG, data="mnist:sample[0:24]", n_samples=1000)
    lost = []

    def killer(state):
        if state.done >= 4 and not lost:
            cluster.remove_node(nodes[1], allow_graceful=False)
            lost.append(state.done)

    found = runs.certify(config, tmp_path / "ray", executor=runs.Ray(2, cluster.address), on_progress=killer)
    assert lost
    deadline = time.monotonic() + 120  # the cluster takes a while to give a node up
    while sum(node["Alive"] for node in ray.nodes()) > 2 and time.monotonic() < deadline:
        time.sleep(1)
    assert sum(node["Alive"] for node in ray.nodes()) == 2
    assert digests(found) == digests(runs.certify(config, tmp_path / "here"))
